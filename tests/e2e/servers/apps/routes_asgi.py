"""The same routes in Starlette, FastAPI and Django, each made by a factory for an ASGI server."""

from __future__ import annotations

import sys
import types
from typing import Any


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.websockets import WebSocket

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    async def through(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    shop = [Route("/item/{number:int}", page), Route("/{name}/photos", page)]
    return Starlette(
        routes=[
            Route("/", page),
            Route("/blog/{slug}", page),
            Route("/files/{rest:path}", page),
            WebSocketRoute("/chat/{room}", chat),
            Mount("/shop", routes=[Mount("/de", routes=shop)]),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=through)],
    )


def fastapi() -> Any:
    from fastapi import APIRouter, FastAPI

    def page() -> str:
        return "page"

    app, inner, router = FastAPI(), FastAPI(), APIRouter(prefix="/de")
    for where in ("/", "/blog/{slug}", "/files/{rest:path}"):
        app.get(where)(page)
    router.get("/item/{number:int}")(page)
    router.get("/{name}/photos")(page)
    inner.include_router(router)
    app.mount("/shop", inner)
    return app


def django() -> Any:
    from django.conf import settings

    settings.configure(
        DEBUG=False,
        ROOT_URLCONF="shop_urls",
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="not secret",  # noqa: S106
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    )
    from django.core.asgi import get_asgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import include, path

    def page(request: HttpRequest, **names: Any) -> HttpResponse:
        return HttpResponse("page")

    async def slowly(request: HttpRequest, **names: Any) -> HttpResponse:
        return HttpResponse("page")

    shop = [path("item/<int:number>", slowly), path("<name>/photos", page)]
    urls: Any = types.ModuleType("shop_urls")
    urls.urlpatterns = [
        path("", page),
        path("blog/<slug:slug>", slowly),
        path("files/<path:rest>", page),
        path("shop/de/", include(shop)),
    ]
    sys.modules["shop_urls"] = urls
    return get_asgi_application()
