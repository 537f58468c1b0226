from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from standfast.store import open_store, writing
from standfast.store.tables import application, route
from standfast.watch.routes import OTHER, Routes, fold

CASES = {
    "/": "/",
    "": "/",
    "*": "*",
    "/order/17": "/order/{int}",
    "/order/17/": "/order/{int}/",
    "/1/2/3": "/{int}/{int}/{int}",
    "/photo/17.jpg": "/photo/{int}.jpg",
    "/v2/users": "/v2/users",
    "/release/1.0": "/release/1.0",
    "/user/550e8400-e29b-41d4-a716-446655440000/edit": "/user/{uuid}/edit",
    "/user/550E8400-E29B-41D4-A716-446655440000": "/user/{uuid}",
    "/blob/d41d8cd98f00b204": "/blob/{hash}",
    "/blob/d41d8cd98f00b20": "/blob/d41d8cd98f00b20",
    "/reset/dGhpc0lzQVRva2VuMTIzNDU2": "/reset/{hash}",
    "/session/01ARZ3NDEKTSV4RRFFQ69G5FAV": "/session/{hash}",
    "/blog/how-to-make-a-very-good-pizza-at-home": "/blog/how-to-make-a-very-good-pizza-at-home",
    "http://shop.test/order/17": "/order/{int}",
    "http://shop.test": "/",
    "/order/%31": "/order/%31",
    "//double//17": "//double//{int}",
}


@pytest.mark.parametrize(("path", "template"), CASES.items())
def test_variable_parts_are_folded_and_others_stay(path: str, template: str) -> None:
    assert fold(path.encode()) == template.encode()


paths = st.lists(
    st.text(max_size=12).map(lambda part: part.encode("utf-8", "replace"))
    | st.integers(0, 10**20).map(lambda number: b"%d" % number)
    | st.uuids().map(lambda uuid: str(uuid).encode())
    | st.binary(max_size=300).map(lambda data: data.replace(b"\0", b""))
    | st.from_regex(rb"[A-Za-z0-9_=-]{1,60}", fullmatch=True),
    max_size=8,
).map(lambda parts: b"/" + b"/".join(parts))


@given(paths)
def test_folding_twice_changes_nothing_and_length_is_bounded(path: bytes) -> None:
    once = fold(path)
    assert fold(once) == once
    assert len(once) <= 200


@given(paths, st.integers(0, 10**30), st.integers(0, 10**30))
def test_two_numbers_in_the_same_place_are_one_route(path: bytes, one: int, other: int) -> None:
    assert fold(path + b"/%d" % one) == fold(path + b"/%d" % other)


@given(paths, st.uuids(), st.uuids())
def test_two_uuids_in_the_same_place_are_one_route(path: bytes, one: object, other: object) -> None:
    assert fold(path + b"/%s" % str(one).encode()) == fold(path + b"/%s" % str(other).encode())


@given(st.binary(max_size=400))
def test_any_bytes_at_all_have_a_route(path: bytes) -> None:
    assert len(fold(path)) <= 200


@pytest.fixture
def routes(tmp_path: Path) -> Routes:
    engine = open_store(str(tmp_path / "store.db"))
    with writing(engine) as connection:
        connection.execute(application.insert().values(id=1, name="shop"))
    return Routes(engine, 1, "http", limit=3)


def _templates(routes: Routes) -> list[str]:
    with routes._engine.connect() as connection:
        return list(connection.execute(select(route.c.template)).scalars())


def test_a_path_has_one_number_for_ever(routes: Routes) -> None:
    number = routes.number(b"/order/17")
    assert routes.number(b"/order/18") == number
    again = Routes(routes._engine, 1, "http", limit=3)
    assert again.number(b"/order/19") == number
    assert again.number(b"/order") != number


def test_a_websocket_of_the_same_path_is_another_route(routes: Routes) -> None:
    websocket = Routes(routes._engine, 1, "websocket", limit=3)
    assert routes.number(b"/chat") != websocket.number(b"/chat")


def test_routes_beyond_the_limit_are_one(routes: Routes) -> None:
    numbers = [routes.number(b"/page-%d-x" % n) for n in range(10)]
    assert len(set(numbers)) == 4
    assert sorted(_templates(routes))[-1] == OTHER
    again = Routes(routes._engine, 1, "http", limit=3)
    assert [again.number(b"/page-%d-x" % n) for n in range(10)] == numbers


def test_doors_that_lead_nowhere_make_no_routes(routes: Routes) -> None:
    for n in range(10):
        routes.number(b"/wp-login-%d.php" % n, found=False)
    known = routes.number(b"/order/17")
    assert routes.number(b"/order/18", found=False) == known
    assert sorted(_templates(routes)) == ["/order/{int}", OTHER]


def test_bytes_that_are_no_text_share_a_row_with_the_text_that_shows_them(routes: Routes) -> None:
    assert routes.number(b"/caf\xe9") == routes.number(b"/caf\\xe9")
