"""Share links: what they show, for how long, and who may make and withdraw them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from standfast.errors import StandfastError
from standfast.store import people
from standfast.store.people import SHARE_MOST_S, Person
from standfast.store.people_tables import share
from tests.unit.store.people_store import NOW_NS, PASSWORD, SECOND, new_store

HOUR = 3600 * SECOND


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return new_store(tmp_path)


@pytest.fixture
def ann(engine: Engine) -> Person:
    return people.add_person(engine, "Ann", PASSWORD, ["shop", "blog"], admin=False)


def test_a_share_comes_back_as_it_was_made(engine: Engine, ann: Person) -> None:
    made = people.add_share(engine, ann, "shop", NOW_NS - HOUR, NOW_NS, 3600.0, NOW_NS)
    open_ended = people.add_share(engine, ann, "shop", None, None, 0.5, NOW_NS + 1)
    assert people.share(engine, made.id, NOW_NS) == made
    assert (made.app, made.since_ns, made.until_ns) == ("shop", NOW_NS - HOUR, NOW_NS)
    assert (made.created_ns, made.expires_ns, made.made_by) == (NOW_NS, NOW_NS + HOUR, "Ann")
    assert (open_ended.since_ns, open_ended.until_ns) == (None, None)
    assert people.shares(engine, "shop", NOW_NS + 1) == [open_ended, made]
    assert people.shares(engine, "blog", NOW_NS) == []


def test_a_share_is_gone_when_its_time_is_over(engine: Engine, ann: Person) -> None:
    made = people.add_share(engine, ann, "shop", None, None, 3600.0, NOW_NS)
    assert people.share(engine, made.id, NOW_NS + HOUR - 1) == made
    assert people.share(engine, made.id, NOW_NS + HOUR) is None
    assert people.shares(engine, "shop", NOW_NS + HOUR) == []


def test_shares_that_have_expired_are_swept(engine: Engine, ann: Person) -> None:
    for hour in range(3):
        people.add_share(engine, ann, "shop", None, None, 3600.0, NOW_NS + 2 * hour * HOUR)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(share)).scalar() == 1


def test_a_share_is_withdrawn_under_its_own_application_only(engine: Engine, ann: Person) -> None:
    made = people.add_share(engine, ann, "shop", None, None, 3600.0, NOW_NS)
    kept = people.add_share(engine, ann, "shop", None, None, 3600.0, NOW_NS)
    people.remove_share(engine, made.id, "blog")
    assert people.share(engine, made.id, NOW_NS) == made
    people.remove_share(engine, made.id, "shop")
    assert people.share(engine, made.id, NOW_NS) is None
    assert people.share(engine, kept.id, NOW_NS) == kept


def test_the_number_of_a_share_says_nothing_of_others(engine: Engine, ann: Person) -> None:
    numbers = set()
    for _ in range(50):
        made = people.add_share(engine, ann, "shop", None, None, 3600.0, NOW_NS)
        people.remove_share(engine, made.id, "shop")
        numbers.add(made.id)
    assert len(numbers) == 50
    assert max(numbers) < 2**63
    assert max(numbers) - min(numbers) > 2**50


@pytest.mark.parametrize("number", [0, -1, 1, 2**63, -(2**80), 2**200])
def test_a_number_that_is_no_share_leads_nowhere(engine: Engine, number: int) -> None:
    assert people.share(engine, number, NOW_NS) is None
    people.remove_share(engine, number, "shop")


def test_nobody_shares_what_they_do_not_see(engine: Engine, ann: Person) -> None:
    with pytest.raises(StandfastError, match="that you see yourself"):
        people.add_share(engine, ann, "bank", None, None, 3600.0, NOW_NS)
    assert people.shares(engine, "bank", NOW_NS) == []


@pytest.mark.parametrize("lasts_s", [0.0, -1.0, math.nan, math.inf, SHARE_MOST_S + 1])
def test_a_share_lasts_for_some_time_and_not_for_ever(
    engine: Engine, ann: Person, lasts_s: float
) -> None:
    with pytest.raises(StandfastError, match="for a year at most"):
        people.add_share(engine, ann, "shop", None, None, lasts_s, NOW_NS)


def test_who_sees_an_application_no_more_has_no_links_to_it_either(
    engine: Engine, ann: Person
) -> None:
    shop, blog = (
        people.add_share(engine, ann, app, None, None, 3600.0, NOW_NS) for app in ("shop", "blog")
    )
    people.set_access(engine, "ann", ["blog"], admin=False)
    assert people.share(engine, shop.id, NOW_NS) is None
    assert people.share(engine, blog.id, NOW_NS) == blog
    people.set_access(engine, "ann", ["shop"], admin=True)
    assert people.share(engine, shop.id, NOW_NS) is None
    assert people.share(engine, blog.id, NOW_NS) == blog
    people.set_access(engine, "ann", [], admin=False)
    assert people.share(engine, blog.id, NOW_NS) is None
