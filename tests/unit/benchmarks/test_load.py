"""The timed loop compares like with like."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import load


def test_bare_and_wrapped_get_the_same_requests_and_no_two_are_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "BLOCK_S", 0.0)
    bare: list[str] = []
    wrapped: list[str] = []

    def app(seen: list[str]) -> Any:
        def call(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            seen.append(environ["RAW_URI"])
            start_response("200 OK", [])
            return [b""]

        return call

    rounds = load.rounds(app(bare), app(wrapped), load.run_wsgi, 0.0)

    assert len(rounds) == 4
    assert wrapped[-len(bare) :] == bare
    assert len(set(wrapped)) == len(wrapped)


def test_both_interfaces_are_driven_to_the_end_of_the_response() -> None:
    closed: list[str] = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append("wsgi")

    def wsgi(environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body([b"a", b"b"])

    async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        closed.append("asgi")

    load.run_wsgi(wsgi, 0, 2)
    load.asgi_runner()(asgi, 0, 2)

    assert closed == ["wsgi", "wsgi", "asgi", "asgi"]
