"""What each part of recording a request costs: ``python -m benchmarks.parts``, under any Python.

Each part is what the recorder does, done again and again by itself; the best of many short
repetitions counts, so that other work on the machine is left out. By itself a part has all that it
needs at hand, so the parts make less than the whole, which is measured in the same way.
"""

from __future__ import annotations

import os
import sys
import tempfile
import timeit
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import traffic

_NUMBER = 200
_HEADERS: list[Any] = []


class Part(NamedTuple):
    """A part of an interface's cost, in microseconds."""

    kind: str
    name: str
    us: float


_WSGI = {
    "the texts: read, joined, encoded": """
"\\0".join((get("REMOTE_ADDR", ""), get("REQUEST_METHOD", ""), get("RAW_URI"), get("HTTP_HOST", ""),
    get("HTTP_X_FORWARDED_FOR", ""), get("HTTP_USER_AGENT", ""))).encode(); text.isascii()""",
    "secrets: looked for in path, query and host": (
        'uri.encode().translate(ZEROS) in channel.clean; "@" in text'
    ),
    "a WebSocket or an event stream?": (
        '"text/event-stream" in get("HTTP_ACCEPT", ""); "HTTP_UPGRADE" in environ'
    ),
    "clocks and thread": "monotonic_ns(); time_ns(); get_ident(); monotonic_ns()",
    "the begin record": "writer.begin(fields, wall, mono, thread)",
    "`start_response` in between": "request.start_response('200 OK', headers)",
    "the end record": "request.seq = 1; request.end()",
}
_ASGI = {
    "the headers: found by name": """
found = dict(headers); len(found) != len(headers)
host, forwarded_for, user_agent, accept = map(found.get, wanted, missing)""",
    "the texts: read, joined, encoded": """
uri = scope.get("raw_path") + b"?" + scope.get("query_string")
text = f"{scope.get('client')[0]}\\0{scope.get('method', 'GET')}"
b"\\0".join((text.encode(), uri, host, forwarded_for, user_agent))""",
    "secrets: looked for in path, query and host": (
        "raw.translate(ZEROS) in channel.clean; 64 in fields"
    ),
    "a WebSocket or an event stream?": "accepted[accept]",
    "clocks and thread": "monotonic_ns(); time_ns(); get_ident(); monotonic_ns(); monotonic_ns()",
    "the begin record": "writer.begin(fields, wall, mono, thread, slot=0)",
    "`send` in between, twice": "request.send(start); request.send(more)",
    "that the response is complete": "request.answered_ns = 0; request.answer(0)",
    "the end record": "request.seq = 1; request.end()",
    "the running request, for what it logs": "running[0] = request; set_current(mono)",
    "the slot": "free.append(free.pop())",
}


def measure(repeats: int = 300) -> list[Part]:
    """All parts of both interfaces, and the whole of each. Takes a few seconds."""
    with tempfile.TemporaryDirectory(prefix="standfast-bench-") as folder:
        return [*_wsgi(folder, repeats), *_asgi(folder, repeats), *_hooks(folder, repeats)]


def _wsgi(folder: str, repeats: int) -> Iterator[Part]:
    from standfast.record import wsgi

    recorder = wsgi.Recorder(traffic.wsgi_app, name="parts", journal=folder)
    writer = recorder.channel.open()
    environ = traffic.environ(7)
    request = _ready(wsgi._Request(), recorder.channel)
    request.server_start = _start_response
    names = _shared(recorder.channel, writer, request) | {
        "environ": environ, "get": environ.get, "uri": environ["RAW_URI"],
        "text": "x" * 200, "headers": _HEADERS,
    }  # fmt: skip
    for name, statement in _WSGI.items():
        direct = "start('200 OK', headers)" if "start_response" in statement else "pass"
        yield Part("wsgi", name, _us(statement, names, repeats, direct))
    whole = "app(traffic.environ(7), start)"
    bare = _us(whole, names | {"app": traffic.wsgi_app}, repeats)
    yield Part("wsgi", "the whole", _us(whole, names | {"app": recorder}, repeats) - bare)


