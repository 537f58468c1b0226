"""Error stacks: of the exception that escaped and of errors logged during the request."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any, Optional

from ..journal.format import CUT_MARK, ERROR_LIMIT

_OWN_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
#: At most so many errors are kept of one request, each of at most so many characters. That is
#: far over the limit of all together, so that what is kept in the end is masked before it is cut:
#: half a secret would not be known for one.
_MOST_ERRORS = 8
_NOTE_LIMIT = 4 * ERROR_LIMIT


class Noted:
    """What a request collects while it is in flight."""

    __slots__ = ("errors",)

    errors: Optional[list[str]]

    def note(self, text: str) -> None:
        """Adds an error to those of the request; of too many, the last one is kept too."""
        text = bounded(text, _NOTE_LIMIT)
        if self.errors is None:
            self.errors = [text]
        elif len(self.errors) < _MOST_ERRORS:
            self.errors.append(text)
        else:
            self.errors[-1] = f"{CUT_MARK} more errors {CUT_MARK}\n{text}"


#: The request that the running task serves. Setting it costs more than a thread that serves one
#: request at a time should pay: there the request is found on the stack, when it is needed.
current: ContextVar[Optional[Noted]] = ContextVar("standfast_request", default=None)

#: The functions that call the application, each with the name of its variable for the request.
calling: dict[CodeType, str] = {}
_DEEPEST = 1000


def serving() -> Optional[Noted]:
    """The request that the calling code serves, or None."""
    request = current.get()
    if request is not None:
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

    The recorder's own frame is left out: the application's author shall read of the application.
    """
    try:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OWN_FOLDER):
            trace = trace.tb_next
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception:  # the error's own __str__ may be what is broken
        return f"{type(error).__module__}.{type(error).__qualname__}\n"


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
        try:
            if record.levelno >= logging.ERROR:
                request = serving()
                if request is not None:
                    request.note(_line(record))
        except Exception:  # as of logging.makeLogRecord, which makes a record without a level
            pass
        return record

    factory.standfast = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(factory)


def _line(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit the message: logging itself complains of them
        message = record.msg if isinstance(record.msg, str) else type(record.msg).__qualname__
    text = f"{record.name}: {message}\n"
    if record.exc_info and record.exc_info[1] is not None:
        text += stack_of(record.exc_info[1])
    return text
