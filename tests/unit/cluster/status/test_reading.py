"""What a server answers is read, and what is no answer is no harm."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.cluster.remote import Login, Remote, RemoteError
from standfast.cluster.status import observation
from standfast.cluster.status.observation import observe, read, script
from standfast.cluster.status.seen import Disk, Link, Seen, Unreached
from tests.unit.cluster.status.sites import site

ANSWER = f"""\
clock 1000.5
boot 4c1b5a2e-aaaa-4bbb-8ccc-0123456789ab
uptime 123.45
load 0.50 0.25 0.10
service mariadb active
service apache2 failed
service named{" "}
disk 100 300 /
disk 100 300 /
replica current_pos\tbinlog_pos
replica 1-1-20,2-2-9\t1-1-22
replica standfast-next
replica standfast-next
replica Connection_name\tSlave_IO_Running\tSlave_SQL_Running\tLast_IO_Error\tLast_SQL_Error
replica nl\tConnecting\tYes\terror\\nreconnecting\t
replica standfast-next
replica standfast-next
replica server\tbeat\tnow
replica 1\t1000000000\t1000600000
replica 2\tNULL\t1000600000
clock 1000.9
"""


def test_an_answer_is_read() -> None:
    seen = read(ANSWER, 998.0, 1000.0)
    assert seen.services == {"mariadb": "active", "apache2": "failed", "named": "unknown"}
    assert seen.disks == (Disk("/", 300, 0.25),)
    assert (seen.uptime_s, seen.load) == (123.45, (0.5, 0.25, 0.1))
    assert seen.replica is not None
    assert seen.replica.beats == {1: 1000.0, 2: None}
    assert seen.replica.positions == {1: 22, 2: 9}
    assert seen.replica.read_at_s == 1000.6
    assert seen.replica.links == (Link("nl", False, True, "error\nreconnecting"),)


def test_a_clock_is_as_sure_as_the_time_on_the_way_is_short() -> None:
    # The way there and back took 2 s, of which the server had 0.4 s: it is 0.9 to 2.5 s ahead.
    clock = read(ANSWER, 998.0, 1000.0).clock
    assert (clock.offset_s, clock.accuracy_s) == pytest.approx((1.7, 0.8))


@given(st.floats(-1e5, 1e5), st.floats(0, 5), st.floats(0, 5), st.floats(0, 5))
def test_a_clock_is_never_further_off_than_is_said(
    offset_s: float, there_s: float, work_s: float, back_s: float
) -> None:
    first_s = 1e6 + there_s + offset_s
    said = ANSWER.replace("clock 1000.5", f"clock {first_s:.9f}")
    said = said.replace("clock 1000.9", f"clock {first_s + work_s:.9f}")
    clock = read(said, 1e6, 1e6 + there_s + work_s + back_s).clock
    assert abs(clock.offset_s - offset_s) <= clock.accuracy_s + 1e-5


def test_a_database_that_refuses_is_not_the_end_of_it() -> None:
    lines = [line for line in ANSWER.splitlines() if not line.startswith("replica")]
    seen = read("\n".join([*lines, "refused ERROR 2002 (HY000): no"]), 1.0, 2.0)
    assert seen.replica is None
    assert seen.database_error == "ERROR 2002 (HY000): no"


class Answering(Remote):
    """A server that answers with whatever is given."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(Login("x", "127.0.0.1", 1, "nobody", Path("/nonexistent")))
        self.answer = answer

    def command(self, script: str, *, kept: bool = True) -> list[str]:
        octal = "".join(f"\\{byte:03o}" for byte in self.answer)
        return ["printf", octal] if octal else ["true"]


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"\xff\x00\n", b"clock now\n", ANSWER.encode()[:200],
        ANSWER.replace('uptime 123.45', 'uptime nan').encode(),
        ANSWER.replace("1-1-20", "1-1-x").encode(), ANSWER.replace("0.50 0.25", "").encode(),
        ANSWER.replace("disk 100", "disk").encode(), ANSWER.replace("\t1000600000", "").encode(),
    ],
)  # fmt: skip
def test_a_server_that_answers_anything_else_is_said_to(answer: bytes) -> None:
    one = site("ie")
    seen = observe(one, {"ie": Answering(answer)})
    assert seen.servers["ie"] == Unreached("gave an answer that cannot be read")


def test_a_server_that_is_not_reached_leaves_the_others_their_answers() -> None:
    class Away(Answering):
        def run(
            self, script: str, given: str | None = None, *, timeout_s: float = 60, kept: bool = True
        ) -> str:
            raise RemoteError("nl (192.0.2.2, port 22) was not reached", "", False)

    one = site("ie", "nl")
    remotes: Mapping[str, Remote] = {"ie": Answering(ANSWER.encode()), "nl": Away(b"")}
    seen = observe(one, remotes)
    assert isinstance(seen.servers["ie"], Seen)
    assert seen.servers["nl"] == Unreached("(192.0.2.2, port 22) was not reached")


def answer_of(folder: Path, **programs: str) -> Seen:
    """What the script says on this machine, with these programs before its own."""
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script(("mariadb", "named"))], capture_output=True, text=True, timeout=20,
        env={"PATH": f"{folder}:/usr/bin:/bin"}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return read(done.stdout, 0.0, 1.0)


def test_the_script_runs_in_a_plain_shell_and_says_what_is_asked(tmp_path: Path) -> None:
    seen = answer_of(
        tmp_path,
        systemctl='case "$2" in named) echo failed; exit 3;; *) echo active;; esac',
        mariadb="echo 'a warning' >&2; echo 'ERROR 2002: no database here' >&2; exit 1",
    )
    assert seen.services == {"mariadb": "active", "named": "failed"}
    assert seen.database_error == "ERROR 2002: no database here"
    assert [disk.path for disk in seen.disks][0] == "/"
    assert 0 < seen.disks[0].used < 1 and seen.uptime_s > 0


def test_a_database_that_hangs_is_said_to(tmp_path: Path) -> None:
    seen = answer_of(tmp_path, systemctl="echo active", timeout="exit 124")
    assert seen.database_error == "it gave no answer within 6 s"


def test_the_master_alone_is_asked_about_uploads() -> None:
    one = site()
    asked = {server.name: observation.services(one, server) for server in one.servers}
    assert [name for name, units in asked.items() if "vsftpd" in units] == ["ie"]
