"""What one may not see is answered like what is not there."""

from __future__ import annotations

import httpx
import pytest

from standfast.store import people
from standfast.store.tables import route
from tests.e2e.web.dashboard import HOSTILE, PASSWORD, SECRET, Dashboard, seal, sign_in, token

_POSTS = ("shares", "shares/1/withdraw")


def test_the_store_has_what_the_other_tests_look_for(shown: Dashboard) -> None:
    eve, root = shown.signed_in("eve"), shown.signed_in("root")
    for client in (eve, root):
        found = [client.get(path[1:]) for path in shown.paths("bank")]
        assert [answer.status_code for answer in found] == [200] * len(found)
        assert sum(SECRET in answer.text for answer in found) > len(found) / 2


def test_a_customer_gets_nothing_of_another_ones_addresses(shown: Dashboard) -> None:
    ada = shown.signed_in("ada")
    live = [f"/apps/{shown.app('bank')}/live/{part}" for part in ("inflight", "crashes")]
    for path in (*shown.paths("bank"), *live):
        for method in ("GET", "HEAD"):
            answer = ada.request(method, path[1:])
            assert answer.status_code == 404, path
            assert SECRET not in answer.text


def test_no_permission_looks_exactly_as_nothing_there(shown: Dashboard) -> None:
    ada, missing = shown.signed_in("ada"), "/apps/999999"
    for path in shown.paths("bank"):
        other = path.replace(f"/apps/{shown.app('bank')}", missing)
        assert ada.get(path[1:]).text == ada.get(other[1:]).text
    for path in _POSTS:
        data = {"seal": seal(ada.get("account")), "days": "7"}
        told = [ada.post(f"apps/{app}/{path}", data=data) for app in (shown.app("bank"), 999999)]
        assert [answer.status_code for answer in told] == [404, 404]
        assert told[0].text == told[1].text


def test_nobody_else_s_incidents_and_requests_under_one_s_own_application(
    shown: Dashboard,
) -> None:
    ada, mine = shown.signed_in("ada"), f"apps/{shown.app('shop')}"
    incident, name = shown.incident("bank"), shown.request("bank", "unfinished")
    assert ada.get(f"{mine}/crashes/{incident}").status_code == 404
    assert ada.get(f"{mine}/requests/{name}").status_code == 404
    # A worker that serves two applications: its requests have the same names in both.
    shared = shown.request("bank", "slow")
    assert shared == shown.request("shop", "slow")
    answer = ada.get(f"{mine}/requests/{shared}")
    assert answer.status_code == 200 and SECRET not in answer.text


def test_no_filter_reaches_the_rows_of_another_application(shown: Dashboard) -> None:
    ada, mine = shown.signed_in("ada"), f"apps/{shown.app('shop')}"
    assert ada.get(f"{mine}/slow.json", params={"period": "all"}).json() != []
    theirs = shown.house.rows(route, application_id=shown.app("bank"))
    secret = [one.template for one in theirs if SECRET in one.template][:5]
    assert secret
    for name in ("slow", "errors", "crashes"):
        for asked in ({"q": SECRET}, *({"route": one} for one in secret), {"route": "/*"}):
            answer = ada.get(f"{mine}/{name}.json", params={**asked, "period": "all"})
            assert SECRET not in answer.text


def test_the_live_streams_tell_of_one_application_only(shown: Dashboard) -> None:
    for name, app in (("ada", "shop"), ("eve", "bank")):
        path = f"apps/{shown.app(app)}/live/inflight"
        with shown.signed_in(name).stream("GET", path) as answer:
            event = next(answer.iter_text())
        assert "in flight" in event and (SECRET in event) == (app == "bank")


def test_who_is_not_signed_in_is_asked_to_whatever_the_address(shown: Dashboard) -> None:
    stranger = shown.client()
    for path in ("/", "/account", "/apps/999999", *shown.paths("shop")):
        answer = stranger.get(path)
        assert (answer.status_code, answer.content) == (303, b"")
        assert answer.headers["location"].startswith("/signin?next=%2F")
    assert stranger.get(f"apps/{shown.app('shop')}/live/inflight").status_code == 401


def test_a_customer_cannot_withdraw_the_link_of_another_application(shown: Dashboard) -> None:
    eve, ada = shown.signed_in("eve"), shown.signed_in("ada")
    theirs, mine = (f"apps/{shown.app(app)}/shares" for app in ("bank", "shop"))
    assert eve.post(theirs, data={"seal": seal(eve.get(theirs)), "days": "7"}).status_code == 303
    link = token(eve.get(theirs))
    number = link.partition(".")[0]
    for path in (theirs, mine):
        ada.post(f"{path}/{number}/withdraw", data={"seal": seal(ada.get(mine))})
    assert shown.client().get(f"shared/{link}").status_code == 200
    gone = eve.post(f"{theirs}/{number}/withdraw", data={"seal": seal(eve.get(theirs))})
    assert gone.status_code == 303
    assert shown.client().get(f"shared/{link}").status_code == 404


def test_access_that_was_taken_away_is_gone_at_the_next_page(shown: Dashboard) -> None:
    engine = shown.house.engine
    people.add_person(engine, "temp", PASSWORD, ("bank",), admin=False)
    client, path = shown.client(), f"apps/{shown.app('bank')}"
    assert sign_in(client, "temp").status_code == 303
    with client.stream("GET", f"{path}/live/inflight") as stream:
        assert SECRET in next(parts := stream.iter_text())
        people.set_access(engine, "temp", ("shop",), admin=False)
        assert client.get(path).status_code == 404
        assert list(parts) == []  # it ends
    people.remove_person(engine, "temp")
    assert client.get("account").status_code == 303


@pytest.mark.parametrize("name", ["", ".", "..", "1-2-3", "1'--1", "%00-1", "a%2Fb-1", "9" * 400])
def test_a_name_that_no_request_has_is_not_found(shown: Dashboard, name: str) -> None:
    ada = shown.signed_in("ada")
    target = f"/apps/{shown.app('shop')}/requests/{name}".encode()
    answer = ada.get(httpx.URL(shown.url), extensions={"target": target})
    assert answer.status_code == 404


def test_hostile_texts_are_there_in_every_list(shown: Dashboard) -> None:
    root = shown.signed_in("root")
    for name in ("slow", "errors"):
        rows = root.get(f"apps/{shown.app('shop')}/{name}.json?period=all").json()
        assert len(rows) >= len(HOSTILE)
