"""Recording of an ASGI application (asgiref specification 3.0): requests and WebSockets."""

from __future__ import annotations

import inspect
from asyncio import coroutines
from collections.abc import Awaitable, Coroutine
from time import monotonic_ns, time_ns
from typing import Any, Callable, Optional
from urllib.parse import quote

from ..journal.format import ANSWER_PLACES, EVENT_STREAM, UNKNOWN, WEBSOCKET
from ..journal.writer import ANSWER_SHIFT, BEGIN_KIND, pack_answer
from .channel import Channel, channel_for
from .errors import current, is_of_a_signal, running, safely
from .mask import ZEROS
from .request import Request
from .slots import Place, Slots
from .threads import get_ident
from .words import joined_values, kept_headers, scope_texts

#: What the outermost recorder leaves in the scope; others then stand aside.
KEY = "standfast.request"

#: By this mark ``asyncio.iscoroutinefunction`` knows them.
_IS_COROUTINE = getattr(coroutines, "_is_coroutine", True)

Send = Callable[[dict[str, Any]], Awaitable[None]]
_set_current = current.set
#: The headers that are looked at, and what stands for each that is not there.
_WANTED = (b"host", b"x-forwarded-for", b"user-agent", b"accept")
_MISSING = (b"",) * len(_WANTED)
#: The flag of a begin record by what the client accepts, for values seen lately.
_accepted: dict[bytes, int] = {}
_MOST_ACCEPTED = 256
#: As a number: to look for that is a third of the work.
_AT = ord("@")
_EVENT_STREAM = EVENT_STREAM << 24
#: What is recorded, by the scope's type.
_KINDS = {"http": BEGIN_KIND, "websocket": BEGIN_KIND | WEBSOCKET << 24}


class Recorder:
    """An ASGI application that records each request of ``app`` and changes nothing else."""

    # Found at once by every request, and the dictionary has what is said below.
    __slots__ = ("__dict__", "__weakref__", "app", "channel")

    def __init__(
        self, app: Any, *, name: Optional[str] = None, journal: Optional[str] = None
    ) -> None:
        """``name`` of the application and folder of the ``journal``: else as STANDFAST_APP and
        STANDFAST_JOURNAL say."""
        self.app = app
        self.channel = channel_for(name, journal)
        # By `iscoroutinefunction(app.__call__)` servers know ASGI 3. A call does not come by here:
        # Python looks up what it calls in the class, and there it costs one coroutine less.
        self.__dict__["__call__"] = self._as_a_coroutine

    async def _as_a_coroutine(self, scope: dict[str, Any], receive: Any, send: Send) -> Any:
        return await self(scope, receive, send)

    def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> Coroutine[Any, Any, Any]:
        try:
            kind = _KINDS.get(scope["type"])
            if kind is not None and KEY not in scope:
                try:
                    place = _free.pop()
                except IndexError:
                    place = _slots.make()
                    running.extend([None] * (place[0] + 1 - len(running)))
                served: Coroutine[Any, Any, Any] = place[1](self, scope, receive, send, kind, place)
                return served
        except BaseException as error:  # whatever is wrong with our record, the request is served
            if is_of_a_signal(error):
                raise
        unrecorded: Coroutine[Any, Any, Any] = self.app(scope, receive, send)
        return unrecorded


async def _serve(
    recorder: Recorder, scope: dict[str, Any], receive: Any, send: Send, kind: int, place: Place
) -> Any:
    """Serves one request, under the name of its slot: a stack that is taken says which one runs."""
    request = _begun(recorder.channel, scope, send, kind, place[0])
    try:
        app = recorder.app
        result = await app(scope, receive, request.send)
    except BaseException as error:
        request.fail(error)
        running[place[0]] = None
        place[2](place)
        raise
    if recorder.channel.patterns is not None:
        safely(recorder.channel.patterns.see_scope, scope)
    request.end()
    running[place[0]] = None
    place[2](place)
    return result


_slots = Slots(_serve)
_free = _slots.free


