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


def trickles(stage: Stage) -> None:
    """An upload of a byte now and then, from another address than the others'."""
    stage.steady()
    client = stage.say(HEAD, "127.0.0.7")
    stage.begun("/read_body")
    stage.ask("/sleep?2")
    stage.trickle(client)


def takes_nothing(stage: Stage) -> None:
    """A client that asks for much and reads none of it."""
    stage.steady()
    stage.say(b"GET /much HTTP/1.1\r\nHost: shop.test\r\n\r\n", "127.0.0.7")
    stage.begun("/much")
    stage.ask("/sleep?2")


_HANG = {"hang_s": 5.0}

FAULTS = (
    Fault("a connection that says nothing", "client_slow", None, says_nothing, "sync"),
    Fault("half a request, and no more of it", "client_slow", None, says_half, "sync"),
    Fault("a slow upload", "client_slow", None, uploads_slowly, "sync"),
    Fault("a slow upload in the event loop", "client_slow", None, trickles, "uvicorn",
          settings=_HANG),
    Fault("a slow upload under hypercorn", "client_slow", None, trickles, "hypercorn",
          settings=_HANG),
    Fault("a slow upload under gevent", "client_slow", None, trickles, "gevent", settings=_HANG),
    Fault("a client that takes in nothing, in the event loop", "client_slow", None, takes_nothing,
          "uvicorn", settings=_HANG),
    Fault("a slow upload under uWSGI", "client_slow", None, uploads_slowly, "uWSGI, harakiri"),
)  # fmt: skip
