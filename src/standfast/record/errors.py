"""Error stacks: of the exception that escaped and of errors logged during the request."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # without the enumerations: 60 times as fast
import logging
import os
import re
import sys
import traceback
from contextvars import ContextVar
from functools import partial
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, Callable, Optional
from weakref import WeakValueDictionary

from ..journal.format import ABORTED, CANCELLED, CUT_MARK, ERROR_LIMIT

_OWN_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
#: At most so many errors are kept of one request, each of at most so many characters. That is
#: far over the limit of all together, so that what is kept in the end is masked before it is cut:
#: half a secret would not be known for one.
_MOST_ERRORS = 8
_NOTE_LIMIT = 4 * ERROR_LIMIT
#: asyncio's, trio's, and what ends a generator that nobody wants any more.
_GREENLETS = re.compile(r"/(gevent|eventlet|greenlet)/")
_CANCELLATIONS = ("CancelledError", "Cancelled", "GeneratorExit")


class Noted:
    """What a request collects while it is in flight."""

    __slots__ = ("begun_ns", "errors", "seq")

    #: When it began, by the monotonic clock.
    begun_ns: int
    errors: Optional[list[str]]
    #: The request's number; 0 when it is not recorded, or no longer.
    seq: int

    def note(self, text: str) -> None:
        """Adds an error to those of the request; of too many, the last one is kept too."""
        text = bounded(text, _NOTE_LIMIT)
        if self.errors is None:
            self.errors = [text]
        elif len(self.errors) < _MOST_ERRORS:
            self.errors.append(text)
        else:
            self.errors[-1] = f"{CUT_MARK} more errors {CUT_MARK}\n{text}"


#: When the request began that the running task serves, by the monotonic clock. Setting it
#: costs more than a thread that serves one request at a time should pay: there the request is found
#: on the stack, when it is needed. A task that was started by a request keeps the context, for ever
#: it may be: a number keeps nothing else alive.
current: ContextVar[int] = ContextVar("standfast_request", default=0)
#: The requests in flight that are found so, each at its slot.
running: list[Optional[Noted]] = []

#: The functions that call the application, each with the name of its variable for the request.
calling: dict[CodeType, str] = {}
_DEEPEST = 1000


def serving() -> Optional[Noted]:
    """The request that the calling code serves, or None."""
    begun_ns = current.get()
    request = next((one for one in running if one and one.begun_ns == begun_ns), None)
    if request is not None and request.seq:
        return request
    frame: Optional[FrameType] = sys._getframe(1)
    for _ in range(_DEEPEST):
        if frame is None:
            break
        name = calling.get(frame.f_code)
        if name is not None:
            found: Optional[Noted] = frame.f_locals.get(name)
            if found is not None:  # a recorder that stands aside for another has none
                return found
        frame = frame.f_back
    return None


def stack_of(error: BaseException) -> str:
    """The traceback as Python prints it, or the bare name where even that goes wrong.

    The recorder's own frames are left out: the application's author reads of the application.
    Where the exception is none of ``Exception``, the last line starts with the name of its class.
    """
    name = safely(_name_of, type(error), default="an exception without a name")
    text: str = safely(_formatted, error, default="") or f"{name}\n"
    last = text.rstrip("\n").rpartition("\n")[2]
    if not issubclass(type(error), Exception) and not last.startswith(name):
        text += f"{name}\n"
    return text


def _name_of(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _formatted(error: BaseException) -> str:
    whole = traceback.TracebackException(type(error), error, error.__traceback__)
    left, seen = [whole], set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = [frame for frame in one.stack if not frame.filename.startswith(_OWN_FOLDER)]
        left += filter(None, (one.__cause__, one.__context__))
        left += getattr(one, "exceptions", None) or ()
    return "".join(whole.format())


_traceback = vars(BaseException)["__traceback__"]


def hide_own_frames(error: BaseException) -> None:
    """Takes our frames off the outer end of its traceback: who catches it sees the server's and the
    application's. Up to Python 3.10 a ``raise`` brings them back."""
    trace = _traceback.__get__(error)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OWN_FOLDER):
        trace = trace.tb_next
    _traceback.__set__(error, trace)


