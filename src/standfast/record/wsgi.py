"""Recording of a WSGI application (PEP 3333)."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Iterable, Iterator
from time import monotonic_ns, thread_time_ns, time_ns
from typing import Any, Callable, Optional
from urllib.parse import quote

from ..journal.format import ABORTED, UNKNOWN
from ..journal.writer import BEGIN_KIND, END_KIND, pack_end
from .channel import Channel, channel_for
from .errors import Noted, calling, stack_of
from .mask import SHORT, has_long_part, may_have_key

#: Where the outermost recorder leaves its request in the environ; others then stand aside.
KEY = "standfast.request"

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
        if KEY in environ:
            inner: Iterable[bytes] = self.app(environ, start_response)
            return inner
        # From here to the call of the application, every line is paid for by every request.
        environ[KEY] = request = _Request()
        request.channel = channel = self.channel
        request.server_start = start_response
        request.status = request.errors = None
        request.sent = 0
        try:
            get = environ.get
            uri = get("RAW_URI") or get("REQUEST_URI") or _uri(environ)
            mark = uri.find("?")
            # Not QUERY_STRING: a server in front may have rewritten that, and not the URI.
            if (
                (mark >= 0 and not channel.is_clean(uri[mark + 1 :]))
                or uri[:1] != "/"
                or (len(uri) > SHORT and has_long_part(uri) and may_have_key(uri))
            ):
                uri = channel.masker.uri(uri)
            text = (
                f"{get('REMOTE_ADDR', '')}\0{environ['REQUEST_METHOD']}\0{uri}"
                f"\0{get('HTTP_HOST', '')}\0{get('HTTP_X_FORWARDED_FOR', '')}"
                f"\0{get('HTTP_USER_AGENT', '')}"
            )
            if "@" in text:
                text = channel.masker.addressed(text)
            try:
                fields = text.encode("latin-1")  # as the server decoded it (PEP 3333)
            except UnicodeEncodeError:
                fields = text.encode("utf-8", "backslashreplace")
            kind = BEGIN_KIND
            if len(fields) > channel.plain_up_to:
                fields, kind = channel.bounded(fields, kind)
            if channel.cpu_time:
                request.cpu_ns = thread_time_ns()
            request.begun_ns = begun = monotonic_ns()
            wall = time_ns()
            thread = get_ident()
            writer = channel.writer
            request.seq = writer.begin(fields, wall, begun, thread, kind) or channel.begin_slowly(
                writer, fields, wall, begun, thread, kind, get("SERVER_SOFTWARE", "")
            )
        except Exception:  # whatever is wrong with our record, the request must be served
            request.seq = 0
        try:
            result: Iterable[bytes] = self.app(environ, request.start_response)
        except BaseException as error:
            request.fail(error)
            raise
        if type(result) is not list and type(result) is not tuple:
            body: Iterable[bytes] = request.follow(result, environ)
            return body
        # The application's code is done, and the server must see what it was given: from the
        # length of a list it tells the length of the response.
        try:
            request.sent = len(result[0]) if len(result) == 1 else sum(map(len, result))
        except Exception:  # no bytes: the server will say what it thinks of that
            request.sent = UNKNOWN
        request.end()
        return result


class _Request(Noted):
    """One request on its way; towards the server it is also the response's body."""

    __slots__ = (
        "_body", "_chunks", "begun_ns", "channel", "cpu_ns", "sent", "seq", "server_start",
        "status",
    )  # fmt: skip

    begun_ns: int
    channel: Channel
    cpu_ns: int
    sent: int
    seq: int
    server_start: Any
    status: Optional[str]

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        self.status = status
        if exc_info is None:
            return self.server_start(status, headers)
        try:
            return self.server_start(status, headers, exc_info)
        finally:
            exc_info = None  # or the traceback would hold this frame for ever

    def end(self, kind: int = END_KIND) -> None:
        """Closes the record; a second call does nothing."""
        seq = self.seq
        if not seq:
            return
        self.seq = 0
        self.server_start = None  # which may hold the environ, and the environ holds this
        try:
            duration = monotonic_ns() - self.begun_ns
            channel = self.channel
            status = self.status
            try:
                code = _status_codes.get(status) or _code(status) if status else 0
            except TypeError:  # no text, and no key of a dictionary either
                code = 0
            cpu = UNKNOWN
            if channel.cpu_time:
                cpu = thread_time_ns() - self.cpu_ns
                if cpu < 0:  # another thread than the one that began
                    cpu = UNKNOWN
            error = b""
            if self.errors:
                error, kind = channel.error(self.errors, kind)
            channel.writer.append(kind, pack_end(seq, duration, cpu, self.sent, code) + error)
        except Exception:  # as at the beginning
            return

    def fail(self, error: BaseException) -> None:
        """Closes the record of a request that ``error`` ended."""
        if isinstance(error, GeneratorExit):
            self.end()
        elif self.seq:
            self.note(stack_of(error))
            self.end(END_KIND if isinstance(error, Exception) else END_KIND | ABORTED << 24)

    def follow(self, body: Any, environ: dict[str, Any]) -> Any:
        """What the server gets in place of ``body``: closing it closes the record."""
        if _is_file(body, environ):
            # The server knows its own file wrapper and sends it without Python's help.
            try:
                self._body: Any = getattr(body, "close", None)
                body.close = self._close_file
            except AttributeError:
                self.end()
            return body
        self._body = body
        self._chunks: Any = None
        return self if not hasattr(type(body), "__len__") else _Sized(self, body)

    def _close_file(self) -> None:
        close, self._body = self._body, None
        self._closing(close)

    def __iter__(self) -> Iterator[bytes]:
        # Asked twice, as by a middleware that looks at the first chunk, it goes on.
        if self._chunks is None:
            try:
                self._chunks = iter(self._body)
            except BaseException as error:
                self.fail(error)
                raise
        return self

    def __next__(self) -> bytes:
        try:
            chunk: bytes = next(self._chunks)
        except StopIteration:
            raise
        except BaseException as error:
            self.fail(error)
            raise
        try:
            self.sent += len(chunk)
        except TypeError:
            pass  # no bytes: the server will say what it thinks of that
        return chunk

    def close(self) -> None:
        """The server has finished with the response, or has given it up."""
        self._closing(getattr(self._body, "close", None))

    def _closing(self, close: Optional[Callable[[], Any]]) -> None:
        try:
            if close is not None:
                close()
        except BaseException as error:
            self.fail(error)
            raise
        self.end()
        # The body may hold the environ, and the environ holds this.
        self._body = self._chunks = None


calling.update(
    {
        Recorder.__call__.__code__: "request",
        _Request.__iter__.__code__: "self",
        _Request.__next__.__code__: "self",
        _Request._closing.__code__: "self",
    }
)


class _Sized:
    """The body of an application that says how many chunks it has: the server may ask."""

    def __init__(self, request: _Request, body: Any) -> None:
        self._request = request
        self._body = body
        self.close = request.close

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._request)


def _is_file(body: Any, environ: dict[str, Any]) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type):
        return isinstance(body, wrapper)
    # uWSGI's wrapper is a function that gives back the file itself.
    return wrapper is not None and hasattr(body, "fileno") and hasattr(body, "read")


def _code(status: str) -> int:
    """The number at the start of a status line, remembered; 0 where there is none."""
    try:
        code = int(status[:3])
    except (TypeError, ValueError):
        return 0
    if 0 < code < 1000 and len(_status_codes) < 256:
        _status_codes[status] = code
    return code if 0 < code < 1000 else 0


def _uri(environ: dict[str, Any]) -> str:
    """The URI put together again, where the server does not hand on what the client sent."""
    path = quote(
        (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")) or "/",
        safe="/;=,:@!$&'()*+~",
        encoding="latin-1",
    )
    query = environ.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path
