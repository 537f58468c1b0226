"""Accounts: names, passwords, what each sees, and what stays when somebody goes."""

from __future__ import annotations

import string
import unicodedata
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from standfast.errors import StandfastError
from standfast.store import people, writing
from standfast.store.people import passwords
from standfast.store.people_tables import person, person_app, session, share
from tests.unit.store.people_store import NOW_NS, PASSWORD, new_store

ALLOWED = string.ascii_letters + string.digits + "._-@+"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return new_store(tmp_path)


def _may_enter(engine: Engine, name: str, password: str) -> bool:
    return people.sign_in(engine, name, password, "192.0.2.1", NOW_NS).person is not None


def _hash(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.execute(select(person.c.password_hash)).scalar_one())


def test_a_customer_sees_the_applications_named_and_no_other(engine: Engine) -> None:
    ann = people.add_person(engine, "ann", PASSWORD, ["shop", "blog", "shop"], admin=False)
    assert ann.apps == ("blog", "shop")
    assert ann.may_see("shop") and ann.may_see("blog")
    for other in ("Shop", "shop ", "", "sho", "bank"):
        assert not ann.may_see(other)
    assert people.people(engine) == [ann]


def test_an_admin_sees_every_application(engine: Engine) -> None:
    assert people.add_person(engine, "root", PASSWORD, [], admin=True).may_see("whatever")


def test_a_name_is_taken_however_it_is_written(engine: Engine) -> None:
    people.add_person(engine, "Ann", PASSWORD, ["shop"], admin=False)
    for name in ("Ann", "ann", "ANN"):
        with pytest.raises(StandfastError, match="already"):
            people.add_person(engine, name, PASSWORD, ["bank"], admin=True)
        with pytest.raises(StandfastError, match="already"):
            people.check_new_name(engine, name)
    assert [(one.name, one.apps, one.admin) for one in people.people(engine)] == [
        ("Ann", ("shop",), False)
    ]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.sampled_from(ALLOWED), min_size=1, max_size=64))
def test_every_name_of_the_characters_allowed_is_let_through(engine: Engine, name: str) -> None:
    people.check_new_name(engine, name)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.one_of(
        st.text(st.characters(codec=None), max_size=80).filter(
            lambda text: not 0 < len(text) <= 64 or set(text) - set(ALLOWED)
        ),
        st.text(st.sampled_from(ALLOWED), min_size=65, max_size=80),
    )
)
def test_every_other_name_is_refused_in_words_that_harm_nobody(engine: Engine, name: str) -> None:
    with pytest.raises(StandfastError, match="not allowed as a name") as caught:
        people.check_new_name(engine, name)
    assert str(caught.value).isascii() and str(caught.value).isprintable()
    with pytest.raises(StandfastError, match="Nobody is called"):
        people.find_person(engine, name)


def test_letters_that_only_look_or_fold_like_others_are_no_letters_of_a_name(
    engine: Engine,
) -> None:
    people.add_person(engine, "kate", PASSWORD, ["shop"], admin=False)
    kelvin = "\N{KELVIN SIGN}ate"
    assert kelvin.lower() == "kate"
    assert not _may_enter(engine, kelvin, PASSWORD)
    with pytest.raises(StandfastError, match="Nobody is called"):
        people.remove_person(engine, kelvin)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "too short"),
        ("elevenchars", "too short"),
        ("e\u0301" * 11, "too short"),
        ("x" * 1025, "too long"),
        ("Administrator", "is the name"),
        ("twelve chars \udcff", "not valid UTF-8"),
    ],
)
def test_a_weak_password_is_refused_and_changes_nothing(
    engine: Engine, password: str, why: str
) -> None:
    with pytest.raises(StandfastError, match=why):
        people.add_person(engine, "administrator", password, [], admin=True)
    assert people.people(engine) == []
    people.add_person(engine, "administrator", PASSWORD, [], admin=True)
    with pytest.raises(StandfastError, match=why):
        people.set_password(engine, "administrator", password)
    assert _may_enter(engine, "administrator", PASSWORD)


@pytest.mark.parametrize(
    "password", ["twelve chars", "x" * 1024, "e\u0301" * 1024, "\t nul\0 inside "]
)
def test_a_password_as_short_or_long_as_may_be_lets_in(engine: Engine, password: str) -> None:
    people.add_person(engine, "ann", password, ["shop"], admin=False)
    assert _may_enter(engine, "ann", password)
    assert not _may_enter(engine, "ann", password[:-1])
    assert not _may_enter(engine, "ann", password + "x")


def test_a_password_is_the_same_however_a_keyboard_composes_it(engine: Engine) -> None:
    password = "Größe, Ämter, é"
    people.add_person(engine, "ann", unicodedata.normalize("NFD", password), ["shop"], admin=False)
    assert _may_enter(engine, "ann", unicodedata.normalize("NFC", password))
    assert _may_enter(engine, "ann", unicodedata.normalize("NFD", password))
    assert not _may_enter(engine, "ann", password.casefold())


def test_the_store_holds_a_salted_argon2_hash_and_no_password(
    engine: Engine, tmp_path: Path
) -> None:
    people.add_person(engine, "ann", PASSWORD, ["shop"], admin=False)
    first = _hash(engine)
    assert first.startswith("$argon2id$")
    people.set_password(engine, "ann", PASSWORD)
    assert _hash(engine) != first
    assert _may_enter(engine, "ann", PASSWORD)
    for file in tmp_path.iterdir():
        assert PASSWORD.encode() not in file.read_bytes(), file.name


