"""Sessions: how long they last, what the store knows of them, and the signing key."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine, func, select

from standfast.store import open_store, people
from standfast.store.people import IDLE_S, Person
from standfast.store.people.sessions import ABSOLUTE_S
from standfast.store.people_tables import session
from tests.unit.store.people_store import NOW_NS, PASSWORD, SECOND, new_store


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return new_store(tmp_path)


@pytest.fixture
def ann(engine: Engine) -> Person:
    return people.add_person(engine, "ann", PASSWORD, ["shop", "blog"], admin=False)


def _sessions(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(session)).scalar_one()


def _last_seen(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(session.c.last_seen_ns)).scalar_one())


def test_a_token_leads_to_its_person_in_every_process_on_the_store(
    engine: Engine, ann: Person, tmp_path: Path
) -> None:
    token = people.open_session(engine, ann.id, NOW_NS)
    assert people.session_person(engine, token, NOW_NS) == ann
    assert people.session_person(open_store(str(tmp_path / "store.db")), token, NOW_NS) == ann


def test_a_token_has_256_random_bits_and_the_store_only_its_hash(
    engine: Engine, ann: Person, tmp_path: Path
) -> None:
    tokens = {people.open_session(engine, ann.id, NOW_NS) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) >= 43 and token.isascii() for token in tokens)  # base64 of 32 bytes
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for token in tokens:
        assert token.encode() not in kept
        assert hashlib.sha256(token.encode()).hexdigest().encode() in kept


def test_what_is_no_token_leads_to_nobody(engine: Engine, ann: Person) -> None:
    token = people.open_session(engine, ann.id, NOW_NS)
    hashed = hashlib.sha256(token.encode()).hexdigest()
    for wrong in ("", token[:-1], token.swapcase(), hashed, "\0", "\udcff", "'; --", "x" * 10_000):
        assert people.session_person(engine, wrong, NOW_NS) is None
        people.close_session(engine, wrong)
    assert people.session_person(engine, token, NOW_NS) == ann


def test_a_session_ends_when_it_was_idle_for_too_long(engine: Engine, ann: Person) -> None:
    token = people.open_session(engine, ann.id, NOW_NS)
    at = NOW_NS
    for _ in range(3):
        at += IDLE_S * SECOND
        assert people.session_person(engine, token, at) == ann
    assert people.session_person(engine, token, at + IDLE_S * SECOND + 1) is None


def test_a_session_ends_after_a_week_however_busy_it_was(engine: Engine, ann: Person) -> None:
    token = people.open_session(engine, ann.id, NOW_NS)
    end = NOW_NS + ABSOLUTE_S * SECOND
    for at in range(NOW_NS, end, IDLE_S // 2 * SECOND):
        assert people.session_person(engine, token, at) == ann
    assert people.session_person(engine, token, end) == ann
    assert people.session_person(engine, token, end + 1) is None


def test_that_somebody_is_there_is_written_once_a_minute_at_most(
    engine: Engine, ann: Person
) -> None:
    token = people.open_session(engine, ann.id, NOW_NS)
    seen = []
    for second in (0, 1, 59, 60, 61, 119, 120, 100):
        people.session_person(engine, token, NOW_NS + second * SECOND)
        seen.append((_last_seen(engine) - NOW_NS) // SECOND)
    assert seen == [0, 0, 0, 60, 60, 60, 120, 120]


def test_a_busy_store_turns_nobody_away_who_reads(
    ann: Person, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = people.open_session(engine, ann.id, NOW_NS)
    monkeypatch.setattr("standfast.store.opening.LOCK_WAIT_S", 0.05)
    impatient = open_store(str(tmp_path / "store.db"))
    with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as watcher:
        watcher.execute("BEGIN IMMEDIATE")
        assert people.session_person(impatient, token, NOW_NS + 90 * SECOND) == ann
        watcher.execute("ROLLBACK")
    watcher.close()
    assert _last_seen(engine) == NOW_NS


def test_signing_out_ends_this_session_alone(engine: Engine, ann: Person) -> None:
    here, there = (people.open_session(engine, ann.id, NOW_NS) for _ in range(2))
    people.close_session(engine, here)
    assert people.session_person(engine, here, NOW_NS) is None
    assert people.session_person(engine, there, NOW_NS) == ann


def test_signing_out_everywhere_ends_all_of_ones_own_sessions(engine: Engine, ann: Person) -> None:
    bob = people.add_person(engine, "bob", PASSWORD, [], admin=True)
    tokens = [people.open_session(engine, one.id, NOW_NS) for one in (ann, ann, bob)]
    people.close_all_sessions(engine, ann.id)
    assert [people.session_person(engine, token, NOW_NS) for token in tokens] == [None, None, bob]


def test_sessions_that_are_over_are_swept(engine: Engine, ann: Person) -> None:
    idle = people.open_session(engine, ann.id, NOW_NS)
    busy = people.open_session(engine, ann.id, NOW_NS)
    later = NOW_NS + IDLE_S * SECOND
    people.session_person(engine, busy, later)
    people.open_session(engine, ann.id, later + SECOND)
    assert _sessions(engine) == 2
    assert people.session_person(engine, idle, later) is None
    assert people.session_person(engine, busy, later + SECOND) == ann


def test_the_signing_key_is_made_once_however_many_ask_at_once(tmp_path: Path) -> None:
    new_store(tmp_path).dispose()
    barrier = Barrier(8)

    def ask(_: int) -> bytes:
        engine = open_store(str(tmp_path / "store.db"))
        barrier.wait(30)
        return people.signing_key(engine)

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(ask, range(8)))
    assert len(keys) == 1
    key = keys.pop()
    assert len(key) >= 32
    assert people.signing_key(open_store(str(tmp_path / "store.db"))) == key


def test_every_store_has_a_signing_key_of_its_own(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        keys.add(people.signing_key(new_store(tmp_path / name)))
    assert len(keys) == 2


def test_a_session_of_now_is_found_now(engine: Engine, ann: Person) -> None:
    token = people.open_session(engine, ann.id, time.time_ns())
    assert people.session_person(engine, token, time.time_ns()) == ann
