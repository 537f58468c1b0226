"""Signing in: failures are counted in the store, and each slows the next try."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from standfast.store import open_store, people
from standfast.store.people import Person, SignIn, passwords
from standfast.store.people.sign_in import network_of
from standfast.store.people.slowing import BUDGET, FORGOTTEN_S
from standfast.store.people_tables import failed_sign_in
from tests.unit.store.people_store import NOW_NS, PASSWORD, SECOND, new_store

HERE = "192.0.2.1"
FAILED = SignIn(None, 0.0)


class Door:
    """Tries to sign in, and counts how often a password was looked at."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.now_ns = NOW_NS
        self.looked = 0

    def __call__(
        self, name: str, password: str = "wrong", address: str = HERE, proof: str = ""
    ) -> SignIn:
        return people.sign_in(self.engine, name, password, address, self.now_ns, proof)

    def refused(
        self, name: str, password: str = PASSWORD, address: str = HERE, proof: str = ""
    ) -> float:
        """How long to wait, in seconds, after a try that has to be refused unseen."""
        looked = self.looked
        came = self(name, password, address, proof)
        assert came.person is None
        assert self.looked == looked
        return came.retry_after_s

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return new_store(tmp_path)


@pytest.fixture
def ann(engine: Engine) -> Person:
    return people.add_person(engine, "ann", PASSWORD, ["shop"], admin=False)


@pytest.fixture
def door(engine: Engine, ann: Person, monkeypatch: pytest.MonkeyPatch) -> Door:
    door = Door(engine)

    def fits(password_hash: str | None, password: str) -> bool:
        # Tens of failures in every test: what argon2 says is seen in the tests of accounts.
        door.looked += 1
        return password_hash is not None and password == PASSWORD

    monkeypatch.setattr(passwords, "fits", fits)
    return door


def _failures(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        wanted = select(failed_sign_in.c.failures).order_by(failed_sign_in.c.failures)
        return list(connection.execute(wanted).scalars())


def test_the_right_name_and_password_let_in(engine: Engine, ann: Person) -> None:
    for name in ("ann", "ANN", " ann "):
        assert people.sign_in(engine, name, PASSWORD, HERE, NOW_NS) == SignIn(ann, 0.0)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", ""),
        ("ann", PASSWORD.upper()),
        ("ann", PASSWORD + "\0"),
        ("ann", "\udcff" * 20),
        ("ann", PASSWORD * 100_000),
        ("bob", PASSWORD),
        ("", PASSWORD),
        ("ann\0", PASSWORD),
        ("\udcff", PASSWORD),
        ("%", PASSWORD),
        ("ann" * 10_000, PASSWORD),
        ("' OR 1=1 --", PASSWORD),
    ],
)
def test_whatever_else_is_sent_lets_nobody_in(
    engine: Engine, ann: Person, name: str, password: str
) -> None:
    assert people.sign_in(engine, name, password, HERE, NOW_NS) == FAILED
    assert _failures(engine) == [1, 1, 1]


def test_a_known_browser_has_five_failures_free_then_each_try_waits_twice_as_long(
    door: Door, ann: Person
) -> None:
    proof = people.known_browser(door.engine, ann, NOW_NS)
    for _ in range(5):
        assert door("ann", proof=proof) == FAILED
    waits = []
    for number in range(9):
        # Wherever it is: a browser that is carried about stays the same.
        waits.append(door.refused("ann", address=f"198.51.100.{number}", proof=proof))
        door.wait(waits[-1])
        assert door("ann", proof=proof) == FAILED
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    # What it does slows no stranger, and no other browser.
    assert door("ann", PASSWORD, "203.0.113.5").person == ann
    other = people.known_browser(door.engine, ann, NOW_NS)
    assert door("ann", PASSWORD, proof=other).person == ann


