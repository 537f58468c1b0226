"""A link shows one report of one application, until it ends, and opens nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from standfast.store import people
from standfast.web.site import Site
from tests.e2e.web.dashboard import PASSWORD, SECRET, Dashboard, seal, sign_in, token
from tests.unit.watch.journals import SECOND


@pytest.fixture
def site(shown: Dashboard) -> Iterator[Site]:
    """What signs as the server does, to make what it would never give away."""
    made = Site(shown.house.engine)
    yield made
    made.rankings.close()


def share(shown: Dashboard, person: str, app: str) -> str:
    """A link that was made through the form."""
    return share_as(shown.signed_in(person), f"apps/{shown.app(app)}/shares?period=all")


def share_as(client: httpx.Client, path: str) -> str:
    """A link that this client makes at this address."""
    answer = client.post(path, data={"seal": seal(client.get(path)), "days": "7"})
    assert answer.status_code == 303
    return token(client.get(answer.headers["location"][1:]))


def test_a_link_opens_the_report_and_nothing_else(shown: Dashboard) -> None:
    link, stranger = share(shown, "eve", "bank"), shown.client()
    answer = stranger.get(f"shared/{link}")
    assert answer.status_code == 200 and "Why bank went down" in answer.text
    assert "set-cookie" not in answer.headers
    for path in shown.paths("bank"):
        assert stranger.get(path[1:]).status_code == 303
    other = stranger.get(f"shared/{share(shown, 'ada', 'shop')}")
    assert "Why shop went down" in other.text and SECRET not in other.text


def test_a_link_that_was_not_signed_for_this_is_none(shown: Dashboard, site: Site) -> None:
    link, session = share(shown, "ada", "shop"), shown.signed_in("ada").cookies["standfast_session"]
    number, _, signature = link.partition(".")
    again = share(shown, "ada", "shop").partition(".")[2]
    forged = (
        number, f"{number}.", f".{signature}", f"{number}.{signature}x", f"{number}.{again}",
        f"{int(number) + 1}.{signature}", f"0{link}", f" {link}", f"{link}%00", session,
        site.signed(number, "session"), site.signed(number, "form"), site.signed("1", "share"),
        site.signed("-1", "share"), site.signed("9" * 30, "share"), "%FF.%FF", "9" * 5000, ".",
    )  # fmt: skip
    for wrong in forged:
        answer = shown.client().get(f"shared/{wrong}")
        assert answer.status_code == 404, wrong
        assert "Why shop" not in answer.text
    assert shown.client().get(f"shared/{link}").status_code == 200


def test_an_expired_link_is_none(shown: Dashboard, site: Site) -> None:
    engine, now_ns = shown.house.engine, time.time_ns()
    ada = people.find_person(engine, "ada")
    for lasts_s, status in ((30, 404), (90, 200)):
        made = people.add_share(engine, ada, "shop", None, None, lasts_s, now_ns - 60 * SECOND)
        link = site.signed(str(made.id), "share")
        assert shown.client().get(f"shared/{link}").status_code == status
        people.remove_share(engine, made.id, "shop")


@pytest.mark.parametrize("way", ["withdrawn", "access taken", "person removed"])
def test_a_link_ends_before_its_time(shown: Dashboard, way: str) -> None:
    engine, path = shown.house.engine, f"apps/{shown.app('shop')}/shares"
    people.add_person(engine, "temp", PASSWORD, ("shop",), admin=False)
    client = shown.client()
    sign_in(client, "temp")
    link = share_as(client, path)
    assert shown.client().get(f"shared/{link}").status_code == 200
    if way == "withdrawn":
        number = link.partition(".")[0]
        client.post(f"{path}/{number}/withdraw", data={"seal": seal(client.get(path))})
    elif way == "access taken":
        people.set_access(engine, "temp", ("bank",), admin=False)
    if way != "person removed":
        assert shown.client().get(f"shared/{link}").status_code == 404
    people.remove_person(engine, "temp")
    assert shown.client().get(f"shared/{link}").status_code == 404


@pytest.mark.parametrize("days", ["", "0", "-1", "31", "365", "9" * 50, "7.0", "x", "7 "])
def test_a_link_lasts_no_longer_than_the_form_offers(shown: Dashboard, days: str) -> None:
    ada, path = shown.signed_in("ada"), f"apps/{shown.app('shop')}/shares"
    before = people.shares(shown.house.engine, "shop", time.time_ns())
    answer = ada.post(path, data={"seal": seal(ada.get(path)), "days": days})
    assert answer.status_code == 400
    assert people.shares(shown.house.engine, "shop", time.time_ns()) == before


def test_a_link_leads_to_this_server_whatever_host_was_named(shown: Dashboard) -> None:
    share(shown, "ada", "shop")
    path = f"apps/{shown.app('shop')}/shares"
    page = shown.signed_in("ada").get(path, headers={"Host": "evil.test"})
    assert re.search(r'href="/shared/', page.text)
    assert "evil.test" not in re.sub(r">[^<]*<", "><", page.text)


def test_the_report_runs_under_a_policy_that_lets_its_own_style_in_and_nothing_else(
    shown: Dashboard, proxied: Dashboard
) -> None:
    link = share(shown, "ada", "shop")
    found = [
        shown.client().get(f"shared/{link}"), proxied.client().get(f"shared/{link}"),
        shown.signed_in("ada").get(f"apps/{shown.app('shop')}/report.html"),
    ]  # fmt: skip
    for answer in found:
        (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
        known = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["content-security-policy"].split(";")
        )
        assert policy["style-src"] == f"'sha256-{known}'"
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in str(policy)
        assert "style=" not in answer.text.replace(style, "") and "<script" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_who_signs_in_behind_a_proxy_gets_links_under_its_path(proxied: Dashboard) -> None:
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.9", "Host": "site.test"}
    signed = sign_in(proxied.client(), "ada", **told)
    found = re.search(r"standfast_session=[^;]+", signed.headers["set-cookie"])
    assert found is not None
    told["Cookie"] = found[0]
    path = f"apps/{proxied.app('shop')}/shares"
    form = proxied.client().get(path, headers=told)
    data = {"seal": seal(form), "days": "1"}
    answer = proxied.client().post(path, data=data, headers=told)
    assert answer.headers["location"] == f"/standfast/{path}"
    page = proxied.client().get(path, headers=told).text
    assert "https://site.test/standfast/shared/" in page
    assert proxied.client().get(f"shared/{token_under(page)}").status_code == 200


def token_under(page: str) -> str:
    """The token of the first link on a page that a proxy offers."""
    found = re.search(r'href="/standfast/shared/([^"]+)"', page)
    assert found is not None
    return found[1]
