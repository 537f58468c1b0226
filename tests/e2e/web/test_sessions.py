"""Signing in and out: sessions, cookies, where one is led, and who is slowed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookies import Morsel, SimpleCookie
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from standfast.store import people
from standfast.store.people.slowing import BUDGET
from standfast.web.site import SESSION_COOKIE, VISIT_COOKIE, Site
from tests.e2e.web.dashboard import PASSWORD, Dashboard, seal, sign_in, token
from tests.unit.watch.journals import wait_until

_NUMBERS = itertools.count()


@pytest.fixture
def vic(shown: Dashboard) -> Iterator[str]:
    """Somebody whose sessions, password and failures are nobody else's business."""
    name = f"vic{next(_NUMBERS)}"
    people.add_person(shown.house.engine, name, PASSWORD, ("shop",), admin=False)
    yield name
    people.remove_person(shown.house.engine, name)


def cookie(answer: httpx.Response, name: str) -> Morsel[str]:
    """A cookie that an answer sets."""
    found: SimpleCookie = SimpleCookie()
    for value in answer.headers.get_list("set-cookie"):
        found.load(value)
    return found[name]


def test_cookies_are_kept_from_scripts_and_other_sites(shown: Dashboard, vic: str) -> None:
    client = shown.client()
    visit = cookie(client.get("signin"), VISIT_COOKIE)
    for told in (visit, cookie(sign_in(client, vic), SESSION_COOKIE)):
        assert (told["httponly"], told["samesite"], told["path"]) == (True, "lax", "/")
        assert not told["secure"] and not told["domain"]


def test_behind_a_trusted_proxy_with_tls_cookies_are_secure_and_under_its_path(
    proxied: Dashboard, vic: str
) -> None:
    # A client of http: keeps no Secure cookie for us, so this one carries them by hand.
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1"}
    form = proxied.client().get("signin", headers=told)
    visit = cookie(form, VISIT_COOKIE)
    data = {"name": vic, "password": PASSWORD, "seal": seal(form), "next": "/account"}
    sent = {**told, "Cookie": f"{VISIT_COOKIE}={visit.value}"}
    answer = proxied.client().post("signin", data=data, headers=sent)
    assert (answer.status_code, answer.headers["location"]) == (303, "/standfast/account")
    session = cookie(answer, SESSION_COOKIE)
    for one in (visit, session):
        assert (one["secure"], one["httponly"], one["path"]) == (True, True, "/standfast")
    opened = {**told, "Cookie": f"{SESSION_COOKIE}={session.value}"}
    page = proxied.client().get("account", headers=opened)
    assert page.status_code == 200
    assert 'action="/standfast/signout"' in page.text


def test_whoever_is_no_trusted_proxy_cannot_say_that_there_was_tls(
    shown: Dashboard, proxied: Dashboard
) -> None:
    for served, address in ((shown, "127.0.0.1"), (proxied, "127.0.0.21")):
        answer = served.client(address).get("signin", headers={"X-Forwarded-Proto": "https"})
        assert not cookie(answer, VISIT_COOKIE)["secure"]


def test_signing_in_opens_a_new_session_and_ends_the_one_before(shown: Dashboard, vic: str) -> None:
    first, fixed = shown.client(), shown.client()
    sign_in(first, vic)
    planted = first.cookies[SESSION_COOKIE]
    fixed.cookies.set(SESSION_COOKIE, planted, path="/")
    assert sign_in(fixed, vic).status_code == 303
    assert cookie(sign_in(fixed, vic), SESSION_COOKIE).value != planted
    assert first.get("account").status_code == 303


def test_only_a_session_that_was_opened_here_counts(shown: Dashboard, vic: str) -> None:
    client = shown.client()
    sign_in(client, vic)
    good = client.cookies[SESSION_COOKIE]
    site, root = Site(shown.house.engine), shown.signed_in("root")
    path = f"apps/{shown.app('shop')}/shares"
    root.post(path, data={"seal": seal(root.get(path)), "days": "1"})
    text, _, signature = good.rpartition(".")
    forged = (
        "", ".", text, f"{text}.", f".{signature}", f"{good}x", f"{text}A.{signature}",
        f"{text}.{signature[:-2]}AA", site.signed("1", "session"), site.signed(text, "share"),
        site.signed(text, "form"), token(root.get(path)), "\xff.\xff", "a" * 4000,
    )  # fmt: skip
    for value in forged:
        headers = [(b"Cookie", f"{SESSION_COOKIE}={value}".encode("latin-1"))]
        assert shown.client().get("account", headers=headers).status_code == 303, value
    assert client.get("account").status_code == 200
    assert shown.client().get(f"shared/{good}").status_code == 404
    site.close()


