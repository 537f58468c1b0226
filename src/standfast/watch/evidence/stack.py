"""What a worker is doing while a request of it does not come to its end.

py-spy tells it from outside. The worker itself is asked nothing and sent nothing: a signal would
interrupt what it is doing. Where this user may not look into the process, there is no stack.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from standfast.journal import identity
from standfast.store.evidence import CLIENT_WAIT, LOOP_WAIT, STACK, Fact, Source
from standfast.watch.facts import client_wait_words
from standfast.watch.liveness import Process
from standfast.watch.waits import BODY, RESPONSE, Call, ClientWait, client_wait, loop_wait

from . import py_spy, threads, traffic
from .collector import Death, Living
from .sockets import Connections, waits_on_client

#: How often a stack is tried to be read that changed meanwhile, and how long apart, in seconds.
_TRIES = 6
_AGAIN_S = 0.1
#: So many are read at a time; the others wait for their turn.
_AT_ONCE = 4


class Exchange(NamedTuple):
    """A request that hangs: the address that its connection comes from, when it began, and whether
    it is one by which clients send something."""

    address: str
    begun_ns: int
    sends: bool


class Question(NamedTuple):
    """Whose stacks are wanted. ``data`` goes into the fact as it is; ``wanted`` has the requests
    that hang by their threads (as threading.get_ident() names them), which are kept before others;
    ``exchanges`` has them by their names.
    """

    living: Living
    data: dict[str, Any]
    wanted: Mapping[int, Sequence[str]] = {}
    exchanges: Mapping[str, Exchange] = {}


@dataclass
class _Asked:
    """A question that has no answer yet."""

    question: Question
    at_ns: int
    dump: py_spy.Dump | None = None
    tries: int = 0
    again_at: float = 0.0


class Stacks:
    """Has stacks read and collects them, without ever waiting for one."""

    def __init__(self) -> None:
        self._asked: list[_Asked] = []
        self._taken: list[tuple[Process, int, Fact]] = []
        self._program = py_spy.program()

    def ask(self, question: Question) -> None:
        """Asks for the stacks of one worker, unless an answer of it is still to come."""
        process = question.living.process
        if self._program is None or any(a.question.living.process == process for a in self._asked):
            return
        self._asked.append(_Asked(question, time.time_ns()))
        self.look(())

    def taken(self) -> list[tuple[int, Fact]]:
        """The answers that have come, each once, with the number of their worker."""
        self.look(())
        taken, self._taken = self._taken, []
        return [(worker_id, fact) for _, worker_id, fact in taken]

    def look(self, living: Sequence[Living]) -> None:
        """Sees which answers have come, and has the next ones read."""
        for asked in list(self._asked):
            if asked.dump is not None and asked.dump.is_done:
                self._see(asked)
        running = sum(asked.dump is not None for asked in self._asked)
        for asked in list(self._asked):
            if asked.dump is None and running < _AT_ONCE and time.monotonic() >= asked.again_at:
                running += self._start(asked)

    def facts(self, death: Death) -> list[Fact]:
        """What had been read of the worker before it died."""
        for asked in list(self._asked):
            if asked.question.living.process == death.process:
                if asked.dump is not None:
                    self._take(asked, asked.dump.end())
                self._asked.remove(asked)
        return [fact for process, _, fact in self._taken if process == death.process]

    def forget(self, death: Death) -> None:
        """Nothing is kept for longer than it takes to come."""

    def close(self) -> None:
        """Waits for no answer any more."""
        while self._asked:
            if dump := self._asked.pop().dump:
                dump.end()

    def _start(self, asked: _Asked) -> bool:
        if self._program is None or not _is_there(asked.question.living):
            self._asked.remove(asked)
            return False
        try:
            # As its owner; at every third try as we are: an owner may not always look into it.
            asked.dump = py_spy.Dump(
                self._program, asked.question.living.pid, as_owner=asked.tries % 3 < 2
            )
        except OSError:
            self._asked.remove(asked)
            return False
        asked.tries += 1
        asked.at_ns = time.time_ns()
        return True

    def _see(self, asked: _Asked) -> None:
        said = asked.dump.end() if asked.dump else b""
        asked.dump = None
        # Its pid may have been given to another while py-spy looked.
        if not _is_there(asked.question.living):
            said, asked.tries = b"", _TRIES
        if self._take(asked, said) or asked.tries >= _TRIES:
            self._asked.remove(asked)
        else:
            asked.again_at = time.monotonic() + _AGAIN_S

    def _take(self, asked: _Asked, said: bytes) -> bool:
        found = threads.parse(said)
        if not found:
            return False
        question = asked.question
        pid = question.living.pid
        # After a fork Python may still have the number that the thread had in the parent.
        found = [one if _is_task(pid, one.tid) else one._replace(tid=pid) for one in found]
        kept = threads.chosen(found, question.wanted)
        data = {**question.data, **threads.data_of(kept, len(found))}
        text = threads.text_of(kept, len(found))
        fact = Fact(STACK, Source.PY_SPY, asked.at_ns, text, data)
        told = [fact, *_waits(question, found, asked.at_ns)]
        living = question.living
        self._taken += [(living.process, living.worker_id, one) for one in told]
        return True


def _waits(question: Question, found: list[threads.Thread], at_ns: int) -> Iterator[Fact]:
    """Which of the threads that hang wait for their client, and which are a loop that waits."""
    for thread in found:
        names = question.wanted.get(thread.ident)
        if names is None:
            continue
        # Two facts of one kind and source need two times.
        at_ns += 1
        calls = [Call(one.function, one.file, one.line) for one in thread.frames]
        data: dict[str, Any] = {"thread": thread.ident}
        loop = None if thread.active else loop_wait(calls)
        if loop:
            words = (
                f"the event loop ({loop}) in which {', '.join(names[:5])} hung had nothing to do"
            )
            data |= {"loop": loop, "request_ids": list(names)}
            yield Fact(LOOP_WAIT, Source.PY_SPY, at_ns, words, data)
            yield from _waits_in_loop(question, thread.ident, names, at_ns)
            continue
        source = Source.PY_SPY
        wait = client_wait(calls)
        if wait is None and (
            part := waits_on_client(question.living.pid, thread.tid, Connections())
        ):
            wait, source = ClientWait("the server", part), Source.PROC
        if wait is not None and len(names) == 1:
            data |= {"part": wait.part, "server": wait.server, "request_id": names[0]}
            yield Fact(CLIENT_WAIT, source, at_ns, client_wait_words(wait), data)


def _waits_in_loop(
    question: Question, thread: int, names: Sequence[str], at_ns: int
) -> Iterator[Fact]:
    """Which of the requests in a loop that waits are held up by their clients, where each can be
    told by its address: no other one, and no other connection, comes from there."""
    connections = traffic.of_clients(question.living.pid)
    asked = {name: question.exchanges[name] for name in names if name in question.exchanges}
    addresses = Counter(one.address for one in asked.values())
    for name, exchange in asked.items():
        found = [one for one in connections if one.address == exchange.address]
        if len(found) != 1 or addresses[exchange.address] != 1:
            continue
        part = held_up(found[0], exchange, (at_ns - exchange.begun_ns) / 1e9)
        if part:
            at_ns += 1
            wait = ClientWait("the server", part)
            words = client_wait_words(wait)
            if part == BODY:
                words += f", and got something {found[0].silent_s:.1f} s before"
            data = {"thread": thread, "part": part, "server": wait.server, "request_id": name}
            yield Fact(CLIENT_WAIT, Source.SOCK_DIAG, at_ns, words, data)


def held_up(connection: traffic.Connection, exchange: Exchange, age_s: float) -> str | None:
    """What the client is to do: take in more of the ``response``, or go on sending the ``body``. It
    is still sending where it has sent something in the last quarter of the request's time."""
    if connection.is_behind:
        return RESPONSE
    return BODY if exchange.sends and connection.silent_s < age_s / 4 else None


def _is_task(pid: int, tid: int) -> bool:
    return Path(f"/proc/{pid}/task/{tid}").exists()


def _is_there(living: Living) -> bool:
    """Whether the pid is still that of the worker."""
    return identity.start_ticks(living.pid) == living.process.start_ticks
