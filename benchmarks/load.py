"""Runs in a peer's own process: times the bare application and the wrapped one in turns.

``python -m benchmarks.load PEER wsgi|asgi SECONDS FILE`` writes what it measured to FILE as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from . import traffic
from .peers import PEERS, App, Peer

#: A block of requests lasts about this long: long enough that whatever a peer does only now and
#: then (a new segment, a batch to export) has its share in each.
BLOCK_S = 0.1
_IDLE_S = 0.004


class Round(NamedTuple):
    """One pair of blocks, in nanoseconds per request: time on the request's path, and CPU time
    of all threads of the process including what they do afterwards."""

    bare_ns: float
    wrapped_ns: float
    bare_cpu_ns: float
    wrapped_cpu_ns: float


class Block(NamedTuple):
    """What a block of requests took, in nanoseconds per request."""

    wall_ns: float
    cpu_ns: float


Runner = Callable[[App, int, int], None]


def rounds(bare: App, wrapped: App, run: Runner, seconds: float) -> list[Round]:
    """Pairs of blocks for about ``seconds``, at least four; bare and wrapped take turns at
    going first, and both get the same requests."""
    count, number = 20, 0
    while timed(wrapped, run, number, count).wall_ns * count < BLOCK_S * 0.7e9:
        number += count
        count = count * 3 // 2
    made: list[Round] = []
    deadline = time.monotonic() + seconds
    while len(made) < 4 or time.monotonic() < deadline:
        number += count
        if len(made) % 2:
            second, first = timed(wrapped, run, number, count), timed(bare, run, number, count)
        else:
            first, second = timed(bare, run, number, count), timed(wrapped, run, number, count)
        made.append(Round(first.wall_ns, second.wall_ns, first.cpu_ns, second.cpu_ns))
    return made


def timed(app: App, run: Runner, number: int, count: int) -> Block:
    """Runs ``count`` requests from ``number`` on, then waits until the process is idle."""
    gc.collect()
    cpu = time.process_time_ns()
    began = time.perf_counter_ns()
    run(app, number, count)
    wall = time.perf_counter_ns() - began
    return Block(wall / count, (_cpu_until_idle() - cpu) / count)


def _cpu_until_idle() -> int:
    """The process's CPU time when its threads have calmed down; waits half a second at most."""
    cpu = time.process_time_ns()
    for _ in range(int(0.5 / _IDLE_S)):
        time.sleep(_IDLE_S)
        before, cpu = cpu, time.process_time_ns()
        if cpu - before < _IDLE_S * 0.1e9:
            break
    return cpu


def run_wsgi(app: App, number: int, count: int) -> None:
    """Calls ``app`` as a server does."""
    for n in range(number, number + count):
        body = app(traffic.environ(n), _start_response)
        for _ in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()


def _start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
    return _write


def _write(data: bytes) -> None:
    pass


def asgi_runner() -> Runner:
    """Drives applications by hand on one event loop."""
    loop = asyncio.new_event_loop()

    async def block(app: App, number: int, count: int) -> None:
        for n in range(number, number + count):
            exchange = _Exchange(n)
            await app(exchange.scope, exchange.receive, exchange.send)

    return lambda app, number, count: loop.run_until_complete(block(app, number, count))


class _Exchange:
    """A request and its response, one object that holds the scope, as servers have it: a peer
    that keeps ``send`` in the scope makes a circle that only the garbage collector undoes."""

    def __init__(self, number: int) -> None:
        self.scope = traffic.scope(number)
        self.status = 0

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


def measure(name: str, kind: str, seconds: float) -> dict[str, Any]:
    """The version of a peer and its rounds, or why there are none."""
    peer = PEERS[name]
    try:
        module = peer.load()
    except ImportError as error:
        return {"skipped": f"not installed: {error}"}
    bare: App = traffic.wsgi_app if kind == "wsgi" else traffic.asgi_app
    run = run_wsgi if kind == "wsgi" else asgi_runner()
    wrapped = getattr(module, kind)(bare)
    return {"version": version_of(peer, module), "rounds": rounds(bare, wrapped, run, seconds)}


def version_of(peer: Peer, module: Any) -> str:
    """The version of the database that a peer needs, if it needs one, and of its package."""
    own = [module.version()] if hasattr(module, "version") else []
    packages = [f"{name} {version(name)}" if own else version(name) for name in peer.packages]
    return ", ".join(own + packages)


def main() -> None:
    name, kind, seconds, file = sys.argv[1:]
    Path(file).write_text(json.dumps(measure(name, kind, float(seconds))))
    # Not the ordinary way out: some peers would wait there for a server that is not theirs.
    os._exit(0)


if __name__ == "__main__":
    main()
