"""What a worker is doing while a request of it does not come to its end.

py-spy tells it from outside, where it is installed and this user may look into the process. Else
the worker is asked by a signal for which the recorder has put a handler in place (see
``record.stacks``); never without one, since the signal would end the process. A main thread that
is held up in C code does not answer.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from standfast.journal import identity
from standfast.journal.files import STACK_SIGNAL
from standfast.store.evidence import STACK, TEXT_LIMIT, Fact, Source
from standfast.watch.folder import read_beside
from standfast.watch.liveness import Process

from .collector import Death, Living

#: How long a stack may take to come, in seconds; after that it is not waited for.
_PATIENCE_S = 10.0
#: The threads are written one after the other: they are read when no more has come for so long.
_QUIET_S = 0.2
#: The handler's own line, which stands on top of the thread that answers.
_HANDLER = re.compile(r'^  File ".*/record/stacks\.py", line \d+ in _answer\n', re.MULTILINE)
_CAUGHT = re.compile(rb"^SigCgt:\s*([0-9a-f]+)", re.MULTILINE)


class Question(NamedTuple):
    """Whose stacks are wanted; ``file`` is where the worker writes them, ``data`` goes into the
    fact as it is."""

    living: Living
    file: Path
    data: dict[str, Any]


class _Spy:
    """py-spy at work on one process."""

    def __init__(self, program: str, pid: int) -> None:
        """Raises OSError where it cannot be started."""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [program, "dump", "--pid", str(pid)],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._output.close()
            raise

    @property
    def is_done(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def end(self) -> str:
        """What it has said; nothing where it was not done, or was not allowed to look."""
        done = self._process.poll() == 0
        self._process.kill()
        self._process.wait()
        said = os.pread(self._output.fileno(), TEXT_LIMIT, 0) if done else b""
        self._output.close()
        return said.decode("utf-8", "backslashreplace").replace("\0", "\\0")


@dataclass
class _Asked:
    """A question that has no answer yet."""

    question: Question
    since: float
    at_ns: int
    spy: _Spy | None = None
    offset: int = 0
    seen: int = 0
    seen_at: float = 0.0


class Stacks:
    """Asks workers for their stacks and collects the answers, without ever waiting for one."""

    def __init__(self) -> None:
        self._asked: list[_Asked] = []
        self._taken: list[tuple[Process, int, Fact]] = []

    def ask(self, question: Question) -> None:
        """Asks for the stacks of one worker, unless an answer of it is still to come."""
        process = question.living.process
        if any(asked.question.living.process == process for asked in self._asked):
            return
        if not _is_there(question.living):
            return
        asked = _Asked(question, time.monotonic(), time.time_ns())
        if _start_spy(asked) or _send_signal(asked):
            self._asked.append(asked)

    def taken(self) -> list[tuple[int, Fact]]:
        """The answers that have come, each once, with the number of their worker."""
        self.look(())
        taken, self._taken = self._taken, []
        return [(worker_id, fact) for _, worker_id, fact in taken]

    def look(self, living: Sequence[Living]) -> None:
        """Sees which answers have come."""
        for asked in list(self._asked):
            self._see(asked, final=False)

    def facts(self, death: Death) -> list[Fact]:
        """What the worker had answered before it died."""
        for asked in list(self._asked):
            if asked.question.living.process == death.process:
                self._see(asked, final=True)
        return [fact for process, _, fact in self._taken if process == death.process]

    def forget(self, death: Death) -> None:
        """Nothing is kept for longer than it takes to come."""

    def close(self) -> None:
        """Waits for no answer any more."""
        while self._asked:
            if spy := self._asked.pop().spy:
                spy.end()

    def _see(self, asked: _Asked, *, final: bool) -> None:
        now = time.monotonic()
        over = final or now > asked.since + _PATIENCE_S
        if asked.spy is not None:
            if not asked.spy.is_done and not over:
                return
            text, asked.spy = asked.spy.end(), None
            if not final and not _is_there(asked.question.living):
                text = ""  # its pid may have been given to another while py-spy looked
            if text or final or not _send_signal(asked):
                self._conclude(asked, Source.PY_SPY, text)
            return
        text, _ = read_beside(asked.question.file, asked.offset)
        if len(text) != asked.seen:
            asked.seen, asked.seen_at = len(text), now
        if over or (text and now >= asked.seen_at + _QUIET_S):
            self._conclude(asked, Source.FAULTHANDLER, _HANDLER.sub("", text))

    def _conclude(self, asked: _Asked, source: Source, text: str) -> None:
        self._asked.remove(asked)
        question = asked.question
        if text.strip():
            fact = Fact(STACK, source, asked.at_ns, text[:TEXT_LIMIT], question.data)
            self._taken.append((question.living.process, question.living.worker_id, fact))


def _is_there(living: Living) -> bool:
    """Whether the pid is still that of the worker."""
    return identity.start_ticks(living.pid) == living.process.start_ticks


def _start_spy(asked: _Asked) -> bool:
    """Has py-spy look into the process, where there is one beside this Python or on PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("py-spy", path=places)
    if program is not None:
        with suppress(OSError):
            asked.spy = _Spy(program, asked.question.living.pid)
    return asked.spy is not None


def _send_signal(asked: _Asked) -> bool:
    """Asks the worker itself, if it has made a file to answer in and catches the signal."""
    living = asked.question.living
    try:
        # Symbolic links are not followed: the folder may be that of another user.
        found = asked.question.file.lstat()
        fd = os.pidfd_open(living.pid)
    except (OSError, AttributeError):
        return False
    try:
        # Asked for after the descriptor was opened: if the start is right, so is the descriptor.
        if (
            not stat.S_ISREG(found.st_mode)
            or not _is_there(living)
            or not _catches(living.pid)
            or _has_ended(fd)
        ):
            return False
        asked.offset = found.st_size
        asked.since = asked.seen_at = time.monotonic()
        signal.pidfd_send_signal(fd, STACK_SIGNAL)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _catches(pid: int) -> bool:
    """Whether the process has a handler for the signal (proc(5), SigCgt of status)."""
    with suppress(OSError):
        caught = _CAUGHT.search(Path(f"/proc/{pid}/status").read_bytes())
        return caught is not None and bool(int(caught[1], 16) >> STACK_SIGNAL - 1 & 1)
    return False


def _has_ended(pidfd: int) -> bool:
    """Whether the process ended meanwhile, so that /proc may have been that of its successor."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
