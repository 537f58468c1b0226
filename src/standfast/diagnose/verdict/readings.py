"""What the facts of a case say when read together: the end, the memory, the processor, the stack.

Facts come from a store that others may have written to: values of the wrong type are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from standfast.diagnose.words import moment
from standfast.store import evidence
from standfast.store.evidence import Fact, Source

from .case import Case, Unfinished
from .orders import is_exec, orders_of
from .stacks import Frame, Stack, exception_in, last_error, stacks_of

#: Signals of the processor or of abort(3): the program itself did what must not be done.
FATAL = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"})
#: Signals that ask a process to stop.
STOPPING = frozenset({"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"})

#: Conditions of the machine count when they were seen this close to the end.
NEAR_NS = 600_000_000_000

# The most trusted sources of an end first: the kernel, then the parent that waited for the process;
# what others say is their reading of it.
_TRUST = (Source.PIDFD, Source.PROCESS_EVENTS, Source.MASTER)
_QUOTE = 200


def number(data: Any, name: str) -> float | None:
    """A number of a fact's data."""
    return _finite(data.get(name))


def text(data: Any, name: str) -> str | None:
    """A text of a fact's data."""
    value = data.get(name)
    return value if isinstance(value, str) else None


def cite(fact: Fact, words: str = "") -> str:
    """A sentence with its source: ``words``, or else the first line of what the source said."""
    said = (words or fact.text.strip().partition("\n")[0].strip() or fact.kind)[:_QUOTE]
    return f"{said[:1].upper()}{said[1:].rstrip('.')} ({fact.source}, {moment(fact.at_ns)})."


class End(NamedTuple):
    """How a process ended, as one source has it; ``fact`` is None for the store's own row."""

    signal: str | None
    exit_code: int | None
    fact: Fact | None

    @property
    def words(self) -> str:
        """``SIGSEGV`` or ``exit code 3``."""
        return self.signal or f"exit code {self.exit_code}"


#: The columns of the curve, after the seconds before the end.
_COLUMNS = ("rss", "cpu_s", "threads", "descriptors")


