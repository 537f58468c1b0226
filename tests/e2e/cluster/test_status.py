"""Heartbeats and the proof by rows, on real servers: what they show when links are cut."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standfast.cli.cluster.heal import heal
from standfast.cluster.database import layout
from standfast.cluster.database.settle import settle
from standfast.cluster.remote import RemoteError
from standfast.cluster.status import heartbeat, judgement
from standfast.cluster.status.judgement import judge
from standfast.cluster.status.matrix import ages, behind
from standfast.cluster.status.observation import observe
from standfast.cluster.status.scratch import Entry, prove
from standfast.cluster.status.seen import SiteSeen
from standfast.errors import UsageError

from .conftest import site_in
from .machines import Machines

# What shall run on a whole server runs on none of these.
_PRETENDED = ("service", "force", "disk")


@pytest.fixture(autouse=True, scope="module")
def impatience() -> Iterator[None]:
    """What takes seconds to be worth a word takes fewer here."""
    with pytest.MonkeyPatch.context() as here:
        here.setattr(judgement, "LAG_S", 4.0)
        yield


@contextmanager
def connected(
    factory: pytest.TempPathFactory, empty_data: Path, topology: str
) -> Iterator[Machines]:
    with site_in(factory.mktemp(topology), empty_data) as machines:
        machines.set_up(topology, 3)
        settle(machines.site, machines.remotes, machines.vault, lambda words: None)
        yield machines


@pytest.fixture(scope="module")
def a_ring(tmp_path_factory: pytest.TempPathFactory, empty_data: Path) -> Iterator[Machines]:
    with connected(tmp_path_factory, empty_data, "ring") as machines:
        yield machines


@pytest.fixture(scope="module")
def a_mesh(tmp_path_factory: pytest.TempPathFactory, empty_data: Path) -> Iterator[Machines]:
    with connected(tmp_path_factory, empty_data, "mesh") as machines:
        yield machines


@pytest.fixture
def ring(a_ring: Machines) -> Machines:
    """Three servers that replicate in a circle, and are well."""
    assert within(20, lambda: wrong(a_ring) == []), wrong(a_ring)
    return a_ring


@pytest.fixture
def mesh(a_mesh: Machines) -> Machines:
    """Three servers that replicate from one another, and are well."""
    assert within(20, lambda: wrong(a_mesh) == []), wrong(a_mesh)
    return a_mesh


def look(machines: Machines) -> SiteSeen:
    return observe(machines.site, machines.remotes)


def wrong(machines: Machines) -> list[str]:
    """What is said, but for what no bare process can have."""
    found = judge(machines.site, look(machines))
    return [f"{one.server}: {one.words}" for one in found if one.kind not in _PRETENDED]


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def tables(machines: Machines) -> dict[str, str | None]:
    """How many scratch tables there are on each server."""
    many = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name LIKE 'verify%'"
    return {name: machine.value(many) for name, machine in machines.all.items()}


def none_left(machines: Machines) -> bool:
    return set(tables(machines).values()) == {"0"}


def stop(machines: Machines, replica: str, origin: str) -> None:
    machines[replica].ask(f"STOP SLAVE '{origin}'")


def start(machines: Machines, replica: str, origin: str) -> None:
    machines[replica].ask(f"START SLAVE '{origin}'")


def test_all_that_is_well_is_seen_to_be_in_seconds(ring: Machines) -> None:
    seen = look(ring)
    known = ages(ring.site, seen)
    assert len(known) == 9
    assert all(age is not None and age < 3 for age in known.values())
    assert all(many is not None and many <= 2 for many in behind(ring.site, seen).values())
    for replica in seen.replicas().values():
        assert [link.runs for link in replica.links] == [True]


def test_only_its_own_server_writes_a_heartbeat_and_nothing_else_replicates(ring: Machines) -> None:
    hearts = "SELECT COUNT(*) FROM information_schema.events WHERE event_schema = 'standfast'"
    for number, machine in enumerate(ring.all.values(), 1):
        machine.remote.run("mariadb", heartbeat.TABLE_SQL + heartbeat.event_sql(number))
        assert machine.value(hearts) == "2"  # the heart, and the guard of its log
        assert machine.value(heartbeat.CHECK_SQL) == "1"
        # Each beat is one row changed; neither table, event nor account came by replication.
        (events,) = machine.ask("SHOW BINLOG EVENTS")
        kinds = {event["Event_type"] for event in events}
        assert "Update_rows_v1" in kinds
        assert not kinds & {"Query", "Write_rows_v1", "Delete_rows_v1"}


def test_a_server_restarted_beats_again(ring: Machines) -> None:
    ring["two"].kill()
    two = look(ring).reached()["two"]
    assert two.replica is None and "ERROR 2002" in two.database_error
    ring["two"].start()
    ring["two"].wait()
    assert within(15, lambda: wrong(ring) == [])


def test_a_cut_link_shows_as_what_does_not_come_through(ring: Machines) -> None:
    stop(ring, "two", "one")
    assert within(
        20,
        lambda: (
            wrong(ring)
            == [
                "two: the link from one does not run",
                "two: gets nothing of one and three",
                "three: gets nothing of one",
            ]
        ),
    ), wrong(ring)
    start(ring, "two", "one")
    assert within(10, lambda: wrong(ring) == [])


def test_rows_written_on_each_are_on_all_and_their_numbers_tell_where(ring: Machines) -> None:
    proof = prove(ring.site, ring.remotes)
    assert proof.wrong == []
    rows = (
        Entry(1, "One"), Entry(2, "Two"), Entry(3, "Three"),
        Entry(11, "One"), Entry(12, "Two"), Entry(13, "Three"),
    )  # fmt: skip
    assert proof.read == {"one": rows, "two": rows, "three": rows}
    assert not proof.left and within(5, lambda: none_left(ring))


def test_a_server_that_is_down_is_said_and_the_others_are_proven(mesh: Machines) -> None:
    mesh["one"].kill()
    proof = prove(mesh.site, mesh.remotes)
    ((name, words),) = proof.wrong
    assert name == "one" and "ERROR 2002" in words
    assert [row.id for row in proof.read["three"]] == [2, 3, 12, 13]
    assert proof.read["two"] == proof.read["three"]
    mesh["one"].start()
    mesh["one"].wait()
    assert within(15, lambda: none_left(mesh) and wrong(mesh) == []), wrong(mesh)


def test_rows_that_do_not_come_are_said_and_the_table_goes_without_harm(ring: Machines) -> None:
    stop(ring, "one", "three")
    proof = prove(ring.site, ring.remotes, wait_s=2)
    assert proof.wrong == [
        ("one", "does not have: 2, 3, 12, 13"),
        ("two", "does not have: 3, 13"),
    ]
    assert len(proof.read["three"]) == 6 and not proof.left
    start(ring, "one", "three")
    assert within(15, lambda: none_left(ring) and wrong(ring) == []), wrong(ring)


def test_a_table_that_cannot_go_yet_goes_with_the_next_proof(ring: Machines) -> None:
    said: list[str] = []

    def cut_in_the_midst(words: str) -> None:
        said.append(words)
        if words.startswith("one: writes") and len(said) == 2:
            # The table is everywhere; rows of nobody get to anybody.
            for pair in layout.links(ring.site, list(ring.all)):
                stop(ring, pair.replica, pair.origin)

    proof = prove(ring.site, ring.remotes, cut_in_the_midst, wait_s=1)
    assert proof.left and len(proof.wrong) == 3
    assert set(tables(ring).values()) == {"1"}
    for pair in layout.links(ring.site, list(ring.all)):
        start(ring, pair.replica, pair.origin)
    assert within(15, lambda: wrong(ring) == []), wrong(ring)
    time.sleep(1.1)  # older than a second
    assert prove(ring.site, ring.remotes, left_s=1).wrong == []
    assert within(10, lambda: none_left(ring) and wrong(ring) == [])


def test_an_interrupted_proof_leaves_no_table(ring: Machines) -> None:
    def interrupt(words: str) -> None:
        if words.startswith("two: writes"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prove(ring.site, ring.remotes, interrupt)
    assert within(10, lambda: none_left(ring) and wrong(ring) == [])


def test_a_dead_server_is_healed_around_and_taken_back(
    ring: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heal(ring.site, ring.remotes, asks=False) == 0
    assert capsys.readouterr().out == "Nothing to heal.\n"
    ring["one"].kill()
    assert within(20, lambda: wrong(ring) == ["two: gets nothing of three"]), wrong(ring)
    assert heal(ring.site, ring.remotes, asks=False) == 0
    said = capsys.readouterr().out
    assert "Away: one" in said and "two: replicates from three" in said
    assert "; its last heartbeat came " in " ".join(said.split())
    assert "and is put right as far as it can be:" in said  # nobody is asked
    assert "Every row is on every server (2)" in said
    assert within(10, lambda: wrong(ring) == []), wrong(ring)
    ring["one"].start()
    ring["one"].wait()
    assert heal(ring.site, ring.remotes, asks=False) == 0
    assert within(15, lambda: wrong(ring) == []), wrong(ring)
    assert prove(ring.site, ring.remotes).wrong == []


def test_healing_asks_and_does_nothing_without_an_answer(
    ring: Machines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(ring, "two", "one")
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    with pytest.raises(UsageError, match="--yes"):
        heal(ring.site, ring.remotes, asks=True)
    said = capsys.readouterr().out
    assert "and would be put right as far as it can be:" in said
    assert "two: the link from one is started again" in said
    for answer, status in (("", 1), ("n", 1), ("y", 0)):
        terminal = io.StringIO(f"{answer}\n")
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", terminal)
        assert heal(ring.site, ring.remotes, asks=True) == status
    assert wrong(ring) == []


def test_a_site_that_is_not_set_up_gets_no_table(tmp_path: Path, empty_data: Path) -> None:
    with site_in(tmp_path, empty_data) as machines:
        machines.set_up("mesh", 1)
        proof = prove(machines.site, machines.remotes)
        assert proof.wrong == [
            ("one", "has no database `standfast`: run `standfast cluster apply`")
        ]
        one = look(machines).reached()["one"]
        assert "standfast.heartbeat' doesn't exist" in one.database_error


def test_nobody_there_is_said_of_each() -> None:
    from tests.unit.cluster.status.sites import site

    one = site()
    away = {server.name: RemoteError("no", "", False) for server in one.servers}
    proof = prove(one, away)
    assert proof.wrong == [("ie", "no"), ("nl", "no"), ("us", "no")] and not proof.left