def test_signing_out_ends_the_session_at_the_server_too(shown: Dashboard, vic: str) -> None:
    client, copy = shown.client(), shown.client()
    sign_in(client, vic)
    copy.cookies.set(SESSION_COOKIE, client.cookies[SESSION_COOKIE], path="/")
    with copy.stream("GET", f"apps/{shown.app('shop')}/live/inflight") as stream:
        next(parts := stream.iter_text())
        answer = client.post("signout", data={"seal": seal(client.get("account"))})
        assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
        assert list(parts) == []
    assert SESSION_COOKIE not in client.cookies
    assert copy.get("account").status_code == 303


@pytest.mark.parametrize("way", ["everywhere", "a new password"])
def test_all_sessions_end_at_once(shown: Dashboard, vic: str, way: str) -> None:
    here, there = shown.client(), shown.client()
    for client in (here, there):
        sign_in(client, vic)
    sealed = seal(here.get("account"))
    if way == "everywhere":
        answer = here.post("signout", data={"seal": sealed, "everywhere": "1"})
    else:
        fresh = PASSWORD[::-1]
        asked = {"seal": sealed, "new": fresh, "again": fresh}
        wrong = here.post("account", data={**asked, "old": "x"})
        assert wrong.status_code == 400 and there.get("account").status_code == 200
        answer = here.post("account", data={**asked, "old": PASSWORD})
        assert sign_in(shown.client("127.0.0.22"), vic, PASSWORD).status_code == 403
    assert answer.status_code == 303
    for client in (here, there):
        assert client.get("account").status_code == 303


OUTSIDE = (
    "//evil.test", "//evil.test/%2f..", "/\\evil.test", "\\\\evil.test", "https://evil.test",
    "https:evil.test", "javascript:alert(1)", "/\t/evil.test", "/\n/evil.test", " //evil.test",
    "evil.test", "/\r\nSet-Cookie: a=b", "/é", "/" + "a" * 4000, "?next=//evil.test",
)  # fmt: skip


@pytest.mark.parametrize("wanted", OUTSIDE)
def test_nobody_is_led_to_another_site(shown: Dashboard, vic: str, wanted: str) -> None:
    answer = sign_in(shown.client(), vic, wanted=wanted)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    form = shown.client().get("signin", params={"next": wanted})
    assert 'name="next" value="/"' in form.text


def test_one_is_led_to_where_one_wanted_to_go(shown: Dashboard, vic: str) -> None:
    path = f"/apps/{shown.app('shop')}/errors?q=%3Cb%3E&period=all"
    stranger = shown.client()
    asked = stranger.get(path[1:]).headers["location"]
    form = stranger.get(asked[1:])
    shown_next = httpx.URL(asked).params["next"]
    assert shown_next == path and "&lt;b&gt;" not in form.text
    assert sign_in(stranger, vic, wanted=shown_next).headers["location"] == path


def test_no_redirect_follows_the_host_header(shown: Dashboard) -> None:
    ada = shown.signed_in("ada")
    hosts = ("evil.test", "evil.test:1", "[", "a@b", "evil.test/x?", "\x80")
    for host in hosts:
        for path in ("", "account", f"apps/{shown.app('shop')}/", "static", "signin/"):
            for client in (ada, shown.client()):
                headers = [(b"Host", host.encode("latin-1"))]
                answer = client.get(path, headers=headers)
                assert answer.status_code < 500
                led = urljoin("http://own.test/", answer.headers.get("location", ""))
                assert urlsplit(led).netloc == "own.test"


def test_an_account_is_slowed_after_failures_whether_it_is_there_or_not(
    shown: Dashboard, vic: str
) -> None:
    told = []
    for name, address in ((vic, "127.0.0.31"), ("nobody-of-this-name", "127.0.0.32")):
        client = shown.client(address)
        said = [sign_in(client, name, "wrong") for _ in range(7)]
        assert [answer.status_code for answer in said] == [403] * 5 + [429] * 2
        assert {answer.text.count("do not fit together") for answer in said[:5]} == {1}
        assert int(said[-1].headers["retry-after"]) >= 1 and "Wait" in said[-1].text
        told.append([(sorted(one.headers), len(one.text) - len(name)) for one in said[:5]])
    assert told[0] == told[1]


