"""Lines as gunicorn, uWSGI and PHP-FPM write them, and lines that only look like them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.journal import identity
from standfast.store.evidence import KINDS, Fact
from standfast.watch.evidence.collector import Death, Living
from standfast.watch.evidence.log_lines import LogReader
from standfast.watch.evidence.logs import Logs
from standfast.watch.evidence.tail import Tail
from standfast.watch.liveness import Process

SECOND = 1_000_000_000


def death_of(pid: int, at_ns: int | None = None) -> Death:
    now = at_ns or time.time_ns()
    return Death(1, Process("host", "boot", 0, pid, 5), pid, now - SECOND, now)


def told(log: Path, pid: int = 123, **options: Any) -> list[Fact]:
    """What a collector that had been watching says, once the log is written."""
    return Logs([str(log)]).facts(death_of(pid, **options))


def stamped(line: str, at_ns: int | None = None) -> str:
    """The line with "{g}", "{u}" and "{f}" as gunicorn's, uWSGI's and PHP-FPM's time of now."""
    seconds = (at_ns or time.time_ns()) // SECOND
    return line.format(
        g=datetime.fromtimestamp(seconds, UTC).strftime("[%Y-%m-%d %H:%M:%S +0000]"),
        u=time.ctime(seconds),
        f=time.strftime("[%d-%b-%Y %H:%M:%S]", time.localtime(seconds)),
    )


KNOWN: list[tuple[str, str, dict[str, Any]]] = [
    ("{g} [7] [CRITICAL] WORKER TIMEOUT (pid:123)", "timeout", {}),
    (
        "{g} [7] [ERROR] Worker (pid:123) was sent SIGKILL! Perhaps out of memory?",
        "exit",
        {"signal": "SIGKILL"},
    ),
    ("{g} [7] [WARNING] Worker (pid:123) was sent SIGSEGV!", "exit", {"signal": "SIGSEGV"}),
    ("{g} [7] [ERROR] Worker (pid:123) exited with code 3.", "exit", {"exit_code": 3}),
    (
        "{g} [7] [WARNING] Worker with pid 123 was terminated due to signal 9",
        "exit",
        {"signal": "SIGKILL"},
    ),
    (
        "{u} - DAMN ! worker 1 (pid: 123) died, killed by signal 11 :( trying respawn ...",
        "exit",
        {"signal": "SIGSEGV"},
    ),
    (
        "{u} - DAMN ! worker 1 (pid: 123) MISTERIOUSLY killed by signal 9 :( trying respawn ...",
        "exit",
        {"signal": "SIGKILL"},
    ),
    ("{u} - DAMN ! worker 1 (pid: 123) died :( trying respawn ...", "log", {}),
    ("{u} - *** HARAKIRI ON WORKER 1 (pid: 123, try: 1) ***", "timeout", {}),
    ("{u} - OOPS ! failed loading app in worker 1 (pid 123)", "log", {}),
    (
        "{u} - worker 1 (pid: 123) is taking too much time to die...NO MERCY !!!",
        "log",
        {},
    ),
    (
        "{f} WARNING: [pool www] child 123 exited on signal 11 (SIGSEGV - core dumped) after"
        " 12.345678 seconds from start",
        "exit",
        {"signal": "SIGSEGV"},
    ),
    (
        "{f} WARNING: [pool www] child 123 exited with code 255 after 1.5 seconds from start",
        "exit",
        {"exit_code": 255},
    ),
    (
        "{f} WARNING: [pool www] child 123, script '/srv/index.php' (request: \"GET /index.php\")"
        " execution timed out (2.049242 sec), terminating",
        "timeout",
        {"elapsed_s": 2.049242},
    ),
]


