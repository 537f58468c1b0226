"""Recording of a WSGI application (PEP 3333)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from time import monotonic_ns, time_ns
from typing import Any, Callable, Optional

from ..journal.format import EVENT_STREAM, UNKNOWN, WEBSOCKET
from ..journal.writer import BEGIN_KIND
from .channel import channel_for
from .errors import calling, hide_own_frames, is_of_a_signal, safely
from .mask import ZEROS
from .request import Request, sum_of
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
                _leave(channel.streams, thread)
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


class _Request(Request):
    """One request on its way; towards the application it is the server's ``start_response``."""

    __slots__ = ("environ", "is_fetched", "server_start", "server_write", "thread")

    #: What calls the application's code, and the slot that it is named after, where there is one.
    call: Any = None
    slot = -1

    #: What the application's framework leaves its route in, where there is one.
    environ: Any
    #: Whether the server is waiting for the next chunk of a stream.
    is_fetched: bool
    server_start: Any
    server_write: Any
    #: The thread that streams it and does nothing else meanwhile, 0 where that is not known.
    thread: int

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

    def follow(self, body: Any, environ: Any) -> Any:
        """What the server gets in place of ``body``: closing it closes the record."""
        if not _has_chunks(type(body)):
            self.sent = UNKNOWN
            self.end()
            return body
        if safely(_is_file, body, environ):
            # The server knows its own file wrapper and sends it without Python's help.
            self.sent = UNKNOWN
            if not safely(_follow_file, self, body):
                self.end()
            return body
        self.is_fetched, self.thread = False, 0
        own_thread = type(environ) is dict and environ.get("wsgi.multithread") is True
        if own_thread and not self.channel.is_shared:
            self.thread = get_ident()
            self.channel.streams[self.thread] = self
        kind = _SizedBody if safely(hasattr, type(body), "__len__") else _Body
        return kind(self, body)


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


class _Body:
    """What the server gets in place of a body that is no list. A server that lets go of it without
    closing it is done with it as well."""

    __slots__ = ("_body", "_call", "_chunks", "_is_complete", "_request")

    def __init__(self, request: _Request, body: Any) -> None:
        self._request = request
        self._body = body
        self._chunks: Any = None
        self._is_complete = False
        self._call: Any = request.call

    def __iter__(self) -> Iterator[bytes]:
        # Asked twice, as by a middleware that looks at the first chunk, it goes on.
        if self._chunks is None:
            request = self._request
            try:
                self._chunks = self._call(iter, self._body) if self._call else iter(self._body)
            except BaseException as error:
                request.fail(error)
                raise
        return self

    def __next__(self) -> bytes:
        request = self._request
        request.is_fetched = True
        # Without an iterator it is as the application's own body would be.
        chunks = self._body if self._chunks is None else self._chunks
        try:
            chunk: bytes = self._call(next, chunks) if self._call else next(chunks)
        except StopIteration:
            # The response is complete: what runs on after this is in the application's close().
            if not self._is_complete:
                self._is_complete = True
                safely(request.answer, request.slot)
            raise
        except BaseException as error:
            request.fail(error)
            raise
        finally:
            request.is_fetched = False
        safely(request.count, chunk)
        return chunk

    def close(self) -> None:
        """The server has finished with the response, or has given it up."""
        request = self._request
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                self._call(close) if self._call else close()
        except BaseException as error:
            request.fail(error)
            raise
        request.end()
        _forget(request)
        request.channel.append_what_is_left()

    def __del__(self) -> None:
        safely(self._request.drop)
        safely(_forget, self._request)


class _SizedBody(_Body):
    """The body of an application that says how many chunks it has. The server may ask for that, and
    may go through the chunks more than once: to add up their lengths, then to send them."""

    __slots__ = ("_written",)

    def __init__(self, request: _Request, body: Any) -> None:
        super().__init__(request, body)
        self._written = request.sent

    def __iter__(self) -> Iterator[bytes]:
        # Each pass is a new one, and none says that the response is complete: close() does.
        self._chunks, self._is_complete = None, True
        chunks = super().__iter__()
        if self._chunks is not self._body:
            self._request.sent = self._written
        return chunks

    def __len__(self) -> int:
        try:
            return len(self._body)
        except BaseException as error:
            safely(hide_own_frames, error)
            raise


class _FileClose:
    """What a file wrapper has in place of its ``close``."""

    def __init__(self, request: _Request, close: Optional[Callable[[], Any]]) -> None:
        self._request = request
        self._close = close

    def __call__(self) -> None:
        request = self._request
        close, self._close = self._close, None
        try:
            if close is not None:
                close()
        except BaseException as error:
            request.fail(error)
            raise
        request.end()

    def __del__(self) -> None:
        safely(self._request.drop)


calling.update(
    {
        function.__code__: "request"
        for function in (
            Recorder.__call__, _Body.__iter__, _Body.__next__, _Body.close, _FileClose.__call__,
        )
    }
)  # fmt: skip


def _nothing(name: str, default: Any = None) -> Any:
    """Stands for ``get`` of an environ that is none."""
    return default


def _leave(streams: dict[int, Any], thread: int) -> None:
    """Closes the response that was streamed in this thread before: the thread has gone on."""
    earlier = streams.pop(thread, None)
    if earlier is not None and not earlier.is_fetched:
        earlier.end()


def _has_chunks(kind: type) -> bool:
    """False for what is no iterable, or whose items are no chunks: servers differ in what they
    make of that, uWSGI sends bytes as they are."""
    if kind is bytes or kind is str:
        return False
    return hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")


def _forget(request: _Request) -> None:
    """The stream is over: nothing of it is held until its thread goes on."""
    streams = request.channel.streams
    if streams.get(request.thread) is request:
        streams.pop(request.thread, None)


def _is_file(body: Any, environ: dict[str, Any]) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type):
        return issubclass(type(body), wrapper)
    # uWSGI's wrapper is a function that gives back the file itself.
    return wrapper is not None and hasattr(body, "fileno") and hasattr(body, "read")


def _follow_file(request: _Request, body: Any) -> bool:
    body.close = _FileClose(request, getattr(body, "close", None))
    return True


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