def test_forty_addresses_do_not_keep_the_owner_out(shown: Dashboard, vic: str) -> None:
    known = shown.client("127.0.0.34")
    assert sign_in(known, vic).status_code == 303
    del known.cookies[SESSION_COOKIE]
    told = []
    for number in range(1, 41):
        client = shown.client(f"127.0.1.{number}")
        told += [sign_in(client, vic, "wrong").status_code for _ in range(2)]
    # What is left for all of them is a few tries more than one for each.
    assert 40 <= told.count(403) < BUDGET.holds + 10
    assert told.count(429) == 80 - told.count(403)
    # From elsewhere, in a browser that is known, and even where the attacker sits in a known one.
    for client in (shown.client("127.0.2.1"), known):
        assert sign_in(client, vic).status_code == 303
    attacker = shown.client("127.0.1.1")
    assert sign_in(attacker, vic).status_code == 429
    attacker.cookies.update(known.cookies)
    assert sign_in(attacker, vic).status_code == 303


def test_while_passwords_are_looked_at_pages_links_and_known_browsers_do_not_wait(
    shown: Dashboard, vic: str
) -> None:
    root, path = shown.signed_in("root"), f"apps/{shown.app('shop')}/shares"
    root.post(path, data={"seal": seal(root.get(path)), "days": "1"})
    link = token(root.get(path))
    known = shown.client("127.0.0.35")
    assert sign_in(known, vic).status_code == 303

    def guess(number: int) -> int:
        return sign_in(shown.client(f"127.0.3.{number}"), f"any{number}", "x").status_code

    with ThreadPoolExecutor(24) as pool:
        guesses = [pool.submit(guess, number) for number in range(1, 25)]
        wait_until(lambda: any(one.done() for one in guesses), 60)
        assert root.get(path).status_code == 200
        assert shown.client().get(f"shared/{link}").status_code == 200
        assert sign_in(known, vic).status_code == 303
        assert not all(one.done() for one in guesses)
        assert {one.result() for one in guesses} == {403}


def test_one_address_does_not_fill_the_queue(shown: Dashboard) -> None:
    form = shown.client("127.0.0.36")
    asked = {"seal": seal(form.get("signin")), "password": "x", "next": ""}
    with ThreadPoolExecutor(16) as pool:
        names = [f"queue{number}" for number in range(16)]
        said = list(pool.map(lambda name: form.post("signin", data={**asked, "name": name}), names))
    assert {one.status_code for one in said} == {403, 429}
    assert all(int(one.headers["retry-after"]) >= 1 for one in said if one.status_code == 429)


def fail_from(client: httpx.Client, mark: str, **headers: str) -> list[int]:
    """What comes of tries on ever other accounts, until one is refused without a look."""
    tries: list[int] = []
    # The wait doubles: a machine that is slow is outrun after a few more.
    while len(tries) < 24 and 429 not in tries:
        number = len(tries)
        forged = {name: value.format(number) for name, value in headers.items()}
        said = sign_in(client, f"{mark}{number}", "wrong", **forged)
        assert "do not fit together" in said.text or "Too many tries" in said.text
        tries.append(said.status_code)
    return tries


def test_an_address_is_slowed_and_cannot_say_that_it_is_another_one(shown: Dashboard) -> None:
    forged = {"X-Forwarded-For": "203.0.113.{0}", "Forwarded": "for=203.0.113.{0}"}
    tries = fail_from(shown.client("127.0.0.41"), "n", **forged, **{"X-Real-IP": "203.0.113.{0}"})
    assert tries[:20] == [403] * 20 and tries[-1] == 429
    assert "do not fit" in sign_in(shown.client("127.0.0.42"), "m0", "wrong").text


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_has_seen(proxied: Dashboard) -> None:
    tries = fail_from(proxied.client(), "p", **{"X-Forwarded-For": "203.0.113.{0}, 198.51.100.77"})
    assert tries[:20] == [403] * 20 and tries[-1] == 429
    other = {"X-Forwarded-For": "198.51.100.77, 198.51.100.78"}
    assert "do not fit" in sign_in(proxied.client(), "q0", "wrong", **other).text
    # Whoever comes past the proxy has no say.
    past = {"X-Forwarded-For": "198.51.100.77"}
    assert "do not fit" in sign_in(proxied.client("127.0.0.43"), "q1", "wrong", **past).text
