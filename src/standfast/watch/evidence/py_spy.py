"""py-spy: the stacks of a Python process, read from outside while it runs on.

It is told never to pause the process (``--nonblocking``): no signal, no ptrace stop, no system call
of the application that comes back early. The price is that a stack may change while it is read;
py-spy then mostly fails, and is tried again. What it reads is the process's own memory and thus
anybody's words: it runs as the owner of the process where this is root, with bounds on its time,
memory and output.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

#: What it may take: seconds, bytes of address space, bytes of output.
PATIENCE_S = 10.0
_CPU_S = 10
_END_S = 0.5
_MEMORY = 2 * 2**30
OUTPUT_LIMIT = 8 * 2**20
_IDS = re.compile(r"^([UG])id:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$", re.MULTILINE)
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")


def program() -> str | None:
    """Where py-spy is: beside this Python, or on PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("py-spy", path=places)


class Dump:
    """One run of py-spy on one process, which nobody has to wait for."""

    def __init__(self, program: str, pid: int, *, as_owner: bool = True) -> None:
        """Raises OSError where it cannot be started."""
        self._until = time.monotonic() + PATIENCE_S
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        # Opened here: the owner of the process may not be able to reach the place that it is in.
        opened = -1
        try:
            opened = os.open(program, os.O_RDONLY)
            owner = _owner(pid) if as_owner and os.geteuid() == 0 else None
            self._process = subprocess.Popen(
                [f"/proc/self/fd/{opened}", "dump", "--nonblocking", "--json", "--pid", str(pid)],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
                pass_fds=[opened],
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                user=owner[0] if owner else None,
                group=owner[1] if owner else None,
                extra_groups=[] if owner else None,
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._output.close()
            raise error if isinstance(error, OSError) else OSError(str(error)) from None
        finally:
            if opened >= 0:
                os.close(opened)
        for limit, most in (
            (resource.RLIMIT_CPU, _CPU_S),
            (resource.RLIMIT_AS, _MEMORY),
            (resource.RLIMIT_FSIZE, OUTPUT_LIMIT),
            (resource.RLIMIT_CORE, 0),
        ):
            with suppress(OSError, ValueError):  # it has ended already
                resource.prlimit(self._process.pid, limit, (most, most))

    @property
    def is_done(self) -> bool:
        """Whether it has ended by itself, or has had all its time."""
        return self._process.poll() is not None or time.monotonic() > self._until

    def end(self) -> bytes:
        """What it has said, in JSON; nothing where it failed or was not done."""
        done = self._process.poll() == 0
        self._process.kill()
        # One that a file system holds up is left to end when it can.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        said = os.pread(self._output.fileno(), OUTPUT_LIMIT, 0) if done else b""
        self._output.close()
        return said


def why_not() -> str:
    """Why this user can read no stacks; an empty text where those of its own processes can be.

    Tried on a process of its own, which takes a moment.
    """
    found = program()
    if found is None:
        return "py-spy is not installed"
    sleeper = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        if sleeper.stdout is not None:
            sleeper.stdout.readline()
        if _reads(found, sleeper.pid):
            return ""
    except OSError as error:
        return f"py-spy cannot be started ({error.strerror or error})"
    finally:
        sleeper.kill()
        sleeper.communicate()
    with suppress(OSError):
        scope = _YAMA.read_text().strip()
        if scope != "0" and os.geteuid() != 0:
            return f"kernel.yama.ptrace_scope is {scope}: only root may look into processes"
    return "this user may not look into processes"


def _reads(program: str, pid: int) -> bool:
    for as_owner in (True, False):
        dump = Dump(program, pid, as_owner=as_owner)
        while not dump.is_done:
            time.sleep(0.01)
        if dump.end():
            return True
    return False


def _owner(pid: int) -> tuple[int, int] | None:
    """User and group of a process, where it has but one of each: else they may not look into it."""
    with suppress(OSError, ValueError):
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
        ids = {kind: set(map(int, rest)) for kind, *rest in _IDS.findall(status)}
        users, groups = ids.get("U", set()), ids.get("G", set())
        if len(users) == len(groups) == 1 and 0 not in users:
            return users.pop(), groups.pop()
    return None