@dataclass(frozen=True)
class Readings:
    """One case, read. Everything is worked out when it is first asked for."""

    case: Case

    @cached_property
    def ends(self) -> list[End]:
        """What each source says of the end, the most trusted first."""
        found = [
            end
            for fact in self.case.all(evidence.EXIT, evidence.START_FAILURE, evidence.UNRECORDED)
            if (end := _end(fact)) is not None
        ]
        found.sort(key=lambda end: _rank(end.fact))
        row = End(self.case.signal, self.case.exit_code, None)
        if not found and (row.signal is not None or row.exit_code is not None):
            found.append(row)
        return found

    @cached_property
    def end(self) -> End:
        """The end as the most trusted source has it; both parts are None where none is known."""
        if self.ends:
            return self.ends[0]
        traceback = self.case.first(evidence.TRACEBACK)
        return End(text(traceback.data, "signal") if traceback else None, None, traceback)

    @cached_property
    def known(self) -> bool:
        """Whether anybody saw how the process ended."""
        return self.end.signal is not None or self.end.exit_code is not None

    def near(self, *kinds: str) -> list[Fact]:
        """The facts of these kinds that were seen close to the end."""
        return [f for f in self.case.all(*kinds) if abs(f.at_ns - self.case.died_ns) <= NEAR_NS]

    @cached_property
    def stalled(self) -> bool:
        """Whether a request was not coming to its end."""
        return bool(self.case.all(evidence.TIMEOUT) or self.hangs) or self.case.kind == "hang"

    @cached_property
    def texts(self) -> str:
        """What programs wrote about this worker, and the errors of its last requests."""
        written = [f.text for f in self.case.all(evidence.LOG, evidence.START_FAILURE)]
        errors = [r.error for r in self.case.requests if r.error]
        return "\n".join([*written, *self.case.errors, *errors])

    @cached_property
    def exception(self) -> str | None:
        """The last exception that these texts name, such as ``ModuleNotFoundError: …``."""
        lines = self.texts[-_TEXT:].splitlines()
        return next((found for line in reversed(lines) if (found := exception_in(line))), None)

    @cached_property
    def torn(self) -> list[Torn]:
        """The requests that an exception ended which is none of ``Exception``, where it is known:
        such as SystemExit."""
        return [Torn(r, *last_error(r.error)) for r in self.case.requests if r.aborted]

    @cached_property
    def orders(self) -> list[Fact]:
        """What masters, servers and the application itself say of why the worker was to end."""
        return orders_of(self.case)

    @cached_property
    def replaced(self) -> bool:
        """Whether the process has gone on as another program while requests were in flight."""
        return any(is_exec(order) for order in self.orders)

    @cached_property
    def hears_master(self) -> bool:
        """Whether this worker's master is one whose reasons are recorded."""
        return any(fact.source == Source.MASTER for fact in self.case.facts)

    @cached_property
    def _samples(self) -> list[tuple[float, list[Any]]]:
        """The curve as (seconds before the end, the whole row), the oldest first."""
        found = []
        rows = self.curve.data.get("samples") if self.curve else None
        for row in rows if isinstance(rows, list) else ():
            before_s = _finite(row[0]) if isinstance(row, list) and row else None
            if before_s is not None:
                found.append((before_s, row))
        return sorted(found, key=lambda sample: -sample[0])

    @cached_property
    def _columns(self) -> dict[str, list[tuple[float, float]]]:
        """The columns that were asked for: several rules ask for the same one."""
        return {}

    @cached_property
    def curve(self) -> Fact | None:
        """The fact that the samples come from: the last, where a hang had one of its own."""
        return next(iter(reversed(self.case.all(evidence.CURVE))), None)

    def column(self, name: str) -> list[tuple[float, float]]:
        """One column of the curve as (seconds before the end, value), where it was read."""
        if name not in self._columns:
            at = 1 + _COLUMNS.index(name)
            values = [(ago_s, _finite(row[at])) for ago_s, row in self._samples if len(row) > at]
            self._columns[name] = [(ago_s, value) for ago_s, value in values if value is not None]
        return self._columns[name]

    def rise(self, name: str, since_s: float = math.inf) -> tuple[float, float] | None:
        """The lowest and the last value of a column in the last ``since_s`` seconds."""
        values = [value for before_s, value in self.column(name) if before_s <= since_s]
        return (min(values), values[-1]) if len(values) > 1 else None

    @cached_property
    def span_s(self) -> float:
        """How far back the curve matters: to when the oldest request in flight began. What came
        before is how the application was loaded, and requests that did no harm."""
        began = [request.begun_ns for request in self.case.requests]
        if not began:
            return _SPAN_S
        return max((self.case.died_ns - min(began)) / 1e9 + _BEFORE_S, _BEFORE_S)

    @cached_property
    def hangs(self) -> list[Fact]:
        """Requests that were seen to hang and are not known to have ended by themselves."""
        said = self.case.all(evidence.HANG)
        over = {str(fact.data.get("request_id")) for fact in said if fact.data.get("over")}
        return [fact for fact in said if str(fact.data.get("request_id")) not in over]

    @cached_property
    def busy(self) -> float | None:
        """Processors used over the last seconds of the curve (1.0 is one processor)."""
        spent = self.column("cpu_s")
        if len(spent) < 2:
            return None
        last_s, last = spent[-1]
        window = [pair for pair in spent if pair[0] - last_s <= _BUSY_S]
        first_s, first = window[0]
        if first_s - last_s < _LEAST_S:
            return None
        return max(last - first, 0.0) / (first_s - last_s)

    @cached_property
    def burned_s(self) -> float | None:
        """Seconds of processor time that the worker has used since the oldest request began."""
        spent = [value for ago_s, value in self.column("cpu_s") if ago_s <= self.span_s]
        return max(spent[-1] - spent[0], 0.0) if len(spent) > 1 else None

    @cached_property
    def stacks(self) -> list[Stack]:
        """The threads that were shown, of the last time that they were."""
        # A master's time-out may end a worker with SIGABRT: the traceback then is its stack.
        kinds = [evidence.STACK] + [evidence.TRACEBACK] * self.stalled
        for fact in reversed(self.case.all(*kinds)):
            if found := stacks_of(fact):
                return found
        return []

    @cached_property
    def stuck(self) -> list[Stack]:
        """The threads that matter for why nothing came back: those of the requests that hung, or
        else of all; the thread that the source itself points to, or the only one, where nothing was
        in flight."""
        hanging = {str(fact.data.get("request_id")) for fact in self.hangs}
        requests = [r for r in self.case.requests if r.name in hanging] or self.case.requests
        found = [stack for r in requests if (stack := self.stack_of(r)) is not None]
        if not found:
            # They wait for another request, which holds the thread that they share.
            shared = {request.thread for request in requests} - {0}
            found = [s for s in self.stacks if s.slots and s.thread in shared]
        if not found:
            chosen = {number(stack.fact.data, "thread") for stack in self.stacks} - {None, 0}
            found = [s for s in self.stacks if s.thread in chosen or s.is_current]
        if not found and len(self.stacks) == 1:
            found = self.stacks
        return list({id(stack): stack for stack in found}.values())[:_MOST_STACKS]

    def stack_of(self, request: Unfinished) -> Stack | None:
        """The thread that serves this request, where the stacks show it. Of many requests in one
        thread, only the one whose frame stands in it."""
        for stack in self.stacks:
            if stack.slots:
                if request.slot == stack.slots[0]:
                    return stack
            elif stack.thread and request.thread == stack.thread and not stack.is_idle_loop:
                return stack
        return None


class Torn(NamedTuple):
    """A request that was torn out of the application: by which exception, raised where."""

    request: Unfinished
    exception: str
    raised: Frame | None

    @property
    def by_itself(self) -> bool:
        """Whether code that is no server's raised SystemExit."""
        return self.exception == "SystemExit" and not (
            self.raised is None or self.raised.is_of_a_server
        )


#: Two samples of the watcher: the last one before a request may be that old.
_BEFORE_S = 1.0
_SPAN_S = 60.0
_BUSY_S = 5.0
_LEAST_S = 0.4
_MOST_STACKS = 5
#: The end of what programs wrote, where the last exception is named.
_TEXT = 64 * 1024


def _finite(value: Any) -> float | None:
    # A million values are looked at where thousands of incidents are: this is quicker than
    # isinstance, and a bool is no number.
    if type(value) is not float and type(value) is not int:
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _end(fact: Fact) -> End | None:
    signal, code = text(fact.data, "signal"), number(fact.data, "exit_code")
    if signal is None and code is None:
        return None
    return End(signal, None if signal is not None or code is None else int(code), fact)


def _rank(fact: Fact | None) -> int:
    source = fact.source if fact else ""
    return next((rank for rank, one in enumerate(_TRUST) if one == source), len(_TRUST))
