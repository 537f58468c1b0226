"""A worker that dies with very many requests open: what that costs others has an end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from standfast.store import people
from standfast.store.tables import request, worker
from standfast.watch.crowd import MOST_OPEN
from tests.e2e.web.dashboard import PASSWORD, serve, sign_in
from tests.unit.watch.journals import House, dead

OPEN = 30_000
#: Of each request so many bytes: together more than any process may hold.
TEXT = 4_000
#: What a process may need, in KiB: 80 MiB are code.
MEMORY_KIB = 150 * 1024
PAGE = 400_000
_MAIN = """
import sys
from standfast.cli.main import main
status = main(sys.argv[1:])
print(open("/proc/self/status").read(), file=sys.stderr)
sys.exit(status)
"""


def peak_kib(status: str) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None, status
    return int(found[1])


def standfast(*words: str) -> str:
    """What a command says, after a look at how much memory it took."""
    command = [sys.executable, "-c", _MAIN, *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode in (0, 1), ended.stderr
    assert peak_kib(ended.stderr) < MEMORY_KIB, words
    return ended.stdout


def test_what_one_incident_costs_and_shows_has_an_end_and_says_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    house = House(tmp_path)
    house.watcher.close()
    big = house.journal(dead(pid=10), limit=2**30)
    for number in range(OPEN):
        big.begin(f"/open/{number}?" + "x" * TEXT)
    big.writer.close()
    size = sum(path.stat().st_size for path in house.folder.rglob("*.journal"))
    assert size > 0.75 * MEMORY_KIB * 1024
    places = ("--store", house.url, "--journal", str(house.folder))
    standfast("watch", "--once", *places)
    assert list(house.folder.rglob("*.journal")) == []
    assert len(house.rows(request)) == MOST_OPEN
    assert house.row(worker).left_out == OPEN - MOST_OPEN
    assert f"and {OPEN - 20:,} more" in standfast("report", "crashes", *places)
    (found,) = json.loads(standfast("report", "crashes", "--json", *places))
    assert len(found["requests"]) + found["requests_left_out"] == OPEN
    assert f"with {OPEN:,} in flight" in standfast("report", "incident", "1", *places)
    for what in ("verdict", "suspects", "errors", "slow", "inflight"):
        assert len(standfast("report", what, *places)) < 10_000, what
    people.add_person(house.engine, "root", PASSWORD, (), admin=True)
    with serve(house) as shown:
        client = shown.client()
        assert sign_in(client, "root").status_code == 303
        page = client.get("/apps/1/crashes/1")
        assert f"And {OPEN - 100:,} more requests".replace(",", "\u202f") in page.text
        for path in ("", "/crashes", "/crashes/1", "/suspects", "/errors", "/report.html"):
            answer = client.get(f"/apps/1{path}")
            assert (answer.status_code, len(answer.content) < PAGE) == (200, True), path
        for kind in ("json", "csv"):
            assert client.get(f"/apps/1/crashes.{kind}").status_code == 200
        assert peak_kib(Path(f"/proc/{shown.pid}/status").read_text()) < 2 * MEMORY_KIB