def test_an_attack_from_forty_addresses_keeps_the_owner_out_for_no_moment(
    door: Door, ann: Person
) -> None:
    known = people.known_browser(door.engine, ann, NOW_NS)
    for minute in range(8):
        for number in range(40):
            door("ann", address=f"198.51.100.{number}")
        # In a browser that is known, even at an address of the attack; and in any other one.
        assert door("ann", PASSWORD, "198.51.100.1", known).person == ann
        assert door("ann", PASSWORD, f"203.0.113.{minute}").person == ann
        door.wait(60)
    assert door.looked - 2 * 8 <= BUDGET.holds + 8 * 60 // BUDGET.every_s


@pytest.mark.parametrize(
    "spoilt", ["", "x", "1.x.y", "1", "other account", "old", "\udcff", "long"]
)
def test_only_the_proof_of_an_earlier_sign_in_at_this_account_makes_a_browser_known(
    door: Door, ann: Person, spoilt: str
) -> None:
    good = people.known_browser(door.engine, ann, NOW_NS)
    bob = people.add_person(door.engine, "bob", PASSWORD, [], admin=False)
    proof = {
        "1": "1" + good,
        "other account": people.known_browser(door.engine, bob, NOW_NS),
        "old": people.known_browser(door.engine, ann, NOW_NS - (people.KNOWN_S + 1) * SECOND),
        "long": good * 1000,
    }.get(spoilt, spoilt)
    for _ in range(10):
        door("ann")
    assert door.refused("ann", proof=proof) > 0
    assert door("ann", PASSWORD, proof=good).person == ann


def test_a_new_password_makes_every_browser_a_stranger(door: Door, ann: Person) -> None:
    proof = people.known_browser(door.engine, ann, NOW_NS)
    people.set_password(door.engine, "ann", PASSWORD)
    for _ in range(10):
        door("ann")
    assert door.refused("ann", proof=proof) > 0


def test_the_old_password_of_who_is_signed_in_waits_for_nobody_elses_failures(
    door: Door, ann: Person
) -> None:
    for number in range(60):
        door("ann", address=f"198.51.100.{number}")
    for session, expected in (("one", [0] * 5 + [1]), ("two", [0] * 5 + [1])):
        waits = []
        for _ in range(6):
            asked = people.ask_again(door.engine, ann, "wrong", session, door.now_ns)
            came = asked if isinstance(asked, SignIn) else people.look_at(door.engine, asked)
            waits.append(came.retry_after_s)
        assert waits == expected


def test_twenty_failures_of_an_address_are_free_then_it_waits_up_to_a_quarter_of_an_hour(
    door: Door,
) -> None:
    for number in range(20):
        assert door(f"guess{number}") == FAILED
    waits = []
    for number in range(12):
        waits.append(door.refused("ann"))
        door.wait(waits[-1])
        assert door(f"guess{20 + number}") == FAILED
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_a_try_while_waiting_is_refused_unseen_and_makes_the_wait_no_longer(
    door: Door, ann: Person
) -> None:
    proof = people.known_browser(door.engine, ann, NOW_NS)
    for _ in range(8):
        door("ann", proof=proof)
        door.wait(8)
    door("ann", proof=proof)  # the ninth: 16 s
    left = []
    for _ in range(15):
        door.wait(1)
        left.append(door.refused("ann", proof=proof))
    assert left == list(range(15, 0, -1))
    door.wait(1)
    assert door("ann", PASSWORD, proof=proof).person is not None


def test_unknown_names_are_looked_at_counted_and_slowed_as_known_ones(door: Door) -> None:
    told = []
    for at, name in enumerate(("nobody", "not allowed!", "ann")):
        for number in range(60):
            told.append(door(name, address=f"198.51.{at}.{number}").retry_after_s)
            door.wait(1)
        assert door.looked == (at + 1) * BUDGET.holds
    assert told[:60] == told[60:120] == told[120:]


def test_other_spellings_of_a_name_are_no_further_tries(door: Door) -> None:
    for name in ("ann", "Ann", "ANN", " ann", "aNN "):
        assert door(name) == FAILED
    assert door.refused("anN") == BUDGET.every_s