def end_flags(error: BaseException) -> int:
    """The flags of the end record of a request that ``error`` went through."""
    kind = type(error)
    if issubclass(kind, Exception):
        return 0
    # By name: the application may use asyncio, trio or neither, and nothing is imported for it.
    cancelled = any(one.__name__ in _CANCELLATIONS for one in type.mro(kind))
    return CANCELLED if cancelled else ABORTED


def safely(action: Callable[..., Any], *arguments: Any, default: Any = None) -> Any:
    """What ``action`` returns, or ``default`` where it raises: the one guard around what belongs
    to the application and is touched by us. It may raise anything, and the request goes on.

    What a signal handler raises meanwhile (gunicorn's time-out does) passes: it would without us.
    """
    try:
        return action(*arguments)
    except BaseException as error:
        if is_of_a_signal(error):
            raise
        return default


def is_of_a_signal(error: BaseException) -> bool:
    """Whether a signal handler raised it, or one greenlet in another: not what was called."""
    handlers = {_code_of(_signal.getsignal(number)) for number in range(1, _signal.NSIG)}
    file, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        file, trace = code.co_filename, trace.tb_next
        if code in handlers:
            return True
        if _GREENLETS.search(file):
            return not isinstance(error, Exception)
    # Python's own handler of SIGINT is none of Python's functions: it leaves no frame.
    return type(error) is KeyboardInterrupt and file.startswith((_OWN_FOLDER, traceback.__file__))


def _code_of(handler: Any) -> Optional[CodeType]:
    """The code that runs first in a handler of any kind; None where that is none of Python's."""
    kind = type(handler)
    if kind is FunctionType:
        code: CodeType = handler.__code__
        return code
    if kind is partial:
        return _code_of(handler.func)
    if kind is MethodType:
        return _code_of(handler.__func__)
    call = next((vars(one)["__call__"] for one in type.mro(kind) if "__call__" in vars(one)), None)
    return _code_of(call) if type(call) is FunctionType else None


def bounded(text: str, limit: int = ERROR_LIMIT) -> str:
    """``text`` in at most ``limit`` characters: the middle goes, with a mark, the end stays.

    Where an error came from stands at its end, so that is kept longest.
    """
    if len(text) <= limit:
        return text
    head, tail = limit // 4, limit * 3 // 4 - 64
    mark = f"\n{CUT_MARK} {len(text) - head - tail} characters cut {CUT_MARK}\n"
    return text[:head] + mark + text[-tail:]


def watch_logging() -> None:
    """From now on errors that are logged during a request are noted with it.

    The factory of log records is logging's documented place for this: it sees every logger,
    whatever handlers the application sets up later, and changes nothing that they see.
    """
    make = logging.getLogRecordFactory()
    if getattr(make, "standfast", False):
        return

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        safely(_note, record)
        return record

    factory.standfast = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(factory)


#: The log records that have been noted, as long as they live: the application's own factory may
#: stand between two of ours, and each of them sees the record.
_noted: WeakValueDictionary[int, logging.LogRecord] = WeakValueDictionary()


def _note(record: logging.LogRecord) -> None:
    if record.levelno >= logging.ERROR:
        request = serving()
        if request is not None and _noted.get(id(record)) is not record:
            _noted[id(record)] = record
            request.note(_line(record))


def _line(record: logging.LogRecord) -> str:
    message = safely(record.getMessage)
    if message is None:  # arguments that do not fit the message: logging itself complains of them
        message = record.msg if isinstance(record.msg, str) else type(record.msg).__qualname__
    text = f"{record.name}: {message}\n"
    if record.exc_info and record.exc_info[1] is not None:
        text += stack_of(record.exc_info[1])
    return text