def _asgi(folder: str, repeats: int) -> Iterator[Part]:
    from standfast.record import asgi

    recorder = asgi.Recorder(traffic.asgi_app, name="parts", journal=folder)
    writer = recorder.channel.open()
    scope = traffic.scope(7)
    request = _ready(asgi._Request(), recorder.channel)
    request.server_send, request.slot = _send, 0
    names = _shared(recorder.channel, writer, request) | {
        "scope": scope, "headers": scope["headers"], "raw": traffic.uri(7).encode(),
        "wanted": asgi._WANTED, "missing": asgi._MISSING, "accepted": {b"text/html": 0},
        "accept": b"text/html", "host": b"shop.example.org", "user_agent": b"x" * 70,
        "forwarded_for": b"198.51.100.23",
        "free": [(0, _send)], "running": [None], "set_current": asgi._set_current, "send": _awaited,
        "start": {"type": "http.response.start", "status": 200, "headers": _HEADERS},
        "more": {"type": "http.response.body", "body": b"x" * 50, "more_body": True},
    }  # fmt: skip
    for name, statement in _ASGI.items():
        yield Part("asgi", name, _us(statement, names, repeats))
    whole = """
try:
    app(traffic.scope(7), None, send).send(None)
except StopIteration:
    pass"""
    bare = _us(whole, names | {"app": traffic.asgi_app}, repeats)
    yield Part("asgi", "the whole", _us(whole, names | {"app": recorder}, repeats) - bare)


class _Routed:
    """What Flask leaves in the environ of a request: it has a rule."""

    class url_rule:  # noqa: N801
        rule = "/shop/item/<int:number>"


def _hooks(folder: str, repeats: int) -> Iterator[Part]:
    """What only some requests pay. An audit hook cannot be taken away again: it comes last."""
    from standfast.journal.format import BRACKETS
    from standfast.record import kills, patterns, wsgi

    request = _ready(wsgi._Request(), wsgi.Recorder(None, name="parts", journal=folder).channel)
    request.server_start = _start_response
    found = request.channel.patterns = patterns.Patterns(lambda kind, body: None, 0)
    found._has_flask = True
    found.add(BRACKETS, _Routed.url_rule.rule)
    environ = traffic.environ(7) | {"werkzeug.request": _Routed, "SCRIPT_NAME": ""}
    names = {"request": request, "environ": environ, "audit": sys.audit, "headers": _HEADERS}
    direct = "start = request.start_response; start('200 OK', headers)"
    seen = "request.environ = environ; start = request.start_seen; start('200 OK', headers)"
    yield Part("wsgi", "with Flask: the rule of the request", _us(seen, names, repeats, direct))
    event = "audit('open', 'x', 'r', 0)"
    before = _us(event, names, repeats)
    kills.watch_kills()
    us = _us(event, names, repeats) - before
    yield from (Part(kind, "the audit hook, for each event", us) for kind in ("wsgi", "asgi"))


def _ready(request: Any, channel: Any) -> Any:
    request.channel = channel
    request.errors = None
    request.begun_ns = request.code = request.sent = 0
    request.seq, request.answered_ns = 1, 1
    request.report_at = 2**63
    return request


def _shared(channel: Any, writer: Any, request: Any) -> dict[str, Any]:
    from time import monotonic_ns, time_ns

    from standfast.record.mask import ZEROS
    from standfast.record.threads import get_ident

    channel.is_clean(traffic.uri(7))
    return {
        "channel": channel, "ZEROS": ZEROS, "writer": writer, "request": request,
        "traffic": traffic,
        "fields": b"x" * 220, "wall": time_ns(), "mono": monotonic_ns(), "thread": get_ident(),
        "monotonic_ns": monotonic_ns, "time_ns": time_ns, "get_ident": get_ident,
        "start": _start_response,
    }  # fmt: skip


def _us(statement: str, names: dict[str, Any], repeats: int, less: str = "pass") -> float:
    """What the statement takes at best, less what ``less`` does."""
    times = [
        min(timeit.Timer(code, globals=names).repeat(repeats, _NUMBER))
        for code in (statement, less)
    ]
    return (times[0] - times[1]) / _NUMBER * 1e6


def _start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
    return _send


def _send(message: Any) -> Any:
    return None


async def _awaited(message: Any) -> None:
    return None


def table(parts: list[Part]) -> str:
    """The parts as Markdown."""
    rows: dict[str, dict[str, float]] = {}
    for part in parts:
        rows.setdefault(part.name, {})[part.kind] = part.us
    last = rows.pop("the whole")
    lines = ["| part | WSGI, µs | ASGI, µs |", "| --- | --- | --- |"]
    for name, figures in [*rows.items(), ("**the whole**", last)]:
        cells = [f"{figures[kind]:.2f}" if kind in figures else "" for kind in ("wsgi", "asgi")]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ.pop("STANDFAST_CPU_TIME", None)
    print(table(measure()))
