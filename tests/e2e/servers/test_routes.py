"""Under real ASGI servers the framework's own patterns are the routes of its requests."""

from __future__ import annotations

import pytest

from standfast.store.tables import rollup, route
from tests.e2e.servers.serving import serving
from tests.e2e.watched import until, watched
from tests.unit.watch.journals import House

SERVERS = {
    "uvicorn": ("uvicorn", "--port", "{port}", "--factory"),
    "hypercorn": ("hypercorn", "-b", "127.0.0.1:{port}"),
    "gunicorn": ("gunicorn", "-b", "127.0.0.1:{port}", "-k", "uvicorn_worker.UvicornWorker"),
}
PATHS = (
    "/", "/blog/first-title", "/blog/second", "/files/a/b/c.txt", "/shop/de/item/17",
    "/shop/de/ann/photos", "/shop/de/bob/photos?page=2", "/blog/third",
)  # fmt: skip
ROUTES = {
    "/": 1, "/blog/<slug>": 3, "/files/<rest>…": 1, "/shop/de/item/{int}": 1,
    "/shop/de/<name>/photos": 2,
}  # fmt: skip


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("framework", ["starlette", "fastapi", "django"])
def test_requests_count_by_the_pattern_that_served_them(framework: str, server: str) -> None:
    app = f"routes_asgi:{framework}" + ("()" if server != "uvicorn" else "")
    with serving(*SERVERS[server], app) as served, watched(served) as house:
        for path in PATHS:
            assert served.get(path)[0] == 200, path
        until(house, lambda: sum(counted(house).values()) == len(PATHS))
        assert counted(house) == ROUTES


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "django"])
def test_the_path_under_which_a_proxy_offers_an_application_is_part_of_its_routes(
    framework: str,
) -> None:
    command = (*SERVERS["uvicorn"], "--root-path", "/site", f"routes_asgi:{framework}")
    with serving(*command) as served, watched(served) as house:
        for path in PATHS:
            assert served.get(path)[0] == 200, path
        until(house, lambda: sum(counted(house).values()) == len(PATHS))
        assert counted(house) == {f"/site{path}": count for path, count in ROUTES.items()}


def counted(house: House) -> dict[str, int]:
    """How many requests were counted by each route."""
    names = {row.id: row.template for row in house.rows(route)}
    found: dict[str, int] = {}
    for row in house.rows(rollup):
        found[names[row.route_id]] = found.get(names[row.route_id], 0) + row.count
    return found