def test_success_clears_the_pair_and_not_the_address(door: Door, engine: Engine) -> None:
    for _ in range(4):
        door("ann")
    assert door("ann", PASSWORD).person is not None
    assert _failures(engine) == [4, 4]
    door.wait(5 * BUDGET.every_s)
    for _ in range(5):
        assert door("ann") == FAILED
    assert door.refused("ann") == BUDGET.every_s
    assert _failures(engine) == [5, 5, 9]


def test_success_starts_no_wait_anew_for_others_at_the_address(door: Door) -> None:
    for number in range(26):
        assert door(f"guess{number}") == FAILED
        door.wait(64)  # as long as one has to wait after the last
    for _ in range(3):
        assert door("ann", PASSWORD).person is not None


def test_an_address_that_waits_lets_in_from_elsewhere(door: Door) -> None:
    for number in range(20):
        door(f"guess{number}")
    assert door.refused("ann") == 1
    assert door("ann", PASSWORD, "198.51.100.7").person is not None


def test_failures_are_forgotten_and_swept_after_a_day(door: Door, engine: Engine) -> None:
    for _ in range(20):
        door("ann")
        door.wait(16 * 60)
    door.wait(FORGOTTEN_S)
    for _ in range(5):
        assert door("ann") == FAILED
    door.wait(FORGOTTEN_S + 1)
    assert door("bob", address="198.51.100.7") == FAILED
    assert _failures(engine) == [1, 1, 1]


def test_a_clock_that_was_set_back_keeps_nobody_out(door: Door) -> None:
    for _ in range(20):
        door("ann")
        door.wait(60)
    door.wait(-7200)
    assert door("ann", PASSWORD).person is not None


def test_failures_survive_a_restart(door: Door, tmp_path: Path) -> None:
    for _ in range(5):
        door("ann")
    door.engine.dispose()
    door.engine = open_store(str(tmp_path / "store.db"))
    assert door.refused("ann") == BUDGET.every_s


def test_the_store_keeps_neither_the_names_nor_the_addresses_of_failures(
    door: Door, tmp_path: Path
) -> None:
    door("Hunter2-typed-as-the-name", address="198.51.100.77")
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir()).lower()
    assert b"hunter2" not in kept
    assert b"198.51.100.77" not in kept


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("/run/proxy.sock", "/run/proxy.sock"),
    ],
)
def test_an_address_counts_with_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_addresses_of_one_ipv6_network_wait_together(door: Door) -> None:
    for number in range(20):
        door(f"guess{number}", address=f"2001:db8:1:2::{number:x}")
    assert door.refused("ann", address="2001:db8:1:2:ffff::1") == 1
    assert door("ann", PASSWORD, "2001:db8:1:3::1").person is not None


_TRY = """
import sys
from standfast.store import open_store, people
path, now_ns, address, *names = sys.argv[1:]
engine = open_store(path)
print("ready", flush=True)
sys.stdin.readline()
for name in names:
    came = people.sign_in(engine, name, "a wrong password", address, int(now_ns))
    print("refused" if came.retry_after_s else "failed", flush=True)
"""


def _at_once(path: Path, tries: list[list[str]]) -> Iterator[str]:
    """Starts a process for each list of arguments, lets all go at once; what each try gave."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _TRY, str(path), str(NOW_NS), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for arguments in tries
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            yield from out.split()
    finally:
        for process in processes:
            process.kill()
            process.wait(10)


def test_eight_processes_that_fail_at_once_lose_no_count(engine: Engine, tmp_path: Path) -> None:
    tries = [[HERE, f"one{number}", f"two{number}"] for number in range(8)]
    assert list(_at_once(tmp_path / "store.db", tries)) == ["failed"] * 16
    assert _failures(engine) == [1] * 32 + [16]


def test_of_guesses_made_at_once_no_more_are_looked_at_than_one_after_another(
    engine: Engine, ann: Person, tmp_path: Path
) -> None:
    tries = [[HERE, "ann"] for _ in range(8)]
    outcomes = sorted(_at_once(tmp_path / "store.db", tries))
    assert outcomes == ["failed"] * 5 + ["refused"] * 3
    assert _failures(engine) == [5, 5, 5]
