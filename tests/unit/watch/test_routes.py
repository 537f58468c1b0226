from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from standfast.store import open_store, writing
from standfast.store.tables import UNFINISHED, application, ordinary_request, request, route
from standfast.watch import Settings
from standfast.watch import routes as routes_module
from standfast.watch.folding import fold, fold_numbers
from standfast.watch.routes import OTHER, SHAPE, WIDE, Routes
from tests.unit.watch.journals import House, dead, living

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
    "/release/1.10": "/release/{number}",
    "/release/1.0.2": "/release/{version}",
    "/temperature/-5": "/temperature/{int}",
    "/pi/3.14": "/pi/{number}",
    "/user_17": "/user_{int}",
    "/order17": "/order{int}",
    "/invoice/INV-000123.pdf": "/invoice/INV-{int}.pdf",
    "/v2/oauth2/base64": "/v2/oauth2/base64",
    "/python3/mp3": "/python3/mp3",
    "/on/2024-01-31": "/on/{date}",
    "/on/2024-01": "/on/{date}",
    "/on/31.01.2024": "/on/{date}",
    "/at/2024-01-31T10:00:00Z": "/at/{time}",
    "/at/2024-01-31T10%3A00%3A00.123%2B02%3A00": "/at/{time}",
    "/at/10:30": "/at/{time}",
    "/mail/joe.doe+shop@example.com": "/mail/{email}",
    "/mail/joe%40example.com/edit": "/mail/{email}/edit",
    "/ban/203.0.113.9": "/ban/{ip}",
    "/ban/2001:db8:0:0:0:0:0:1": "/ban/{ip}",
    "/commit/4f2a9c1": "/commit/{hash}",
    "/facade/decade2020": "/facade/decade{int}",
    "/static/main.4f2a9c1b.js": "/static/main.{hash}.js",
    "/static/app-4f2a9c1b.min.css": "/static/app-{hash}.min.css",
    "/file/550e8400-e29b-41d4-a716-446655440000.pdf": "/file/{uuid}.pdf",
    "/media/3f/9a/3f9ac1d41d8cd98f00b204.jpg": "/media/{hash}/{hash}/{hash}.jpg",
    "/objects/ab/cdef0123456789abcdef0123456789abcdef01": "/objects/{hash}/{hash}",
    "/room/sess_a8f3k2x9": "/room/sess_{hash}",
    "/watch/dQw4w9WgXcQ": "/watch/{hash}",
    "/shop;jsessionid=1A2B3C/cart": "/shop/cart",
    "/reset/MQ/c5s2b1-0a1b2c3d4e5f60718293a4b5c6d7e8f9/": "/reset/MQ/{hash}/",
    "/reset/MQ/***/": "/reset/MQ/{hash}/",
    "/How-To-Install-Python-3-On-Debian-12": "/How-To-Install-Python-3-On-Debian-12",
    "/blog/10-things-to-do-in-rome": "/blog/10-things-to-do-in-rome",
    "/wp-content/themes/twenty-four/style.css": "/wp-content/themes/twenty-four/style.css",
    "/wp-login.php": "/wp-login.php",
    "/favicon.ico": "/favicon.ico",
    "/.well-known/acme-challenge/x": "/.well-known/acme-challenge/x",
    "/user/550e8400-e29b-41d4-a716-446655440000/edit": "/user/{uuid}/edit",
    "/user/550E8400-E29B-41D4-A716-446655440000": "/user/{uuid}",
    "/blob/d41d8cd98f00b204": "/blob/{hash}",
    "/blob/d41d8cd98f00b20": "/blob/{hash}",
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


