"""What a fault has to hand: a server, its watcher, and the means to do harm."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from standfast.store.tables import incident, request, worker
from tests.e2e.servers.serving import PATIENCE_S, Server
from tests.unit.watch.journals import House

#: What prepares the machine for a fault; gives the words that the server is started with.
Place = Callable[[Path], AbstractContextManager[list[str]]]


@dataclass
class Stage:
    """A server, its watcher, and the means to do harm."""

    server: Server
    house: House
    folder: Path
    _asking: list[threading.Thread] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)

    def ask(self, uri: str) -> None:
        """Sends a request and does not wait for the answer."""
        self._asking.append(threading.Thread(target=self.server.get, args=(uri,), daemon=True))
        self._asking[-1].start()

    def say(self, head: bytes, address: str = "127.0.0.1") -> socket.socket:
        """Opens a connection from this address, sends these bytes and keeps it open."""
        place = ("127.0.0.1", self.server.port)
        client = socket.create_connection(place, PATIENCE_S, source_address=(address, 0))
        self._sockets.append(client)
        client.sendall(head)
        return client

    def trickle(self, client: socket.socket) -> None:
        """Sends a byte every now and then, for as long as the connection is there."""

        def send() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client.send(b"x")
                    time.sleep(0.2)

        threading.Thread(target=send, daemon=True).start()

    def watch(self, seconds: float) -> None:
        """Lets the watcher look on for a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.house.drain()
            time.sleep(0.05)

    def until(self, what: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
        """Watches until ``what()`` is true, and returns that."""
        give_up = time.monotonic() + patience_s
        while not (found := what()):
            assert time.monotonic() < give_up, "nothing of the kind was seen"
            self.house.drain()
            time.sleep(0.02)
        return found

    def begun(self, uri: str) -> int:
        """Waits until a request of that URI has begun; the pid of its worker."""
        (kept,) = self.until(lambda: self.house.rows(request, uri=uri))
        return int(self.house.row(worker, id=kept.worker_id).pid)

    def steady(self) -> None:
        """A worker that has served something and was looked at for a while."""
        self.server.get("/plain")
        self.until(lambda: self.house.rows(worker))
        self.watch(1.6)

    def incidents(self) -> list[Any]:
        """The incidents so far."""
        return self.house.rows(incident)

    def close(self) -> None:
        """Closes the connections that were kept open."""
        for client in self._sockets:
            client.close()


@dataclass(frozen=True)
class Fault:
    """One fault: ``cause`` is the true one (``also``: another reading that is as true),
    ``culprit`` the URI of the request that did it, None where no request did."""

    name: str
    cause: str
    culprit: str | None
    do: Callable[[Stage], None]
    server: str = "gthread"
    settings: dict[str, Any] = field(default_factory=dict)
    place: Place | None = None
    variables: dict[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    #: Why the request that did it cannot be known, where others were in flight.
    unnamed: str = ""


def asks(
    uri: str, *bystanders: str, before: Callable[[Stage], None] | None = None
) -> Callable[[Stage], None]:
    """Harm by one request, while others are in flight."""

    def do(stage: Stage) -> None:
        stage.steady()
        if before:
            before(stage)
        for other in bystanders:
            stage.ask(other)
            stage.begun(other)
        if bystanders:
            # Well before the harm: further than a rise of memory can be told from its cause.
            stage.watch(2.5)
        stage.ask(uri.format(folder=stage.folder))

    return do


def again_and_again(uri: str, times: int) -> Callable[[Stage], None]:
    """The same request until the worker is gone, one after the other."""

    def do(stage: Stage) -> None:
        stage.steady()
        for number in range(times):
            status, _ = stage.server.get(f"{uri}&{number}")
            # Longer than between two samples of memory.
            stage.watch(0.7)
            if not status:
                return

    return do


def signals(number: int, uri: str = "/sleep?30") -> Callable[[Stage], None]:
    """Somebody sends a signal to the worker that serves this request."""

    def do(stage: Stage) -> None:
        stage.steady()
        stage.ask(uri)
        os.kill(stage.begun(uri), number)

    return do


def signals_master(*numbers: int, apart_s: float = 0.0) -> Callable[[Stage], None]:
    """Somebody sends signals to the server's first process while a request is in flight."""

    def do(stage: Stage) -> None:
        stage.steady()
        stage.ask("/sleep?30")
        stage.begun("/sleep?30")
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                stage.server.process.send_signal(number)
            stage.watch(apart_s)

    return do


def then(first: Callable[[Stage], None], number: int = signal.SIGTERM) -> Callable[[Stage], None]:
    """A fault that was noticed, and the restart by which somebody ends it."""

    def do(stage: Stage) -> None:
        first(stage)
        stage.until(stage.incidents)
        stage.watch(1.0)
        stage.server.process.send_signal(number)
        stage.until(lambda: any(row.kind == "death" for row in stage.incidents()))

    return do


def nothing(stage: Stage) -> None:
    """The start itself is the fault."""