def _begun(channel: Channel, scope: dict[str, Any], send: Send, kind: int, slot: int) -> _Request:
    """Begins the record of a request; every line is paid for by every request."""
    request = _Request()
    request.channel = channel
    request.server_send = send
    request.slot = slot
    request.errors = None
    request.seq = request.code = request.sent = request.report_at = 0
    request.answered_ns = request.begun_ns = 0
    try:
        scope[KEY] = True
        headers: Any = ()
        try:
            headers = scope["headers"]
            if type(headers) is not list:
                headers = kept_headers(scope)
            found = dict(headers)
            host, forwarded_for, user_agent, accept = map(found.get, _WANTED, _MISSING)
            if len(found) != len(headers):
                forwarded_for = joined_values(headers, b"x-forwarded-for")
            uri = scope.get("raw_path") or quote(scope["path"], errors="replace").encode()
            query = scope.get("query_string")
            if query:
                uri += b"?" + query
            if uri.translate(ZEROS) not in channel.clean:
                text = uri.decode("latin-1")
                if not channel.is_clean(text):
                    uri = channel.masker.uri(text).encode("latin-1", "backslashreplace")
            try:
                kind |= _accepted[accept]
            except (KeyError, TypeError):
                kind |= _flag_of(accept)
            client = scope.get("client")
            text = f"{client[0] if client else ''}\0{scope.get('method', 'GET')}"
            fields = b"\0".join((text.encode(), uri, host, forwarded_for, user_agent))
            if _AT in fields:
                text = channel.masker.addressed(fields.decode("latin-1"))
                fields = text.encode("latin-1", "backslashreplace")
        except BaseException as error:  # it is not as ASGI says: what can be read of it is
            if is_of_a_signal(error):
                raise
            fields = scope_texts(scope, headers, channel.masker)
        if len(fields) > channel.plain_up_to:
            fields, kind = channel.bounded(fields, kind)
        if channel.cpu_time:
            request.turn = channel.cpu.begin()
            request.slot = ANSWER_PLACES  # a place for an answer has no room for it
        request.begun_ns = begun = monotonic_ns()
        running[slot] = request
        _set_current(begun)
        wall = time_ns()
        thread = get_ident()
        writer = channel.writer
        request.seq = writer.begin(fields, wall, begun, thread, kind, slot) or channel.begin_first(
            writer, fields, wall, begun, thread, kind, slot
        )
    except BaseException as error:  # whatever is wrong with our record, the request is served
        if is_of_a_signal(error):
            request.fail(error)
            raise
        channel.lose()
    return request


class _Request(Request):
    """One request or WebSocket on its way."""

    __slots__ = ("server_send", "slot")

    slot: int
    server_send: Send

    def send(self, message: dict[str, Any]) -> Awaitable[None]:
        try:
            kind = message["type"]
            if kind == "http.response.body":
                if message.get("more_body"):
                    self.count(message.get("body", b""))
                else:
                    body = message.get("body", b"")
                    if type(body) is bytes and not self.report_at:
                        self.sent = len(body)
                    else:
                        self.count(body)
                    # The response is complete: what runs on after this is background work.
                    seq, slot = self.seq, self.slot
                    if seq and slot < ANSWER_PLACES and not self.answered_ns and not self.errors:
                        # As in answer: another call would be a tenth of the whole.
                        self.answered_ns = answered = monotonic_ns() - self.begun_ns
                        answers = self.channel.writer.answers
                        place = slot << ANSWER_SHIFT
                        pack_answer(answers, place, answered, self.sent, self.code, seq)
                    else:
                        self.answer(slot)
            elif kind == "http.response.start":
                status = message["status"]
                self.code = status if type(status) is int and 0 < status < 1000 else code_of(status)
            else:
                self._see(kind, message)
        except BaseException as error:  # no such message: the server will say what it thinks of it
            if is_of_a_signal(error):
                raise
        send = self.server_send
        return send(message)

    def _see(self, kind: str, message: dict[str, Any]) -> None:
        """Takes in the messages that are not of an ordinary response."""
        if kind == "websocket.send":
            text = message.get("text")
            self.count(message.get("bytes") or b"" if text is None else text.encode())
        elif kind == "websocket.accept":
            self.code = 101
        elif kind == "websocket.close" and not self.code:
            self.code = 403
        elif kind == "websocket.http.response.start":
            self.code = code_of(message["status"])
        elif kind == "websocket.http.response.body":
            self.count(message.get("body", b""))
        elif kind == "http.response.pathsend" or kind == "http.response.zerocopysend":
            # The server sends a file by itself, without Python's help.
            self.sent = UNKNOWN
            if not message.get("more_body"):
                self.answer(self.slot)


def _flag_of(accept: bytes) -> int:
    """The flag of the begin record of a client that accepts this; known from now on."""
    flag = _EVENT_STREAM if accept.find(b"text/event-stream") >= 0 else 0
    if type(accept) is bytes and len(accept) <= _MOST_ACCEPTED:
        if len(_accepted) >= _MOST_ACCEPTED:
            _accepted.clear()
        _accepted[accept] = flag
    return flag


def code_of(status: Any) -> int:
    """A status as a number, 0 where it is none."""
    if not issubclass(type(status), int) or type(status) is bool:
        return 0
    code = int.__index__(status)
    return code if 0 < code < 65536 else 0


def _mark(send: Any) -> None:
    """To who asks, ``send`` is a coroutine function, as that of every server is: one that really is
    one would cost a coroutine for each message. On Python 3.11 ``inspect`` cannot be told."""
    send._is_coroutine = _IS_COROUTINE
    getattr(inspect, "markcoroutinefunction", _nothing)(send)


def _nothing(function: Any) -> None:
    """Stands for what Python before 3.12 has not."""


_mark(_Request.send)