def test_what_is_remembered_by_its_shape_has_the_route_that_folding_gives(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    engine = open_store(str(tmp_path_factory.mktemp("shapes") / "store.db"))
    with writing(engine) as connection:
        connection.execute(application.insert().values(id=1, name="shop"))
    routes = Routes(engine, 1, "http")
    for known in (b"/a/{int}", b"/1/{int}", b"/a1/{int}/b", b"/a/{int}.a", b"/a/10", b"/{int}/b"):
        routes.number(known)
    pieces = st.sampled_from([b"/", b"/a", b"/1", b"1", b"20", b".a", b"/b", b"-", b"\n", b"{int}"])

    @given(st.lists(st.lists(pieces, max_size=6).map(b"".join), min_size=2, max_size=8))
    def same(paths: list[bytes]) -> None:
        for path in (*paths, *paths):
            quick = routes.known.get(path) or routes.shapes.get(path.translate(SHAPE))
            quick = quick or routes.of(path)
            plain = routes.known.get(path) or routes.known.get(fold_numbers(path))
            assert quick == (plain or routes.number(path)), path

    same()
    assert routes.shapes
    for number in range(10_000):
        routes.of(b"/a/%d" % 10 ** (number % 150) + b".a" * (number % 2))
    assert len(routes.shapes) <= 4_096


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


def test_no_path_of_any_length_takes_long_to_fold() -> None:
    """Quadratic work would take minutes for these."""
    for run in (b"a", b"a0", b"a.", b"-", b"1.", b"%3A", b"a@", b"/a", b";", b"aaaaa-"):
        fold(run * (1_000_000 // len(run)))


@pytest.fixture
def wide(tmp_path: Path) -> Routes:
    engine = open_store(str(tmp_path / "store.db"))
    with writing(engine) as connection:
        connection.execute(application.insert().values(id=1, name="shop"))
    return Routes(engine, 1, "http")


def names(count: int) -> list[bytes]:
    """Titles as people give them: nothing of their spelling tells that they vary."""
    words = [b"red", b"blue", b"green", b"old", b"new", b"tall", b"small", b"warm"]
    return [
        b"-".join((words[n % 8], words[n // 8 % 8], words[n // 64 % 8], b"things"))
        for n in range(count)
    ]


def test_a_level_with_very_many_children_is_a_parameter(wide: Routes) -> None:
    early = [wide.number(b"/blog/" + name) for name in names(WIDE)]
    late = [wide.number(b"/blog/" + name) for name in names(WIDE * 3)[WIDE:]]
    assert len(set(early)) == WIDE
    assert len(set(late)) == 1
    assert _templates(wide)[-1] == "/blog/{name}"
    comments = {wide.number(b"/blog/" + name + b"/comments") for name in names(WIDE * 3)[WIDE:]}
    assert len(comments) == 1
    assert _templates(wide)[-1] == "/blog/{name}/comments"
    assert wide.number(b"/about") not in {*early, *late}


def test_what_was_learnt_holds_after_a_restart_and_a_path_keeps_its_route(wide: Routes) -> None:
    before = {name: wide.number(b"/blog/" + name) for name in names(WIDE * 2)}
    again = Routes(wide._engine, 1, "http")
    assert {name: again.number(b"/blog/" + name) for name in names(WIDE * 2)} == before
    assert again.number(b"/blog/something-else-again") == again.number(b"/blog/late-news-now")


def test_a_few_pages_beside_each_other_stay_apart(wide: Routes) -> None:
    pages = [b"/" + name for name in names(60)]
    assert len({wide.number(page) for page in pages}) == 60


def test_what_killed_is_never_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_module, "_LOOK_AGAIN_S", 0.0)
    house = House(tmp_path, Settings(keep_ordinary_s=1e9, route_limit=2))
    journal = house.journal(dead())
    for n in range(5):
        journal.request(f"/page-{n}-x")
    journal.begin("/late-killer?x=1")
    house.drain()
    killed = house.row(request, outcome=UNFINISHED)
    assert house.row(route, id=killed.route_id).template == "/late-killer"
    # Who comes by later on the same path is counted with it, and others are not.
    alive = house.journal(living())
    alive.request("/late-killer")
    alive.request("/late-other")
    house.drain()
    ids = [row.route_id for row in house.rows(ordinary_request)][-2:]
    assert [house.row(route, id=number).template for number in ids] == ["/late-killer", OTHER]