def test_a_hash_of_older_parameters_is_renewed_at_the_next_sign_in(engine: Engine) -> None:
    people.add_person(engine, "ann", PASSWORD, ["shop"], admin=False)
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    with writing(engine) as connection:
        connection.execute(update(person).values(password_hash=old))
    assert not _may_enter(engine, "ann", "wrong " + PASSWORD)
    assert _hash(engine) == old
    assert _may_enter(engine, "ann", PASSWORD)
    assert not passwords.is_outdated(_hash(engine))
    assert _may_enter(engine, "ann", PASSWORD)


def test_what_stands_in_for_an_unknown_name_costs_what_a_hash_costs() -> None:
    real, nobodys = passwords.hash_of(PASSWORD), passwords._nobodys_hash()
    assert real.split("$")[:4] == nobodys.split("$")[:4]
    assert list(map(len, real.split("$"))) == list(map(len, nobodys.split("$")))
    assert not passwords.is_outdated(nobodys)
    assert not passwords.fits(None, PASSWORD)


def test_generated_passwords_are_strong_and_never_the_same() -> None:
    made = {people.generate_password() for _ in range(100)}
    assert len(made) == 100
    for one in made:
        people.check_password("ann", one)
        assert len(one) == 20


def test_access_is_replaced_not_added_to(engine: Engine) -> None:
    people.add_person(engine, "Ann", PASSWORD, ["shop"], admin=False)
    changed = people.set_access(engine, "aNN", ["blog"], admin=False)
    assert (changed.name, changed.apps, changed.admin) == ("Ann", ("blog",), False)
    assert people.set_access(engine, "ann", [], admin=True).may_see("shop")
    assert not people.set_access(engine, "ann", ["blog"], admin=False).may_see("shop")
    assert people.find_person(engine, "ann").apps == ("blog",)
    assert _may_enter(engine, "ann", PASSWORD)


def test_access_that_is_taken_away_counts_in_sessions_that_are_open(engine: Engine) -> None:
    ann = people.add_person(engine, "ann", PASSWORD, [], admin=True)
    token = people.open_session(engine, ann.id, NOW_NS)
    people.set_access(engine, "ann", ["blog"], admin=False)
    seen = people.session_person(engine, token, NOW_NS)
    assert seen is not None
    assert not seen.may_see("shop") and not seen.admin


@pytest.mark.parametrize("app", ["", "x" * 256, "a\nb", "a\0b", "\udcff", "\u202eshop"])
def test_what_cannot_name_an_application_is_refused(engine: Engine, app: str) -> None:
    with pytest.raises(StandfastError, match="not the name of an application"):
        people.add_person(engine, "ann", PASSWORD, [app], admin=False)
    people.add_person(engine, "ann", PASSWORD, ["shop"], admin=False)
    with pytest.raises(StandfastError, match="not the name of an application"):
        people.set_access(engine, "ann", [app], admin=False)
    assert people.find_person(engine, "ann").apps == ("shop",)


def test_a_new_password_ends_all_sessions_of_that_person_alone(engine: Engine) -> None:
    ann = people.add_person(engine, "ann", PASSWORD, ["shop"], admin=False)
    bob = people.add_person(engine, "bob", PASSWORD, ["shop"], admin=False)
    tokens = [people.open_session(engine, one.id, NOW_NS) for one in (ann, ann, bob)]
    people.set_password(engine, "ann", "another good password")
    assert [people.session_person(engine, token, NOW_NS) for token in tokens] == [None, None, bob]
    assert not _may_enter(engine, "ann", PASSWORD)
    assert _may_enter(engine, "ann", "another good password")


def test_nothing_of_someone_removed_stays(engine: Engine) -> None:
    ann = people.add_person(engine, "ann", PASSWORD, ["shop"], admin=False)
    token = people.open_session(engine, ann.id, NOW_NS)
    link = people.add_share(engine, ann, "shop", None, None, 60.0, NOW_NS)
    people.remove_person(engine, "ANN")
    assert people.people(engine) == []
    assert people.session_person(engine, token, NOW_NS) is None
    assert people.share(engine, link.id, NOW_NS) is None
    assert not _may_enter(engine, "ann", PASSWORD)
    with engine.connect() as connection:
        for table in (person, person_app, session, share):
            assert connection.execute(table.select()).all() == [], table.name


def test_the_number_of_someone_removed_is_given_to_nobody_else(engine: Engine) -> None:
    ann = people.add_person(engine, "ann", PASSWORD, ["shop"], admin=False)
    people.remove_person(engine, "ann")
    eve = people.add_person(engine, "eve", PASSWORD, ["bank"], admin=False)
    assert eve.id != ann.id
    with pytest.raises(StandfastError, match="removed"):
        people.open_session(engine, ann.id, NOW_NS)
    with pytest.raises(StandfastError, match="removed"):
        people.add_share(engine, ann, "shop", None, None, 60.0, NOW_NS)


def test_who_is_not_there_is_told_by_name(engine: Engine) -> None:
    for action in (
        lambda: people.set_password(engine, "eve", PASSWORD),
        lambda: people.set_access(engine, "eve", ["shop"], admin=False),
        lambda: people.remove_person(engine, "eve"),
    ):
        with pytest.raises(StandfastError, match="Nobody is called 'eve'"):
            action()
