"""The recorder writes the route patterns of real frameworks, each once."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from standfast import asgi, wsgi
from standfast.journal.format import BRACES, BRACKETS, ROUTE, unpack_route
from tests.unit.journal.segments import read_folder


def told(journal: Path) -> list[tuple[int, str]]:
    """The patterns in a journal."""
    return [
        found
        for _, records in read_folder(journal)
        for kind, _, body in records
        if kind == ROUTE and (found := unpack_route(body)) is not None
    ]


def get(app: Any, path: str, script: str = "") -> list[str]:
    status: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SCRIPT_NAME": script,
        "SERVER_NAME": "shop",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }
    body = app(environ, lambda line, headers, exc_info=None: status.append(line))
    list(body)
    if hasattr(body, "close"):
        body.close()
    return status


def test_the_rules_of_flask_are_written_once_each(tmp_path: Path) -> None:
    flask = pytest.importorskip("flask")
    app = flask.Flask("shop")
    app.add_url_rule("/blog/<slug>", "blog", lambda slug: slug)
    app.add_url_rule("/order/<int:number>", "order", lambda number: str(number))
    recorder = wsgi.Recorder(app.wsgi_app, name="flask", journal=str(tmp_path))
    for path in ("/blog/a", "/blog/b", "/order/1", "/order/2", "/nowhere"):
        get(recorder, path)
    get(recorder, "/blog/a", script="/shop")
    assert told(tmp_path) == [
        (BRACKETS, "/blog/<slug>"),
        (BRACKETS, "/order/<int:number>"),
        (BRACKETS, "/shop/blog/<slug>"),
    ]


def test_the_routes_of_starlette_are_written_once_each(tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async def page(request: Any) -> Any:
        return PlainTextResponse("page")

    inner = [Route("/item/{number:int}", page)]
    app = Starlette(routes=[Route("/blog/{slug}", page), Mount("/shop", routes=inner)])
    recorder = asgi.Recorder(app, name="starlette", journal=str(tmp_path))

    async def ask(path: str) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            pass

        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
            "headers": [], "query_string": b"", "root_path": "", "http_version": "1.1",
            "scheme": "http", "server": ("shop", 80), "client": ("192.0.2.1", 1),
        }  # fmt: skip
        await recorder(scope, receive, send)

    for path in ("/blog/a", "/blog/b", "/shop/item/3", "/nowhere"):
        asyncio.run(ask(path))
    assert told(tmp_path) == [(BRACES, "/blog/{slug}"), (BRACES, "/shop/item/{number:int}")]


#: Django keeps its settings for a process, so that it gets one of its own.
DJANGO = """
import sys, types
from django.conf import settings
settings.configure(ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"], SECRET_KEY="x")
from django.http import HttpResponse
from django.urls import include, path, re_path
page = lambda request, **names: HttpResponse("page")
urls = types.ModuleType("urls")
shop = [path("item/<int:number>/", page), re_path(r"^(a+)+$", page)]
urls.urlpatterns = [path("", page), path("blog/<slug:slug>", page), path("shop/", include(shop))]
sys.modules["urls"] = urls
from django.core.wsgi import get_wsgi_application
from standfast.wsgi import Recorder
sys.path.insert(0, ".")
from tests.unit.record.test_patterns import get
recorder = Recorder(get_wsgi_application(), name="django", journal=sys.argv[1])
for where in ("/", "/blog/a", "/blog/b"):
    assert get(recorder, where) == ["200 OK"], where
"""


def test_the_patterns_of_django_are_written_once_its_first_request_is_served(
    tmp_path: Path,
) -> None:
    pytest.importorskip("django")
    done = subprocess.run(
        [sys.executable, "-c", DJANGO, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert told(tmp_path) == [
        (BRACKETS, "/"),
        (BRACKETS, "/blog/<slug:slug>"),
        (BRACKETS, "/shop/item/<int:number>/"),
    ]
