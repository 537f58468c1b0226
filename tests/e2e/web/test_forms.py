"""Forms act for who is signed in only when they were sent from a page of ours."""

from __future__ import annotations

import pytest

from standfast.store import people
from tests.e2e.web.dashboard import PASSWORD, Dashboard, seal

FORMS = ("signin", "signout", "account", "shares", "withdraw")
FIELDS = {
    "name": "ada", "password": PASSWORD, "everywhere": "1", "days": "7",
    "old": PASSWORD, "new": "another password", "again": "another password",
}  # fmt: skip


def address(shown: Dashboard, form: str) -> str:
    """Where a form is sent to."""
    app = f"apps/{shown.app('shop')}/shares"
    return {"shares": app, "withdraw": f"{app}/1/withdraw"}.get(form, form)


def test_a_form_without_our_seal_is_refused(shown: Dashboard) -> None:
    ada, eve = shown.signed_in("ada"), shown.signed_in("eve")
    stranger = shown.client().get("signin")
    wrong = ["", "x", "é", seal(eve.get("account")), seal(stranger), seal(ada.get("account"))[:-1]]
    for form in FORMS:
        assert ada.post(address(shown, form), data=FIELDS).status_code == 403, form
        for value in wrong:
            answer = ada.post(address(shown, form), data={**FIELDS, "seal": value})
            assert answer.status_code == 403, (form, value)
    untouched(shown)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "anything"])
def test_a_form_from_another_site_is_refused_even_with_the_right_seal(
    shown: Dashboard, site: str
) -> None:
    ada = shown.signed_in("ada")
    data = {**FIELDS, "seal": seal(ada.get("account"))}
    for form in FORMS:
        answer = ada.post(address(shown, form), data=data, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403, form
    untouched(shown)


@pytest.mark.parametrize(
    "media", ["text/plain", "application/json", "multipart/form-data; boundary=x", "", "x/y"]
)
def test_what_a_form_of_ours_does_not_send_is_refused(shown: Dashboard, media: str) -> None:
    ada = shown.signed_in("ada")
    body = f"seal={seal(ada.get('account'))}&days=7".encode()
    for form in FORMS:
        answer = ada.post(address(shown, form), content=body, headers={"Content-Type": media})
        assert answer.status_code == 415, form
    untouched(shown)


def test_the_seal_of_one_visitor_is_of_no_use_to_another_before_sign_in(shown: Dashboard) -> None:
    data = {**FIELDS, "seal": seal(shown.client().get("signin"))}
    assert shown.client().post("signin", data=data).status_code == 403


def test_nothing_is_done_by_an_address_alone(shown: Dashboard) -> None:
    ada = shown.signed_in("ada")
    query = {**FIELDS, "seal": seal(ada.get("account"))}
    for form in FORMS:
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            answer = ada.request(method, address(shown, form), params=query)
            assert answer.status_code in (200, 405), (form, method)
    untouched(shown)


def untouched(shown: Dashboard) -> None:
    """Ada is still signed in, with her password, and has shared nothing."""
    ada = shown.signed_in("ada")
    assert ada.get("account").status_code == 200
    engine = shown.house.engine
    assert all(each.made_by != "ada" for each in people.shares(engine, "shop", 0))
