"""What every answer carries, what a failure shows, and how much anybody may ask for."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress

import httpx
import pytest

from tests.e2e.web.dashboard import Dashboard
from tests.unit.watch.journals import wait_until

HEADERS = {
    "content-security-policy": None,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": None,
    "cache-control": None,
}


def safe(answer: httpx.Response) -> None:
    """The answer has all headers of safety, each once, and gives nothing of the server away."""
    for name, value in HEADERS.items():
        (told,) = answer.headers.get_list(name)
        assert value in (None, told)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers


def target(client: httpx.Client, raw: bytes, method: str = "GET") -> httpx.Response:
    """The answer to a target that is sent as it is."""
    return client.request(method, "", extensions={"target": raw})


def test_every_answer_carries_the_headers_of_safety(shown: Dashboard) -> None:
    root, stranger = shown.signed_in("root"), shown.client()
    for path in ("/", "/account", "/signin", "/nowhere", "/shared/x", *shown.paths("shop")):
        for client in (root, stranger):
            for method in ("GET", "HEAD", "POST", "OPTIONS"):
                answer = client.request(method, path[1:])
                safe(answer)
                assert answer.headers["cache-control"] == "no-store"
    with root.stream("GET", f"apps/{shown.app('shop')}/live/inflight") as live:
        safe(live)


def test_what_is_too_large_is_refused_unread_and_with_the_same_headers(shown: Dashboard) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"a" * 17_000, b"a=1&" * 5_000):
        for path in ("signin", "signout", "account", f"apps/{shown.app('shop')}/shares"):
            answer = shown.client().post(path, content=body, headers=form)
            assert answer.status_code == 413
            safe(answer)
    answer = shown.client().post("signin", content=(b"a" * 1000 for _ in range(100)), headers=form)
    assert answer.status_code == 413
    many = shown.client().post("signin", content=b"a=1&" * 100, headers=form)
    assert many.status_code == 400
    safe(many)


@pytest.mark.parametrize("what", [b"/?q=" + b"a" * 500_000, b"/" + b"a" * 500_000])
def test_an_address_without_end_is_refused(shown: Dashboard, what: bytes) -> None:
    with suppress(httpx.TransportError):  # it may have hung up before all was sent
        assert target(shown.client(), what).status_code in (303, 400, 404)
    assert shown.client().get("signin").status_code == 200


NONSENSE = (
    "page=0", "page=-1", "page=1.5", "page=x", "page=100001", "page=000000001" + "9" * 40,
    "page=" + "9" * 900, "page=%D9%A1", "status=x", "status=-1", "status=999999", "sort=x",
    "sort=--time", "sort=id", "period=x", "period=1H", "from=x", "to=x", "from=1e9",
    "from=9999-12-31", "from=0001-01-01T00:00%2B23:59", "from=2026-01-01&to=2025-01-01",
    "from=2026-01-01%E2%80%AE08:00", "from=2026-13-01", "to=1969-12-31", "q=%00", "host=a%00",
    "route=%00*", "place=%00", "q=" + "a" * 1001, "route=" + "%2F" * 1001,
)  # fmt: skip


@pytest.mark.parametrize("asked", NONSENSE)
def test_a_query_that_makes_no_sense_is_refused_in_words(shown: Dashboard, asked: str) -> None:
    ada, app = shown.signed_in("ada"), shown.app("shop")
    for name in ("crashes", "errors", "slow.json"):
        answer = target(ada, f"/apps/{app}/{name}?{asked}".encode())
        assert answer.status_code == 400 and "<h1>Bad Request</h1>" in answer.text
        safe(answer)


def test_the_last_page_that_can_be_asked_for_is_empty_and_quick(shown: Dashboard) -> None:
    ada, app = shown.signed_in("ada"), shown.app("shop")
    for name in ("crashes", "errors", "slow"):
        answer = ada.get(f"apps/{app}/{name}", params={"page": "100000", "period": "all"})
        assert answer.status_code == 200


@pytest.mark.parametrize("digits", [19, 20, 400, 5000])
def test_a_number_that_is_none_of_a_store_is_not_found(shown: Dashboard, digits: int) -> None:
    ada, nine = shown.signed_in("ada"), b"9" * digits
    app = f"/apps/{shown.app('shop')}".encode()
    for path in (b"/apps/" + nine, app + b"/crashes/" + nine):
        answer = target(ada, path)
        assert answer.status_code == 404
        safe(answer)


OUTSIDE = (
    b"/static/../app.py", b"/static/..%2fapp.py", b"/static/%2e%2e/app.py", b"/static//etc/passwd",
    b"/static/%2fetc%2fpasswd", b"/static/..%5capp.py", b"/static/%00", b"/static/a%00.html",
    b"/static/", b"/static", b"/static/.", b"/static/style.css/x", b"/static/" + b"a" * 5000,
    b"/static/" + b"../" * 40 + b"etc/passwd", b"/static/%ff", b"/static/templates/base.html",
    b"/..%2f..%2fetc/passwd", b"//etc/passwd", b"*", b"http://evil.test/static/../app.py",
)  # fmt: skip


@pytest.mark.parametrize("what", OUTSIDE)
def test_no_file_but_the_pages_own_can_be_had(shown: Dashboard, what: bytes) -> None:
    answer = target(shown.client(), what)
    assert answer.status_code == 404
    assert "root:" not in answer.text and "import" not in answer.text
    safe(answer)


def test_files_of_the_pages_are_kept_by_a_browser_until_they_change(shown: Dashboard) -> None:
    for name in ("style.css", "live.js", "icon.svg"):
        answer = shown.client().get(f"static/{name}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
        safe(answer)
        told = {"If-None-Match": answer.headers["etag"]}
        assert shown.client().get(f"static/{name}", headers=told).status_code == 304
        assert shown.client().post(f"static/{name}").status_code == 405


def test_one_person_has_so_many_live_streams_and_leaves_some_to_others(shown: Dashboard) -> None:
    path = f"apps/{shown.app('shop')}/live/inflight"
    ada, root = shown.signed_in("ada"), shown.signed_in("root")

    def status() -> int:
        with ada.stream("GET", path) as answer:
            return answer.status_code

    with ExitStack() as stack:
        for _ in range(20):
            assert stack.enter_context(ada.stream("GET", path)).status_code == 200
        assert status() == 503
        assert stack.enter_context(root.stream("GET", path)).status_code == 200
        assert ada.head(path).status_code == 200  # which does not wait for what never ends
        assert ada.get("account").status_code == 200
    wait_until(lambda: status() == 200)


def test_a_form_that_breaks_off_is_no_failure(shown: Dashboard) -> None:
    head = (
        b"POST /signin HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname="
    )
    port = httpx.URL(shown.url).port
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(head)
    time.sleep(0.2)
    assert shown.client().get("signin").status_code == 200


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA" + b"a" * 70_000,
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"POST /signin HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /signin HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /signin HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: \x00\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_http_is_refused(shown: Dashboard, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(shown.url).port), 5) as connection:
        connection.sendall(said)
        try:
            answer = connection.recv(65536)
        except ConnectionResetError:
            answer = b""
    assert not answer or answer.split()[1] in (b"400", b"415")


def test_no_web_socket_is_opened(shown: Dashboard) -> None:
    told = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    for path in ("", "signin", f"apps/{shown.app('shop')}/live/inflight"):
        answer = shown.client().get(path, headers=told)
        assert answer.status_code in (200, 303, 401)
        safe(answer)
