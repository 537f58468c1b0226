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

#: Where the outermost recorder leaves its request in the scope; others then stand aside.
KEY = "standfast.request"

Send = Callable[[dict[str, Any]], Awaitable[None]]
_set_current = current.set
_RUNNING_KIND = END_KIND | RUNNING << 24


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
        kind = scope["type"]
        if (kind != "http" and kind != "websocket") or KEY in scope:
            await self.app(scope, receive, send)
            return
        request = _Request(self.channel, send)
        scope[KEY] = request
        request.begin(scope, BEGIN_KIND if kind == "http" else BEGIN_KIND | WEBSOCKET << 24)
        try:
            await self.app(scope, receive, request.send)
        except CancelledError:
            request.end(END_KIND | CANCELLED << 24)
            raise
        except BaseException as error:
            request.fail(error)
            raise
        request.end()


class _Request(Noted):
    """One request or WebSocket on its way."""

    __slots__ = ("_channel", "_cpu", "_send", "_seq", "_started", "_status", "sent")

    def __init__(self, channel: Channel, send: Send) -> None:
        self._channel = channel
        self._send = send
        self._status = 0
        self._cpu = UNKNOWN
        self.errors = None
        self.sent = 0

    def begin(self, scope: dict[str, Any], kind: int) -> None:
        """Opens the record. Every line here is paid for by every request."""
        try:
            channel = self._channel
            get = dict(scope["headers"]).get
            raw = scope.get("raw_path")
            uri = raw.decode("latin-1") if raw else quote(scope["path"], errors="replace")
            query = scope.get("query_string")
            if query:
                query = query.decode("latin-1")
                uri = f"{uri}?{query}"
            if (query and not channel.is_clean(query)) or uri[:1] != "/":
                uri = channel.masker.uri(uri)
            client = scope.get("client")
            fields = (
                f"{client[0] if client else ''}\0{scope.get('method', 'GET')}\0{uri}\0".encode(
                    "latin-1", "backslashreplace"
                )
                + get(b"host", b"")
                + b"\0"
                + get(b"x-forwarded-for", b"")
                + b"\0"
                + get(b"user-agent", b"")
            )
            if len(fields) > channel.plain_up_to:
                fields, kind = channel.bounded(fields, kind)
            _set_current(self)
            if channel.cpu_time:
                self._cpu = thread_time_ns()
            self._started = started = monotonic_ns()
            wall = time_ns()
            thread = get_ident()
            writer = channel.writer
            self._seq = writer.begin(fields, wall, started, thread, kind) or channel.begin_slowly(
                writer, fields, wall, started, thread, kind
            )
        except Exception:  # whatever is wrong with our record, the request must be served
            self._seq = 0

    def send(self, message: dict[str, Any]) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.body":
            self.sent += len(message.get("body", b""))
            if not message.get("more_body"):
                return self._send_last(message)
        elif kind == "http.response.start":
            self._status = message["status"]
        elif kind == "websocket.accept":
            self._status = 101
        elif kind == "websocket.close" and not self._status:
            self._status = 403
        return self._send(message)

    async def _send_last(self, message: dict[str, Any]) -> None:
        """The response is complete: what runs on after this is background work."""
        await self._send(message)
        self._write(_RUNNING_KIND)

    def end(self, kind: int = END_KIND) -> None:
        """Closes the record; a second call does nothing."""
        self._write(kind)
        self._seq = 0

    def fail(self, error: BaseException) -> None:
        """Closes the record of a request that ``error`` ended."""
        if self._seq:
            self.note(stack_of(error))
            self.end(END_KIND if isinstance(error, Exception) else END_KIND | ABORTED << 24)

    def _write(self, kind: int) -> None:
        seq = self._seq
        if not seq:
            return
        try:
            channel = self._channel
            duration = monotonic_ns() - self._started
            cpu = self._cpu
            if cpu != UNKNOWN:
                cpu = thread_time_ns() - cpu
            error = b""
            if self.errors:
                error, kind = channel.error(self.errors, kind)
            try:
                body = pack_end(seq, duration, cpu, self.sent, self._status) + error
            except struct_error:  # a status that no server would send: closed without it
                body = pack_end(seq, duration, UNKNOWN, UNKNOWN, 0) + error
            channel.writer.append(kind, body)
        except Exception:  # as at the beginning
            return
