"""A WSGI server reduced to its duties: one request at a time, and what was recorded of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

from standfast.journal.format import End
from standfast.wsgi import Recorder
from tests.recorded import Request, read

App = Callable[..., Iterable[bytes]]


class Served:
    """What the server saw of one request, and what was recorded of it."""

    def __init__(self, journal: Path, app: App, **environ: Any) -> None:
        self.journal = journal
        self.statuses: list[str] = []
        self.environ: dict[str, Any] = {"RAW_URI": "/page?x=1", "QUERY_STRING": "x=1", **environ}
        setup_testing_defaults(self.environ)
        self.app = Recorder(app, name="shop", journal=str(journal))
        self.result: Any = None

    def call(self) -> Any:
        self.result = self.app(self.environ, self.start_response)
        return self.result

    def whole(self) -> bytes:
        """The body, fetched and closed as a server does it."""
        body = self.call()
        try:
            return b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info and self.statuses:
            raise exc_info[1]
        self.statuses.append(status)
        return lambda data: None

    @property
    def request(self) -> Request:
        return read(self.journal).one("/page")

    @property
    def end(self) -> End:
        return self.request.end


def answering(body: Any) -> App:
    """An application whose body is ``body``."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    return app


def end_of(journal: Path, action: Callable[[], Any]) -> End:
    """How a request ends whose application calls ``action``."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        action()
        start_response("200 OK", [])
        return []

    one = Served(journal, app)
    try:
        one.call()
    except Exception as error:  # it passes through, as other tests show
        del error
    return one.end
