"""What is put around a server's own methods is never felt by it."""

from __future__ import annotations

import pytest

from standfast.record.wrapping import Reasons, after, before


class Server:
    """Somebody else's class."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def serve(self, first: int, *, second: int = 0) -> int:
        """Its docstring."""
        if first < 0:
            raise ValueError("its own")
        return first + second


@pytest.fixture(params=[before, after])
def wrapped(request: pytest.FixtureRequest) -> type[Server]:
    class Wrapped(Server):
        pass

    def ours(self: Server, *arguments: object, **named: object) -> None:
        self.heard.append((arguments, named))
        raise RuntimeError("ours")

    request.param(Wrapped, "serve", ours)
    return Wrapped


def test_an_error_of_ours_changes_neither_results_nor_errors(wrapped: type[Server]) -> None:
    server = wrapped()
    assert server.serve(1, second=2) == 3
    with pytest.raises(ValueError, match="its own") as raised:
        server.serve(-1)
    assert raised.value.__context__ is None
    assert server.heard
    assert wrapped.serve.__doc__ == Server.serve.__doc__


def test_the_outermost_method_tells_the_reason() -> None:
    reasons = Reasons()
    seen: list[int | None] = []

    class Master:
        def stop(self) -> None:
            self.kill()

        def kill(self) -> None:
            seen.append(reasons.now)
            raise ValueError

    reasons.during(Master, "stop", 2)
    reasons.during(Master, "kill", 1)
    for method in (Master().stop, Master().kill):
        with pytest.raises(ValueError):
            method()
    assert (seen, reasons.now) == ([2, 1], None)
