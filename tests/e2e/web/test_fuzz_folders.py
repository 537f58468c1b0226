"""The watcher, `report` and `serve` as wholes, over journal folders that anybody may have written.

The suite tries eighty folders. Ten thousand, by hand, take about half an hour::

    STANDFAST_FUZZ_FOLDERS=10000 pytest -n 2 tests/e2e/web/test_fuzz_folders.py

A run is repeated by its number, which is its seed.
"""

from __future__ import annotations

import os
import random
import struct
import time
from pathlib import Path

import pytest

from standfast.cli.main import main
from standfast.journal import files, identity
from standfast.journal.format import (
    BEGIN,
    BEGIN_FIXED,
    END,
    END_FIXED,
    EXIT,
    EXIT_FIXED,
    HEADER_LIMIT,
    PROGRESS,
    SIGNAL,
    SIGNAL_FIXED,
    pack_header,
    unpack_header,
)
from standfast.journal.identity import Identity
from standfast.store import people
from standfast.store.tables import application, incident, request, worker
from standfast.watch.quarantine import set_aside
from tests.e2e.web.dashboard import HOSTILE, PASSWORD, Dashboard, serve, sign_in
from tests.unit.watch.journals import House, Journal, dead

#: How many folders are read into one store before what came of them is looked at.
TOGETHER = 40
RUNS = max(int(os.environ.get("STANDFAST_FUZZ_FOLDERS", "80")) // TOGETHER, 1)
APPS = ("shop", "x" * 255, "y" * 300, "a/b", "..", "", "\u202e<b>", "%s%n", 'q"\r\n', "good")
#: So many of the incidents and requests of an application are looked at one by one.
SHOWN = 4


def number(chance: random.Random, bits: int) -> int:
    """A number of so many bits, more often one at which something ends."""
    edges = (0, 1, 2**31 - 1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, time.time_ns())
    found = chance.choice((*edges, chance.getrandbits(bits), chance.getrandbits(20)))
    return int(found) & ((1 << bits) - 1)


def signed(chance: random.Random, bits: int) -> int:
    found = number(chance, bits)
    return found - 2**bits if found >= 2 ** (bits - 1) else found


def text(chance: random.Random) -> bytes:
    return chance.choice((*HOSTILE, b"", b"/", b"\0" * 7, chance.randbytes(30), b"/" * 3000))


def fill_journal(chance: random.Random, journal: Journal) -> None:
    """Records of which each is sound by its checksum, and nothing else is."""
    for _ in range(chance.randrange(40)):
        kind = chance.choice((BEGIN, BEGIN, END, END, EXIT, SIGNAL, PROGRESS, 0xA1, 0x77))
        seq = chance.choice((chance.randrange(9), number(chance, 64)))
        if kind == BEGIN:
            fixed = BEGIN_FIXED.pack(seq, signed(chance, 64), signed(chance, 64), seq)
            fixed += b"\0".join([text(chance) for _ in range(chance.randrange(9))])
        elif kind == END:
            some = [number(chance, 64) for _ in range(3)]
            status = chance.choice((200, 404, 500, number(chance, 16)))
            fixed = END_FIXED.pack(seq, *some, status, chance.choice((0, number(chance, 64))))
            fixed += chance.choice((b"", b"Traceback (most recent call last):\n")) + text(chance)
        elif kind == EXIT:
            pid = chance.choice((os.getpid(), number(chance, 32)))
            fixed = EXIT_FIXED.pack(signed(chance, 64), seq, pid, signed(chance, 32))
        elif kind == SIGNAL:
            fixed = SIGNAL_FIXED.pack(
                signed(chance, 64), seq, number(chance, 32), number(chance, 8),
                chance.randrange(9), number(chance, 64),
            )  # fmt: skip
        else:
            fixed = struct.pack("<QQ", seq, number(chance, 64)) + text(chance)
        journal.append(kind, fixed[: chance.choice((65_000, 65_000, 9))], chance.randrange(256))


def damage(chance: random.Random, path: Path) -> None:
    """Sets the header's numbers, cuts the file, flips bytes in it, or leaves it as it is."""
    data = bytearray(path.read_bytes()[:100_000])
    way = chance.randrange(5)
    header = unpack_header(bytes(data[:HEADER_LIMIT]))
    if way == 0 and header is not None:
        head = pack_header(
            header._replace(
                wall_ns=signed(chance, 64),
                mono_ns=signed(chance, 64),
                capacity=number(chance, 64),
                lost=number(chance, 64),
            )
        )
        data[: len(head)] = head
    elif way == 1:
        del data[chance.randrange(len(data)) :]
    elif way == 2:
        for _ in range(chance.choice((1, 5, 500))):
            data[chance.randrange(len(data))] = chance.randrange(256)
    if way < 3:
        path.write_bytes(data)


def fill_folder(chance: random.Random, house: House) -> None:
    """What the users of a host may have left in the journal folder."""
    boot = chance.choice((identity.boot_id(), "", "another", "b" * 200))
    for _ in range(chance.randrange(1, 4)):
        pid, ticks = chance.randrange(2**22, 2**23), number(chance, 64)
        namespace = chance.choice((0, identity.pid_namespace(), number(chance, 64)))
        host = chance.choice((os.uname().nodename, "h" * 300, "\u202e"))
        who = Identity(chance.choice(APPS), host, pid, ticks, boot, namespace, "s" * 300, "r")
        journal = Journal(house.folder, who)
        journal.app_folder = Path(files.app_folder(str(house.folder), who.app))
        fill_journal(chance, journal)
        journal.writer.close()
        journal.app_folder.mkdir(exist_ok=True)  # of a worker that has written nothing
        for name in journal.files():
            if name.startswith(journal.uid) and name.endswith(files.SUFFIX):
                damage(chance, journal.app_folder / name)
        beside = journal.app_folder / (journal.uid + files.FAULT_SUFFIX)
        if chance.random() < 0.5:
            beside.write_bytes(b"Fatal Python error: Aborted\n\n" + text(chance))
            at_s = chance.choice((-(2**33), 0, 2**33))
            os.utime(beside, (at_s, at_s))
        strange = journal.app_folder / f"{number(chance, 32)}-00000000.000001.journal"
        if chance.random() < 0.2 and not strange.exists():
            chance.choice((Path.mkdir, Path.touch, os.mkfifo))(strange)


@pytest.mark.parametrize("seed", range(RUNS))
def test_whatever_lies_in_the_folder_all_is_watched_reported_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    chance = random.Random(seed)
    house = House(tmp_path)
    for at in range(TOGETHER):
        fill_folder(chance, house)
        bystander = house.journal(dead("bystander", pid=2**21 + at))
        bystander.begin("/killer")
        house.drain()
        if chance.random() < 0.2:
            house.restart()
            house.drain()
    mine = house.row(application, name="bystander").id
    assert len(house.rows(incident, application_id=mine)) == TOGETHER
    aside = [one for one in set_aside(str(house.folder)) if "cannot be stored" in one.reason]
    assert aside == [], "every number is bounded before it is stored"
    assert [words for words in house.warnings if "watching goes on" in words] == []
    places = ["--store", house.url, "--journal", str(house.folder)]
    for kind in ("crashes", "slow", "errors", "suspects", "verdict", "inflight"):
        for form in ([], ["--json"]):
            apps = [row.name for row in house.rows(application)]
            printable = [name for name in apps if name.isprintable()]  # others cannot be named
            for app in printable if kind in ("suspects", "verdict") else [None]:
                named = ["--app", app] if app else []
                assert main(["report", kind, *form, *named, *places]) in (0, 1)
                capsys.readouterr()
    assert main(["doctor", *places]) in (0, 1)
    people.add_person(house.engine, "root", PASSWORD, (), admin=True)
    with serve(house) as shown:
        client = shown.client()
        assert sign_in(client, "root").status_code == 303
        for path in paths(house, shown):
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.text)
        assert "Traceback" not in shown.log.read_text()
    house.close()


def paths(house: House, shown: Dashboard) -> list[str]:
    """Every kind of page about every application, and some of its incidents and requests."""
    uids = {row.id: row.uid for row in house.rows(worker)}
    found = []
    for app in house.rows(application):
        lists = ("crashes", "slow", "errors", "inflight", "suspects")
        kept = house.rows(request, application_id=app.id)
        latest = sorted(kept, key=lambda row: row.seq)[-SHOWN:]
        found += [
            f"/apps/{app.id}{path}"
            for path in (
                "", "/shares", "/report.html",
                *(f"/{name}" for name in lists),
                *(f"/{name}.json" for name in lists),
                *(f"/{name}.csv" for name in lists),
                *(f"/crashes/{one.id}" for one in
                  house.rows(incident, application_id=app.id)[-SHOWN:]),
                *(f"/requests/{uids[one.worker_id]}-{one.seq}" for one in latest),
            )
        ]  # fmt: skip
    return found
