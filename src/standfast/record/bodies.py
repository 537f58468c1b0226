"""The body of a WSGI response that is no list: it is recorded until the server is done with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Optional

from ..journal.format import UNKNOWN
from .errors import calling, hide_own_frames, safely
from .request import Request
from .threads import get_ident


class Followed(Request):
    """A request whose body may be followed."""

    __slots__ = ("is_fetched", "thread")

    #: What calls the application's code, and the slot that it is named after, where there is one.
    call: Any = None
    slot = -1

    #: Whether the server is waiting for the next chunk of a stream.
    is_fetched: bool
    #: The thread that streams it and does nothing else meanwhile, 0 where that is not known.
    thread: int

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


class _Body:
    """What the server gets in place of a body that is no list. A server that lets go of it without
    closing it is done with it as well."""

    __slots__ = ("_body", "_call", "_chunks", "_is_complete", "_request")

    def __init__(self, request: Followed, body: Any) -> None:
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

    def __init__(self, request: Followed, body: Any) -> None:
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

    def __init__(self, request: Followed, close: Optional[Callable[[], Any]]) -> None:
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
        for function in (_Body.__iter__, _Body.__next__, _Body.close, _FileClose.__call__)
    }
)


def leave(streams: dict[int, Any], thread: int) -> None:
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


def _forget(request: Followed) -> None:
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


def _follow_file(request: Followed, body: Any) -> bool:
    body.close = _FileClose(request, getattr(body, "close", None))
    return True
