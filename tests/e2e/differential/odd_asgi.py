"""ASGI applications that do what the standard allows and what it does not, each under one path."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Any], Awaitable[None]]

HEADERS = [(b"content-type", b"text/plain")]
START = {"type": "http.response.start", "status": 200, "headers": HEADERS}
visits: contextvars.ContextVar[int] = contextvars.ContextVar("visits", default=0)


def body(data: bytes, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, **more}


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(body(b"plain"))


async def sees(scope: Scope, receive: Receive, send: Send) -> None:
    own = {key: value for key, value in scope.items() if not key.startswith("standfast.")}
    lines = [f"{type(scope).__name__} {len(own)}"]
    for key in sorted(own):
        value = own[key]
        lines.append(f"{key}={type(value).__name__}")
        if key not in ("server", "client", "app", "state", "extensions"):
            lines[-1] += f":{value!r}"
    lines += [f"headers read again: {list(scope['headers']) == list(scope['headers'])}"]
    await send(START)
    await send(body("\n".join(lines).encode()))


async def marks(scope: Scope, receive: Receive, send: Send) -> None:
    """Whether they are known for what they are; on Python 3.11 ``inspect`` looks at the code."""
    asked = [asyncio.iscoroutinefunction]
    if sys.version_info >= (3, 12):
        asked.append(inspect.iscoroutinefunction)
    await send(START)
    await send(body(repr([ask(one) for ask in asked for one in (receive, send)]).encode()))


async def reads(scope: Scope, receive: Receive, send: Send) -> None:
    got = await receive()
    await send(START)
    await send(body(repr(sorted(got.items())).encode()))


async def chunks(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    for chunk in (b"one", b"", b"three"):
        await send(body(chunk, more_body=True))
        await asyncio.sleep(0)
    await send(body(b""))


async def bodiless(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body"})


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    return None


async def start_only(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)


async def unfinished(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(body(b"more to come", more_body=True))


async def starts_twice(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(START)


async def body_first(scope: Scope, receive: Receive, send: Send) -> None:
    await send(body(b"first"))


async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.unheard"})


async def no_dict(scope: Scope, receive: Receive, send: Send) -> None:
    await send(None)


async def no_type(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"status": 200})


async def odd_status(scope: Scope, receive: Receive, send: Send) -> None:
    await send({**START, "status": "200"})
    await send(body(b"odd status"))


async def odd_body(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": "text"})


async def generated_headers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({**START, "headers": iter([(b"x-one", b"1"), (b"x-two", b"2")])})
    await send(body(b"headers"))


async def raises_before(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("before the start")


async def raises_after(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    raise LookupError("after the start")


async def raises_midway(scope: Scope, receive: Receive, send: Send) -> None:
    await plain(scope, receive, send)
    raise LookupError("after the response")


async def raises_from(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise LookupError("outer") from error


async def raises_cancelled(scope: Scope, receive: Receive, send: Send) -> None:
    raise asyncio.CancelledError("cancelled itself")


async def goes_on(scope: Scope, receive: Receive, send: Send) -> None:
    await plain(scope, receive, send)
    await asyncio.sleep(0.05)
    os.write(2, b"odd: the background work is done\n")


async def too_much(scope: Scope, receive: Receive, send: Send) -> None:
    await plain(scope, receive, send)
    await send(body(b"too much"))


async def waits_for_the_client(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(START)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(receive(), 0.05)
    await send(body(b"waited"))


async def own_task(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.gather(*[asyncio.create_task(asyncio.sleep(0)) for _ in range(3)])
    await asyncio.create_task(plain(scope, receive, send))


async def counts(scope: Scope, receive: Receive, send: Send) -> None:
    """What is set in one request's context must not be seen in the next one's."""
    before = visits.get()
    visits.set(before + 1)
    await send(START)
    await send(body(b"%d" % before))


async def changes_scope(scope: Scope, receive: Receive, send: Send) -> None:
    scope["path"] = None
    scope["headers"] = None
    del scope["type"]
    await plain(scope, receive, send)


async def looked_at(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(body(repr(Lazy.asked).encode()))


async def blocks(scope: Scope, receive: Receive, send: Send) -> None:
    """Calls into C that come back early where a signal interrupts them."""
    libc = ctypes.CDLL(None, use_errno=True)
    left = libc.sleep(int(scope["query_string"]))
    ready = libc.poll(None, 0, 1000)
    await send(START)
    await send(body(f"sleep {left} poll {ready} errno {ctypes.get_errno()}".encode()))


async def leaves(scope: Scope, receive: Receive, send: Send) -> None:
    sys.exit(5)


async def ends(scope: Scope, receive: Receive, send: Send) -> None:
    os._exit(5)


ODD = {
    "/looked_at": looked_at,
    "/plain": plain,
    "/sees": sees,
    "/marks": marks,
    "/reads": reads,
    "/chunks": chunks,
    "/bodiless": bodiless,
    "/nothing": nothing,
    "/start_only": start_only,
    "/unfinished": unfinished,
    "/starts_twice": starts_twice,
    "/body_first": body_first,
    "/unknown": unknown,
    "/no_dict": no_dict,
    "/no_type": no_type,
    "/odd_status": odd_status,
    "/odd_body": odd_body,
    "/generated_headers": generated_headers,
    "/raises_before": raises_before,
    "/raises_after": raises_after,
    "/raises_midway": raises_midway,
    "/raises_from": raises_from,
    "/raises_cancelled": raises_cancelled,
    "/goes_on": goes_on,
    "/too_much": too_much,
    "/waits_for_the_client": waits_for_the_client,
    "/own_task": own_task,
    "/counts": counts,
    "/changes_scope": changes_scope,
}
OTHERS = {"/blocks": blocks, "/leaves": leaves, "/ends": ends}


class Lazy:
    """An application that stands for another one, and notes whatever is asked of it."""

    asked: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        Lazy.asked.append(name)
        if name == "app":
            raise RuntimeError("the application is not loaded yet")
        return object.__getattribute__(self, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        path = scope["path"]
        await (ODD.get(path) or OTHERS[path])(scope, receive, send)


async def lifespan(receive: Receive, send: Send) -> None:
    for _ in range(2):
        message = await receive()
        os.write(2, f"odd: {message['type']}\n".encode())
        await send({"type": message["type"] + ".complete"})


app = Lazy()
