"""Whatever is asked, in whatever way: an answer, never a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standfast.store import people
from tests.e2e.web.dashboard import HOSTILE, PASSWORD, STRANGE_APP, Dashboard, seal, sign_in
from tests.e2e.web.test_limits import safe


class Known(NamedTuple):
    """What the examples are made from: addresses that are there, cookies and seals that fit."""

    shown: Dashboard
    client: httpx.Client
    paths: list[str]
    forms: list[str]
    cookies: list[bytes]
    seals: list[str]


@pytest.fixture(scope="module")
def known(shown: Dashboard) -> Iterator[Known]:
    """A dashboard, and somebody in it who may be signed out at any time."""
    people.add_person(shown.house.engine, "fuzz", PASSWORD, ("shop", "bank"), admin=False)
    signed = shown.client()
    assert sign_in(signed, "fuzz").status_code == 303
    visit = shown.client()
    seals = [seal(signed.get("account")), seal(visit.get("signin"))]
    cookies = [
        "; ".join(f"{name}={value}" for name, value in client.cookies.items()).encode()
        for client in (signed, visit)
    ]
    app, strange = shown.app("shop"), shown.app(STRANGE_APP)
    paths = [
        *shown.paths("shop"), f"/apps/{strange}", f"/apps/{strange}/slow.csv",
        "/", "/signin", "/signout", "/account", "/static/style.css", "/static/",
        "/shared/1.x", f"/apps/{app}/shares/1/withdraw",
        f"/apps/{app}/live/inflight", f"/apps/{app}/live/crashes", f"/apps/{app}/live/x",
    ]  # fmt: skip
    posts = [path for path in paths if re.search("sign|account|shares", path)]
    # Carries no cookies of its own, and what fails to sign in slows nobody else.
    transport = httpx.HTTPTransport(local_address="127.0.0.51")
    with httpx.Client(base_url=shown.url, transport=transport, timeout=20) as client:
        yield Known(shown, client, paths, posts, cookies, seals)
    people.remove_person(shown.house.engine, "fuzz")


anything = st.one_of(
    st.text(max_size=30),
    st.sampled_from([text.decode("utf-8", "backslashreplace") for text in HOSTILE]),
    st.sampled_from(["", "0", "-1", "1", "9" * 30, "1e9", "\0", "\r\n", "%", "a" * 1001, "\ud800"]),
)
meant = {
    "period": ["1h", "24h", "7d", "30d", "all"],
    "from": ["2026-01-01", "1970-01-01T00:00", "2262-04-11T23:47", "2026-W01", "20260101T00Z"],
    "to": ["2026-01-01", "2262-04-11T23:47", "2050-01-01T00:00+14:00"],
    "route": ["/a", "/*", "*", "/%"], "host": ["x"], "q": ["script", "%", "_", "\\"],
    "place": ["x", " "], "status": ["0", "500", "99999"], "page": ["1", "2", "100000"],
    "sort": ["time", "-time", "duration", "-route", "status", "verdict", "-confidence", "host"],
}  # fmt: skip
questions = st.dictionaries(
    st.sampled_from([*meant, "next", "x"]), st.none() | anything, max_size=5
)
raw_paths = st.one_of(
    st.text(max_size=20).map(lambda text: quote(text, errors="replace")),
    st.sampled_from(["/.", "/..", "//", "/%00", "%2f", "?", ".json", ".csv", "x.json", "/" * 9]),
)
# Most of what is tried is meant to get as far as a page.
ends = st.integers(0, 3).flatmap(lambda number: raw_paths if number == 3 else st.just(""))
headers = st.lists(
    st.tuples(
        st.sampled_from(
            ["Sec-Fetch-Site", "Origin", "Referer", "X-Forwarded-For", "X-Forwarded-Proto", "Range",
             "Accept", "If-None-Match", "If-Modified-Since", "Content-Type", "X-HTTP-Method"]
        ),
        st.sampled_from(
            [b"", b"same-origin", b"cross-site", b"https", b"bytes=0-1", b"bytes=9-1,-", b"*",
             b"application/x-www-form-urlencoded", b"multipart/form-data", b"\xff\xfe", b"DELETE"]
        ),
    ),
    max_size=3,
)  # fmt: skip
hosts = st.sampled_from(
    [b"127.0.0.1"] * 8 + [b"x", b"[", b"[::1]:1", b"evil.test:99999", b"\xe9", b"a b", b"a@b", b"/"]
)
crumbs = st.binary(max_size=40).map(lambda raw: bytes(b for b in raw if b > 31 and b != 127))
methods = st.sampled_from(["GET"] * 20 + ["POST"] * 10 + ["HEAD", "PUT", "OPTIONS", "TRACE", "X"])
forms = st.one_of(
    st.binary(max_size=60),
    st.dictionaries(
        st.sampled_from(["name", "next", "days", "everywhere", "old", "new", "again", "x"]),
        anything, max_size=4,
    ).map(lambda fields: urlencode(fields, errors="replace").encode()),
)  # fmt: skip


def cookies(known: Known) -> st.SearchStrategy[bytes]:
    """Mostly those of who is signed in; else a visitor's, broken ones, or any bytes."""
    made = crumbs.map(lambda one: b"standfast_session=" + one)
    broken = st.tuples(st.sampled_from(known.cookies), crumbs).map(b"".join)
    other = st.just(known.cookies[1]) | made | broken
    return st.integers(0, 3).flatmap(
        lambda number: other if number == 3 else st.just(known.cookies[0])
    )


@settings(max_examples=500, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_no_request_makes_the_server_fail(known: Known, data: st.DataObject) -> None:
    method, body = data.draw(methods), b""
    there = known.forms if method == "POST" else known.paths
    path = data.draw(st.sampled_from(there)) + data.draw(ends)
    asked = {
        name: data.draw(st.sampled_from(meant.get(name, ["/"]))) if value is None else value
        for name, value in data.draw(questions).items()
    }
    target = path + ("?" + urlencode(asked, errors="replace") if asked else "")
    sent: list[tuple[bytes, bytes]] = [(b"Host", data.draw(hosts))]
    sent += [(name.encode(), value) for name, value in data.draw(headers)]
    cookie = data.draw(cookies(known))
    sent.append((b"Cookie", cookie.strip()))
    if method == "POST":
        # Sealed, so that what is behind the seal is tried too; but one stays signed in.
        fitting = known.seals[path.startswith("/signout") :]
        proof = f"seal={data.draw(st.sampled_from([*fitting, '']))}&".encode()
        body = proof + data.draw(forms)
        sent.append((b"Content-Type", b"application/x-www-form-urlencoded"))
    wanted = known.client.build_request(
        method, "", headers=sent, content=body, extensions={"target": target.encode("ascii")}
    )
    answer = known.client.send(wanted, stream=True)
    try:
        # A ranking that is being made is asked for again; nothing else is ever away.
        assert answer.status_code < 500 or (answer.status_code == 503 and "/suspects." in path)
        if answer.status_code != 400 or b"Invalid" not in answer.read():
            safe(answer)
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return
        text = answer.read().decode()
        assert "standfast/web/" not in text  # as a traceback of ours would have it
    finally:
        answer.close()
        assert "Traceback" not in known.shown.log.read_text()
