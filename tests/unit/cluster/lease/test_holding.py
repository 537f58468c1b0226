"""The real file on the real file system, and runs that take, lose, break and give it back."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from standfast.cluster.inventory import Server
from standfast.cluster.lease import Hold, Lease, Lost, Taken, held, holding, place
from standfast.cluster.remote import Login, Remote, RemoteError
from tests.unit.cluster.database.sites import NAMES, site

SITE = site("mesh", 3)
THREE = NAMES[:3]


class Here(Remote):
    """A server that is a folder of this machine."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(Login(name, "127.0.0.1", 22, "root", folder))
        self.folder = folder

    def command(self, script: str, *, kept: bool = True) -> list[str]:
        return ["sh", "-c", script.replace(place.FOLDER, str(self.folder))]


class World:
    """The servers of the site; those in ``away`` do not answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.away: set[str] = set()

    def reach(self, server: Server) -> Remote:
        if server.name in self.away:
            raise RemoteError(f"{server.name} was not reached", reached=False)
        return Here(server.name, self.folder / server.name)

    def lines(self) -> dict[str, str]:
        found = {name: self.folder / name / "lease" for name in THREE}
        return {name: file.read_text() for name, file in found.items() if file.exists()}

    def change(self, name: str, before: str, after: str) -> None:
        file = self.folder / name / "lease"
        file.write_text(file.read_text().replace(before, after))

    def expire(self, name: str) -> None:
        file = self.folder / name / "lease"
        file.write_text("0 " + file.read_text().split(" ", 1)[1])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(holding, "FRESH_S", 0.0)
    monkeypatch.setattr(holding, "_BROKEN_S", 0.0)
    return World(tmp_path)


def nobody(holders: Mapping[str, Lease]) -> None:
    raise AssertionError(holders)


def test_a_lease_says_who_holds_it_for_root_alone_and_is_gone_at_the_end(world: World) -> None:
    with held(SITE, "rejoin two", world.reach, nobody) as hold:
        assert set(world.lines()) == set(THREE)
        assert all(
            line.endswith(" rejoin two\n") and "@" in line for line in world.lines().values()
        )
        folder = world.folder / "one"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "lease").stat().st_mode) == 0o600
        hold.check(*THREE)
    assert world.lines() == {}


def test_another_run_is_refused_by_name_and_what_it_had_taken_is_given_back(world: World) -> None:
    world.away = {"one", "three"}
    with held(SITE, "heal", world.reach) as first:
        assert set(first.away) == {"one", "three"}
        world.away = set()
        with pytest.raises(Taken) as refused, held(SITE, "apply", world.reach):
            raise AssertionError
        assert set(world.lines()) == {"two"}
        assert str(refused.value).startswith("two: ")
        assert "`standfast cluster heal`" in str(refused.value)
        assert "--break-lease" in str(refused.value)
        first.check("two")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_it_is_given_back_after_an_error_too(world: World, error: type[BaseException]) -> None:
    with pytest.raises(error), held(SITE, "apply", world.reach):
        raise error
    assert world.lines() == {}


def test_one_that_has_expired_is_taken_over_and_its_run_stops(world: World) -> None:
    with held(SITE, "apply", world.reach) as slow:
        for name in THREE:
            world.expire(name)
        slow.check("one")  # nobody else has come: it goes on
        for name in THREE:
            world.expire(name)
        with held(SITE, "heal", world.reach, nobody) as next_one:
            next_one.check(*THREE)
            with pytest.raises(Lost, match=r"one was broken by .*@.* \(`standfast cluster heal`"):
                slow.check("one")
        with pytest.raises(Lost):
            slow.check("two")


def test_breaking_says_whose_and_the_broken_run_stops_before_its_next_change(world: World) -> None:
    told: list[Mapping[str, Lease]] = []
    with held(SITE, "apply", world.reach) as broken:
        with held(SITE, "heal", world.reach, told.append) as hold:
            (holders,) = told
            assert {lease.command for lease in holders.values()} == {"apply"}
            hold.check(*THREE)
            with pytest.raises(Lost):
                broken.check("three")
        assert world.lines() == {}
    assert world.lines() == {}


def test_a_server_that_was_booted_meanwhile_has_forgotten_it(world: World) -> None:
    with held(SITE, "apply", world.reach) as hold:
        (world.folder / "two" / "lease").unlink()
        hold.check("one")
        with pytest.raises(Lost, match="two is gone"):
            hold.check("two")


def test_an_answer_that_was_lost_loses_no_lease(world: World) -> None:
    with held(SITE, "apply", world.reach) as hold:
        expiry = world.lines()["one"].split()[0]
        world.change("one", expiry, str(int(expiry) - 1))
        hold.check("one")
        world.change("one", world.lines()["one"].split()[0], str(int(expiry) - 2))
    assert world.lines() == {}


def test_a_server_that_is_away_is_left_alone_to_the_end(world: World) -> None:
    world.away = {"two"}
    with held(SITE, "apply", world.reach) as hold:
        world.away = set()
        hold.check("one", "three")
        with pytest.raises(RemoteError, match="two was not reached"):
            hold.check("two")
        assert isinstance(
            hold.remotes({"two": world.reach(SITE.server("two"))})["two"], RemoteError
        )
    world.away = set(THREE)
    with pytest.raises(RemoteError, match="one was not reached"), held(SITE, "x", world.reach):
        raise AssertionError


def test_it_is_renewed_while_it_is_held(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "RENEW_S", 0.05)
    with held(SITE, "apply", world.reach):
        world.expire("one")
        until = time.monotonic() + 20
        while world.lines()["one"].startswith("0 "):
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_line_that_is_no_lease_is_somebodys_and_can_be_broken(world: World) -> None:
    (world.folder / "one").mkdir()
    (world.folder / "one" / "lease").write_text("\x1b[31m what\x07 " + 600 * "x" + "\nmore\n")
    with pytest.raises(Taken) as refused, held(SITE, "apply", world.reach):
        raise AssertionError
    assert str(refused.value).isascii() and "\x1b" not in str(refused.value)
    with held(SITE, "apply", world.reach, lambda holders: None) as hold:
        hold.check("one")


def test_of_two_that_begin_at_once_one_goes_on_and_never_both(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "_PAUSE_S", 0.05)
    inside: list[Hold] = []
    most: list[int] = []
    ends: list[str] = []

    def one(start: threading.Barrier, done: threading.Barrier) -> None:
        start.wait(20)
        try:
            with held(SITE, "apply", world.reach) as hold:
                inside.append(hold)
                most.append(len(inside))
                done.wait(20)  # it holds until the other has tried
                inside.remove(hold)
            ends.append("went on")
        except Taken:
            ends.append("gave way")
            done.wait(20)

    for _ in range(5):
        start, done = threading.Barrier(2), threading.Barrier(2)
        both = [threading.Thread(target=one, args=(start, done)) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(30)
    assert sorted(ends) == ["gave way"] * 5 + ["went on"] * 5
    assert set(most) == {1}


def test_a_refusal_names_each_run_with_its_servers_and_times() -> None:
    now = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
    ann = Lease("1", "ann@laptop", "apply", 90, 45, "")
    bob = Lease("2", "bob@desk", "heal", 5, 60, "")
    said = holding.refusal({"ie": ann, "nl": bob, "us": ann}, now)
    assert said.splitlines()[:2] == [
        "ie, us: ann@laptop changes them just now (`standfast cluster apply`, since 11:58:30 UTC);"
        " the lease ends at 12:00:45 UTC unless that run renews it, as it does while it lives.",
        "nl: bob@desk changes it just now (`standfast cluster heal`, since 11:59:55 UTC);"
        " the lease ends at 12:01:00 UTC unless that run renews it, as it does while it lives.",
    ]
