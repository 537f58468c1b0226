"""The traceback that a server gets of an error: as without a recorder around the application."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.record.asgi_server import Message, Receive, Send
from tests.unit.record.asgi_server import Served as Asgi
from tests.unit.record.wsgi_server import Served

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="a raise brings the frames back up to 3.10"
)


def functions(action: Callable[[], Any]) -> list[str]:
    """The functions that a traceback shows from this one inwards."""
    try:
        action()
    except BaseException as error:
        return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    raise AssertionError("nothing was raised")


def view() -> None:
    raise ValueError("boom")


def app(environ: Any, start_response: Any) -> list[bytes]:
    view()
    return []


def streaming(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"x"
    view()


class Closing(list[bytes]):
    """A body that is no list to a server, as it has a ``close``."""

    def close(self) -> None:
        view()


def test_a_wsgi_server_sees_its_own_frames_and_the_applications(tmp_path: Path) -> None:
    one = Served(tmp_path, app)
    assert functions(one.call) == ["functions", "call", "app", "view"]
    assert one.request.closed


def test_so_it_does_of_a_stream(tmp_path: Path) -> None:
    one = Served(tmp_path, streaming)
    assert functions(one.whole) == ["functions", "whole", "streaming", "view"]


def test_so_it_does_of_a_body_that_does_not_close(tmp_path: Path) -> None:
    one = Served(tmp_path, lambda environ, start: Closing([b"x"]))
    body = one.call()
    assert functions(body.close)[-2:] == ["close", "view"]
    assert len(functions(body.close)) == 3


def test_so_it_does_where_what_it_serves_cannot_be_called(tmp_path: Path) -> None:
    broken: Any = None
    assert functions(Served(tmp_path, broken).call) == ["functions", "call"]


def test_an_asgi_server_sees_its_own_frames_and_the_applications(tmp_path: Path) -> None:
    async def served(scope: Message, receive: Receive, send: Send) -> None:
        view()

    one = Asgi(tmp_path, served)
    assert functions(one.run)[-3:] == ["call", "served", "view"]
    assert one.request.closed
