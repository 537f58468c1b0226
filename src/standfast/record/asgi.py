"""Recording of an ASGI application (asgiref specification 3.0): requests and WebSockets."""

from __future__ import annotations

from _thread import get_ident
from asyncio import CancelledError
from collections.abc import Awaitable
from struct import error as struct_error
from time import monotonic_ns, thread_time_ns, time_ns
from typing import Any, Callable, Optional
from urllib.parse import quote

from ..journal.format import ABORTED, CANCELLED, RUNNING, UNKNOWN, WEBSOCKET
from ..journal.writer import BEGIN_KIND, END_KIND, pack_end
from .channel import Channel, channel_for
from .errors import Noted, current, stack_of
from .mask import SHORT, has_long_part, may_have_key

#: What the outermost recorder leaves in the scope; others then stand aside.
KEY = "standfast.request"

Send = Callable[[dict[str, Any]], Awaitable[None]]
_set_current = current.set
_RUNNING_KIND = END_KIND | RUNNING << 24
_WEBSOCKET_KIND = BEGIN_KIND | WEBSOCKET << 24


class Recorder:
    """An ASGI application that records each request of ``app`` and changes nothing else."""

    def __init__(
        self, app: Any, *, name: Optional[str] = None, journal: Optional[str] = None
    ) -> None:
        """``name`` of the application and folder of the ``journal``: else as STANDFAST_APP and
        STANDFAST_JOURNAL say."""
        self.app = app
        self.channel = channel_for(name, journal)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        scope_type = scope["type"]
        if scope_type == "http":
            kind = BEGIN_KIND
        elif scope_type == "websocket":
            kind = _WEBSOCKET_KIND
        else:
            await self.app(scope, receive, send)
            return
        if KEY in scope:
            await self.app(scope, receive, send)
            return
        # From here to the call of the application, every line is paid for by every request.
        scope[KEY] = True
        request = _Request()
        request.channel = channel = self.channel
        request.server_send = send
        request.status = request.sent = 0
        request.errors = None
        try:
            get = dict(scope["headers"]).get
            uri = scope.get("raw_path") or quote(scope["path"], errors="replace").encode()
            query = scope.get("query_string")
            if query:
                uri += b"?" + query
            if (
                (query and not channel.is_clean(query.decode("latin-1")))
                or uri[:1] != b"/"
                or (
                    len(uri) > SHORT
                    and has_long_part(text := uri.decode("latin-1"))
                    and may_have_key(text)
                )
            ):
                masked = channel.masker.uri(uri.decode("latin-1"))
                uri = masked.encode("latin-1", "backslashreplace")
            client = scope.get("client")
            fields = b"\0".join(
                (
                    client[0].encode("utf-8", "replace") if client else b"",
                    scope.get("method", "GET").encode("utf-8", "replace"),
                    uri,
                    get(b"host", b""),
                    get(b"x-forwarded-for", b""),
                    get(b"user-agent", b""),
                )
            )
            if b"@" in fields:
                text = channel.masker.addressed(fields.decode("latin-1"))
                fields = text.encode("latin-1", "backslashreplace")
            if len(fields) > channel.plain_up_to:
                fields, kind = channel.bounded(fields, kind)
            _set_current(request)
            if channel.cpu_time:
                request.cpu_ns = thread_time_ns()
            request.begun_ns = begun = monotonic_ns()
            wall = time_ns()
            thread = get_ident()
            writer = channel.writer
            request.seq = writer.begin(fields, wall, begun, thread, kind) or channel.begin_slowly(
                writer, fields, wall, begun, thread, kind
            )
        except Exception:  # whatever is wrong with our record, the request must be served
            request.seq = 0
        try:
            await self.app(scope, receive, request.send)
        except CancelledError:
            request.end(END_KIND | CANCELLED << 24)
            raise
        except BaseException as error:
            request.fail(error)
            raise
        request.end(END_KIND)


class _Request(Noted):
    """One request or WebSocket on its way."""

    __slots__ = ("begun_ns", "channel", "cpu_ns", "sent", "seq", "server_send", "status")

    begun_ns: int
    channel: Channel
    cpu_ns: int
    sent: int
    seq: int
    server_send: Send
    status: int

    def send(self, message: dict[str, Any]) -> Awaitable[None]:
        try:
            kind = message["type"]
            if kind == "http.response.body":
                self.sent += len(message.get("body", b""))
                if not message.get("more_body"):
                    # The response is complete: what runs on after this is background work.
                    self.write(_RUNNING_KIND)
            elif kind == "http.response.start" or kind == "websocket.http.response.start":
                self.status = message["status"]
            elif kind == "websocket.http.response.body":
                self.sent += len(message.get("body", b""))
            elif kind == "websocket.accept":
                self.status = 101
            elif kind == "websocket.close" and not self.status:
                self.status = 403
        except Exception:
            pass  # no such message: the server will say what it thinks of it
        return self.server_send(message)

    def end(self, kind: int) -> None:
        """Closes the record; a second call does nothing."""
        self.write(kind)
        self.seq = 0

    def fail(self, error: BaseException) -> None:
        """Closes the record of a request that ``error`` ended."""
        if self.seq:
            self.note(stack_of(error))
            self.end(END_KIND if isinstance(error, Exception) else END_KIND | ABORTED << 24)

    def write(self, kind: int) -> None:
        """Writes an end record of that kind, if the request's beginning was recorded."""
        seq = self.seq
        if not seq:
            return
        try:
            channel = self.channel
            duration = monotonic_ns() - self.begun_ns
            cpu = thread_time_ns() - self.cpu_ns if channel.cpu_time else UNKNOWN
            error = b""
            if self.errors:
                error, kind = channel.error(self.errors, kind)
            try:
                body = pack_end(seq, duration, cpu, self.sent, self.status) + error
            except struct_error:  # a status that no server would send: closed without it
                body = pack_end(seq, duration, UNKNOWN, UNKNOWN, 0) + error
            channel.writer.append(kind, body)
        except Exception:  # as at the beginning
            return