@contextlib.contextmanager
def child() -> Iterator[int]:
    """A process that this one has started."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        process.communicate()


@pytest.mark.parametrize(("line", "kind", "data"), KNOWN)
def test_a_line_about_a_dead_worker_is_a_fact_with_its_exact_text(
    tmp_path: Path, line: str, kind: str, data: dict[str, Any]
) -> None:
    log = tmp_path / "error.log"
    text = stamped(line)
    log.write_text(f"something else\n{text}\nand more\n")
    (fact,) = told(log)
    assert fact[:2] == (kind, "server log")
    assert fact.text == text
    assert fact.data == {**data, "log": str(log)}
    assert 0 <= time.time_ns() - fact.at_ns < 10 * SECOND
    assert told(log, 124) == []


def test_a_stop_of_uvicorn_is_about_the_only_process_that_serves(tmp_path: Path) -> None:
    log = tmp_path / "uvicorn.log"
    log.write_text("INFO:     Started server process [123]\nINFO:     Uvicorn running on x\n")
    logs = Logs([str(log)])
    logs.look(())
    with log.open("a") as more:
        more.write('INFO:     127.0.0.1:5 - "GET /Shutting down HTTP/1.1" 200 OK\n')
    assert logs.facts(death_of(123)) == []
    with log.open("a") as more:
        more.write("INFO:     Shutting down\nINFO:     Waiting for connections to close.\n")
    (fact,) = logs.facts(death_of(123))
    assert fact[:2] == ("master_signal", "server log")
    assert fact.text == "INFO:     Shutting down\nINFO:     Waiting for connections to close."
    assert fact.data == {"reason": "stop", "log": str(log)}
    assert logs.facts(death_of(124)) == []


@pytest.mark.parametrize(
    "before",
    [
        # Of several processes it does not say which.
        "INFO:     Started server process [123]\nINFO:     Started server process [124]\n",
        # It stops by its own settings.
        "INFO:     Started server process [123]\n"
        "INFO:     Maximum request limit of 5 exceeded. Terminating process.\n",
        "INFO:     Started server process [123]\nINFO:     Finished server process [123]\n",
        "",
    ],
)
def test_uvicorn_stops_nobody_where_its_log_does_not_say_whom(tmp_path: Path, before: str) -> None:
    log = tmp_path / "uvicorn.log"
    logs = Logs([str(log)])
    logs.look(())
    log.write_text(before + "INFO:     Shutting down\n")
    assert logs.facts(death_of(123)) == []


def test_a_process_of_uvicorn_that_has_died_serves_no_more(tmp_path: Path) -> None:
    log = tmp_path / "uvicorn.log"
    logs = Logs([str(log)])
    logs.look(())
    log.write_text("INFO:     Started server process [122]\n")
    logs.facts(death_of(122))
    logs.forget(death_of(122))
    with log.open("a") as more:
        more.write("INFO:     Started server process [123]\nINFO:     Shutting down\n")
    (fact,) = logs.facts(death_of(123))
    assert fact.kind == "master_signal"


@pytest.mark.parametrize(("order", "reason"), [("term", "stop"), ("hup", "reload")])
def test_an_order_to_gunicorn_is_about_the_children_that_it_had(
    tmp_path: Path, order: str, reason: str
) -> None:
    log = tmp_path / "error.log"
    logs = Logs([str(log)])
    with child() as pid:
        process = Process("host", identity.boot_id(), 0, pid, identity.start_ticks(pid))
        logs.look([Living(1, process, pid)])
        # As the log has it, in whole seconds.
        told_ns = time.time_ns() + 60 * SECOND
        line = stamped(f"{{g}} [{os.getpid()}] [INFO] Handling signal: {order}", told_ns)
        log.write_text(line + "\n")
        for at_s, count in ((0, 1), (100, 1), (130, 0)):
            at_ns = told_ns + at_s * SECOND
            facts = logs.facts(Death(1, process, pid, at_ns, at_ns))
            assert [(f.kind, f.text, f.data["reason"]) for f in facts] == [
                ("master_signal", line, reason)
            ] * count
        stranger = process._replace(pid=pid + 1)
        assert logs.facts(Death(1, stranger, None, told_ns, told_ns)) == []


def test_an_order_to_gunicorn_is_not_about_a_child_that_it_started_then(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    logs = Logs([str(log)])
    with child() as pid:
        process = Process("host", identity.boot_id(), 0, pid, identity.start_ticks(pid))
        logs.look([Living(1, process, pid)])
        now = time.time_ns()
        log.write_text(stamped(f"{{g}} [{os.getpid()}] [INFO] Handling signal: hup", now - SECOND))
        assert logs.facts(Death(1, process, pid, now, now)) == []


def test_a_number_that_two_containers_have_is_nobodys(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    log.write_text(stamped("{g} [7] [CRITICAL] WORKER TIMEOUT (pid:123)\n"))
    logs = Logs([str(log)])
    one = Process("host", "boot", 41, 123, 5)
    now = time.time_ns()
    death = Death(1, one, 9123, now - SECOND, now)
    assert len(logs.facts(death)) == 1
    logs.look([Living(2, one._replace(pid_namespace=42), 9124)])
    assert logs.facts(death) == []


@pytest.mark.parametrize(("line", "kind", "data"), KNOWN)
def test_a_line_of_another_time_is_about_another_process_of_that_number(
    tmp_path: Path, line: str, kind: str, data: dict[str, Any]
) -> None:
    log = tmp_path / "error.log"
    now = time.time_ns()
    log.write_text(stamped(line, now - 60 * SECOND) + "\n" + stamped(line, now + 60 * SECOND))
    assert told(log) == []


@pytest.mark.parametrize(("line", "kind", "data"), KNOWN)
@pytest.mark.parametrize(
    "before", ["GET /?", "[pid: 123|app: 0] GET /", "\x1b[2K", " ", "{f} NOTICE: child 9 said: "]
)
def test_a_client_cannot_write_such_a_line_into_the_middle_of_another(
    tmp_path: Path, before: str, line: str, kind: str, data: dict[str, Any]
) -> None:
    log = tmp_path / "error.log"
    log.write_text(stamped(before + line) + "\n")
    assert told(log) == []


def test_the_lines_that_follow_belong_to_a_traceback_and_to_a_harakiri(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    traceback = (
        "{g} [123] [ERROR] Exception in worker process\nTraceback (most recent call last):\n"
        '  File "broken.py", line 9\nRuntimeError: no stock list'
    )
    harakiri = (
        "{u} - *** HARAKIRI ON WORKER 1 (pid: 123, try: 1) ***\n"
        "{u} - HARAKIRI [core 0] 127.0.0.1 - GET /sleep?60 since 1795432000\n"
        "{u} - HARAKIRI !!! end of worker 1 status !!!"
    )
    backtrace = "*** backtrace of 123 ***\nuwsgi(uwsgi_backtrace+0x2f) [0x55]\n/lib/libc.so [0x7f]"
    parts = [stamped(part) for part in (traceback, harakiri)]
    log.write_text(f"{parts[0]}\n{stamped('{g} [123] [INFO] Worker exiting (pid: 123)')}\n")
    collector = Logs([str(log)])
    collector.look(())
    with log.open("a") as more:
        more.write(f"{parts[1]}\n{backtrace}\n*** end of backtrace ***\nunrelated\n")
    assert [fact.text for fact in collector.facts(death_of(123))] == [*parts, backtrace]


def test_an_undated_line_counts_from_when_it_was_seen_to_be_written(tmp_path: Path) -> None:
    log = tmp_path / "uwsgi.log"
    line = "DAMN ! worker 1 (pid: 123) died, killed by signal 9 :( trying respawn ...\n"
    log.write_text(line)
    collector = Logs([str(log)])
    assert collector.facts(death_of(123)) == [], "it may be of last year"
    with log.open("a") as more:
        more.write(line)
    (fact,) = collector.facts(death_of(123))
    assert collector.facts(death_of(123)) == [fact], "the same fact when asked again"
    collector.forget(death_of(123))
    assert collector.facts(death_of(123)) == []


def test_two_lines_of_one_second_are_two_facts(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    line = stamped("{g} [7] [CRITICAL] WORKER TIMEOUT (pid:123)")
    log.write_text(f"{line}\n{line}\n")
    assert len({fact.at_ns for fact in told(log)}) == 2


def test_a_log_is_followed_through_rotation(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    tail = Tail(path)
    assert tail.lines() == ([], True)
    path.write_bytes(b"one\ntw")
    assert tail.lines() == ([b"one"], False)
    with path.open("ab") as file:
        file.write(b"o\n")
    assert tail.lines() == ([b"two"], False)
    with path.open("ab") as file:
        file.write(b"last of the old\n")
    path.rename(tmp_path / "error.log.1")
    path.write_bytes(b"first of the new\n")
    assert tail.lines() == ([b"last of the old", b"first of the new"], False)
    os.truncate(path, 0)
    assert tail.lines() == ([], False)
    path.write_bytes(b"anew\n")
    assert tail.lines() == ([b"anew"], False)
    path.unlink()
    assert tail.lines() == ([], False)
    tail.close()


def test_of_a_flood_only_the_last_is_read(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    path.write_bytes(b"x" * 99 + b"\n")
    tail = Tail(path)
    tail.lines()
    with path.open("ab") as file:
        for _ in range(200):
            file.write((b"y" * 99 + b"\n") * 1000)
    lines, _ = tail.lines()
    assert 10_000 < len(lines) < 11_000
    path.write_bytes(b"z" * 300_000)
    assert tail.lines() == ([], False)


@pytest.mark.parametrize("what", ["fifo", "folder", "nothing", "device"])
def test_what_is_no_file_has_nothing_to_say(tmp_path: Path, what: str) -> None:
    path = tmp_path / "log"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "device":
        path = Path("/dev/zero")
    assert told(path) == []


@given(st.lists(st.one_of(st.binary(max_size=80), st.sampled_from(KNOWN).map(
    lambda known: stamped(known[0]).encode()[:60])), max_size=20))  # fmt: skip
def test_whatever_a_log_holds_is_read_without_trouble(lines: list[bytes]) -> None:
    reader = LogReader()
    for line in lines:
        entry = reader.read(line)
        if entry is not None:
            assert entry.kind in KINDS
            assert 0 <= entry.pid < 10**10


def test_the_log_of_a_busy_server_is_kept_within_bounds(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    collector = Logs([str(log)])
    for start in range(0, 4000, 1000):
        with log.open("a") as file:
            for pid in range(start, start + 1000):
                line = stamped(f"{{g}} [7] [CRITICAL] WORKER TIMEOUT (pid:{pid})\n")
                file.write(line * 30 if pid == 3999 else line)
        collector.look(())
    assert len(collector.facts(death_of(3999))) == 20
    assert collector.facts(death_of(1)) == []
