"""Recording of a WSGI application (PEP 3333)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from time import monotonic_ns, time_ns
from typing import Any, Callable, Optional

from ..journal.format import EVENT_STREAM, WEBSOCKET
from ..journal.writer import BEGIN_KIND
from .bodies import Followed, leave
from .channel import channel_for
from .errors import calling, is_of_a_signal, safely
from .mask import ZEROS
from .request import sum_of
from .slots import Place, Slots, call
from .threads import get_ident
from .words import environ_texts, uri_of

#: What the outermost recorder leaves in the environ; others then stand aside.
KEY = "standfast.request"

_EVENT_STREAM = EVENT_STREAM << 24
_WEBSOCKET = WEBSOCKET << 24
#: How a library that has taken the connection over for a WebSocket tells gunicorn and werkzeug to
#: send nothing more when that is over; what has gone wrong has a type of its own.
_WEBSOCKET_IS_OVER = (StopIteration, ConnectionError)

_status_codes: dict[str, int] = {}


class Recorder:
    """A WSGI application that records each request of ``app`` and changes nothing else."""

    def __init__(
        self, app: Any, *, name: Optional[str] = None, journal: Optional[str] = None
    ) -> None:
        """``name`` of the application and folder of the ``journal``: else as STANDFAST_APP and
        STANDFAST_JOURNAL say."""
        self.app = app
        self.channel = channel_for(name, journal)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if type(environ) is dict and KEY in environ:
            inner: Iterable[bytes] = self.app(environ, start_response)
            return inner
        # From here to the call of the application, every line is paid for by every request.
        channel = self.channel
        slot = -1
        if channel.is_shared:
            request: _Request = _SharedRequest()
            slot = request.slot
        else:
            request = _Request()
        request.channel = channel
        request.server_start = start_response
        request.errors = None
        request.code = request.sent = request.seq = request.report_at = request.answered_ns = 0
        kind = BEGIN_KIND
        try:
            try:
                environ[KEY] = True
                get: Callable[..., Any] = environ.get
                uri = get("RAW_URI") or get("REQUEST_URI") or uri_of(environ, start_response)
                # Not QUERY_STRING: a server in front may have rewritten that, and not the URI.
                if uri.encode().translate(ZEROS) not in channel.clean and not channel.is_clean(uri):
                    uri = channel.masker.uri(uri)
                if "text/event-stream" in get("HTTP_ACCEPT", ""):
                    kind |= _EVENT_STREAM
                if "HTTP_UPGRADE" in environ and environ["HTTP_UPGRADE"].lower() == "websocket":
                    kind |= _WEBSOCKET
                text = "\0".join(
                    (
                        get("REMOTE_ADDR", ""),
                        get("REQUEST_METHOD", ""),
                        uri,
                        get("HTTP_HOST", ""),
                        get("HTTP_X_FORWARDED_FOR", ""),
                        get("HTTP_USER_AGENT", ""),
                    )
                )
                if "@" in text:
                    text = channel.masker.addressed(text)
                # As the server decoded it (PEP 3333); of ASCII, both are the same.
                fields = text.encode() if text.isascii() else text.encode("latin-1")
            except BaseException as error:  # it is not as PEP 3333 says: what can be read of it is
                if is_of_a_signal(error):
                    raise
                fields, get = environ_texts(environ, channel.masker), _nothing
            if len(fields) > channel.plain_up_to:
                fields, kind = channel.bounded(fields, kind)
            thread = get_ident()
            if channel.streams:
                leave(channel.streams, thread)
            if channel.cpu_time:
                request.turn = channel.cpu.begin()
            request.begun_ns = begun = monotonic_ns()
            wall = time_ns()
            writer = channel.writer
            request.seq = writer.begin(
                fields, wall, begun, thread, kind, slot
            ) or channel.begin_first(
                writer, fields, wall, begun, thread, kind, slot, get("SERVER_SOFTWARE", "")
            )
        except BaseException as error:  # whatever is wrong with our record, the request is served
            if is_of_a_signal(error):
                request.fail(error)
                raise
            channel.lose()
        try:
            start: Any = request.start_response
            if channel.patterns is not None:
                request.environ = environ
                start = request.start_seen
            app = self.app
            if slot < 0:
                result: Any = app(environ, start)
            else:
                result = request.call(app, environ, start)
        except BaseException as error:
            if kind & _WEBSOCKET and type(error) in _WEBSOCKET_IS_OVER:
                request.end()
            else:
                request.fail(error)
            raise
        if type(result) is not list and type(result) is not tuple:
            body: Iterable[bytes] = request.follow(result, environ)
            return body
        # The application's code is done, and the server must see what it was given: from the
        # length of a list it tells the length of the response.
        if len(result) == 1 and type(result[0]) is bytes and not request.sent:
            request.sent = len(result[0])
        else:
            for chunk in result:
                request.sent = sum_of(request.sent, chunk)
        request.end()
        whole: Iterable[bytes] = result
        return whole


class _Request(Followed):
    """One request on its way; towards the application it is the server's ``start_response``."""

    __slots__ = ("environ", "server_start", "server_write")

    #: What the application's framework leaves its route in, where there is one.
    environ: Any
    server_start: Any
    server_write: Any

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        try:
            self.code = _status_codes[status] if type(status) is str else _code_of(status)
        except KeyError:
            self.code = _code_of(status)
        start = self.server_start
        if exc_info is None:
            self.server_write = write = start(status, headers)
        else:
            try:
                self.server_write = write = start(status, headers, exc_info)
            finally:
                exc_info = None  # or the traceback would hold this frame for ever
        return self.write_body if write is not None else None

    def start_seen(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """``start_response`` that has the application's framework asked for its route first."""
        try:
            self.channel.patterns.see_response(self.environ)  # type: ignore[union-attr]
        except BaseException as error:
            if is_of_a_signal(error):
                raise
        try:
            return self.start_response(status, headers, exc_info)
        finally:
            exc_info = None  # or the traceback would hold this frame for ever

    def write_body(self, data: bytes) -> Any:
        """The server's ``write``, the old way of sending."""
        result = self.server_write(data)
        safely(self.count, data)
        return result


class _SharedRequest(_Request):
    """One of many that are served by one thread."""

    __slots__ = ("_place", "call", "slot")

    def __init__(self) -> None:
        try:
            self._place: Place = _slots.free.pop()
        except IndexError:
            self._place = _slots.make()
        self.slot, self.call, _ = self._place

    def __del__(self) -> None:
        self._place[2](self._place)


_slots = Slots(call)


calling[Recorder.__call__.__code__] = "request"


def _nothing(name: str, default: Any = None) -> Any:
    """Stands for ``get`` of an environ that is none."""
    return default


def _code_of(status: Any) -> int:
    """The number at the start of a status line, remembered; 0 where there is none."""
    if not issubclass(type(status), str):
        return 0
    line = str.__str__(status)
    try:
        code = int(line[:3])
    except ValueError:
        return 0
    if 0 < code < 1000 and len(_status_codes) < 256:
        _status_codes[line] = code
    return code if 0 < code < 1000 else 0


def name_arguments(*names: str) -> None:
    """From now on ``start_response`` takes its arguments by these names, which are the server's;
    without any it takes none by its name, as uWSGI does."""
    functions: list[Any] = [_Request.start_response, _Request.start_seen]
    for function in functions:
        code = function.__code__
        if names:
            kept = code.co_varnames[len(names) + 1 :]
            function.__code__ = code.replace(co_varnames=("self", *names, *kept))
        else:
            function.__code__ = code.replace(co_posonlyargcount=code.co_argcount)


if "uwsgi" in sys.modules:
    name_arguments()
