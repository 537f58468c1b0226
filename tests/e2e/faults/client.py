"""What a client does, and a server of one request at a time falls for."""

from __future__ import annotations

from .stage import Fault, Stage

HEAD = b"POST /read_body HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000\r\n\r\n"


def says_nothing(stage: Stage) -> None:
    """A connection that is opened in advance, as browsers do it."""
    stage.steady()
    stage.say(b"")


def says_half(stage: Stage) -> None:
    stage.steady()
    stage.say(b"GET /plain HTTP/1.1\r\nHost: sh")


def uploads_slowly(stage: Stage) -> None:
    stage.steady()
    client = stage.say(HEAD)
    client.sendall(b"x" * 100)


FAULTS = (
    Fault("a connection that says nothing", "client_slow", None, says_nothing, "sync"),
    Fault("half a request, and no more of it", "client_slow", None, says_half, "sync"),
    Fault("a slow upload", "client_slow", None, uploads_slowly, "sync"),
    Fault("a slow upload under uWSGI", "client_slow", None, uploads_slowly, "uWSGI, harakiri"),
)
