"""The reports: shapes for programs, tables for people, and no harm from what clients sent."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from standfast.cli.main import main
from standfast.cli.tables import crop, duration, harmless, moment
from standfast.journal.format import BRACKETS, LOGGED, ROUTE, RUNNING
from standfast.store import writing
from standfast.store.tables import worker
from standfast.watch.inflight import MOST_OPEN
from standfast.watch.routes import WIDE
from tests.unit.watch.journals import SECOND, START_NS, House, dead, living

REQUEST_KEYS = ["id", "method", "uri", "client", "user_agent", "begun_at"]
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
HOSTILE = "/\x1b[2J\x1b]0;owned\x07\u202egpj.exe\u2066\r\n\t<script>%00`$(reboot)`\x9b31m"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("STANDFAST_APP", raising=False)
    return House(tmp_path)


class Report:
    """Runs ``standfast report`` on a house's store."""

    def __init__(self, house: House, capsys: pytest.CaptureFixture[str]) -> None:
        self.house = house
        self.capsys = capsys
        self.status = 0

    def __call__(self, *words: str) -> str:
        places = ["--journal", str(self.house.folder), "--store", self.house.url]
        self.status = main(["report", *words, *places])
        said = self.capsys.readouterr()
        assert said.err == ""
        return said.out

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def report(house: House, capsys: pytest.CaptureFixture[str]) -> Report:
    return Report(house, capsys)


def crash(house: House, pid: int, *uris: str, app: str = "shop", at_s: float = 0.0) -> None:
    journal = house.journal(dead(app, pid))
    journal.now_ns += int(at_s * SECOND)
    journal.request("/page/1")
    for uri in uris:
        journal.begin(uri)
    house.drain()


def test_crashes_have_the_shape_that_programs_rely_on(house: House, report: Report) -> None:
    crash(house, 11, "/label/7?to=Ada")
    crash(house, 12, "/label/8", "/page/2", at_s=60)
    with writing(house.engine) as connection:
        connection.execute(worker.update().where(worker.c.pid == 11).values(signal="SIGSEGV"))
    newest, oldest = report.json("crashes")
    assert report.status == 1
    assert list(newest)[:8] == [
        "incident", "app", "host", "worker_pid", "died_at", "signal", "exit_code", "requests",
    ]  # fmt: skip
    assert (oldest["worker_pid"], oldest["signal"], oldest["exit_code"]) == (11, "SIGSEGV", None)
    assert (newest["app"], newest["worker_pid"], newest["signal"]) == ("shop", 12, None)
    assert isinstance(newest["incident"], int)
    assert ISO.fullmatch(newest["died_at"]) and newest["died_at"] > oldest["died_at"]
    label, page = newest["requests"]
    assert list(label)[:6] == REQUEST_KEYS
    assert (label["method"], label["uri"], page["uri"]) == ("GET", "/label/8", "/page/2")
    assert (label["client"], label["user_agent"]) == ("192.0.2.1", "curl/8")
    assert ISO.fullmatch(label["begun_at"]) and label["age_s"] >= page["age_s"] >= 0


def test_slow_and_failed_requests_have_theirs(house: House, report: Report) -> None:
    journal = house.journal(living())
    journal.request("/slow/1", duration_s=2.5)
    journal.request("/bad/1", 500, error=b"Traceback\nValueError: no", duration_s=0.25)
    journal.request("/fine")
    house.drain()
    (slow,) = report.json("slow")
    assert list(slow)[:6] == REQUEST_KEYS
    assert (slow["uri"], slow["duration_s"], slow["status"]) == ("/slow/1", 2.5, 200)
    assert "error" not in slow
    (bad,) = report.json("errors")
    assert (bad["status"], bad["duration_s"]) == (500, 0.25)
    assert bad["error"] == "Traceback\nValueError: no"
    assert report.status == 1
    assert "ValueError: no" in report("errors")


def test_an_error_has_the_line_for_itself(house: House, report: Report) -> None:
    error = b"Traceback\npsycopg.errors.UniqueViolation: duplicate key in index order_number_key"
    house.journal(living()).request(f"/orders/{'x' * 200}", 500, error=error)
    house.drain()
    first, second = report("errors").splitlines()
    assert "500" in first and "/orders/" in first
    assert second.strip().encode() == error.partition(b"\n")[2]


def test_where_there_are_several_applications_each_row_names_its_own(
    house: House, report: Report
) -> None:
    shop, blog = house.journal(living("shop")), house.journal(living("blog"))
    for journal in (shop, blog):
        journal.request("/slow/1", duration_s=2.5)
        journal.request("/bad/1", 500, error=b"ValueError: no")
        journal.request("/logged", error=b"warned", flags=LOGGED)
    house.drain()
    for what, of_both in (("slow", 2), ("errors", 4)):
        told = report(what)
        assert (told.count("  shop  "), told.count("  blog  ")) == (of_both / 2, of_both / 2), told
        assert all(len(line) <= 80 for line in told.splitlines())
        assert "blog" not in report(what, "--app", "shop")
        assert "shop" not in report(what, "--app", "shop")


def test_what_was_only_logged_is_told_to_programs_too(house: House, report: Report) -> None:
    journal = house.journal(living())
    assert report.json("logged") == []
    for _ in range(3):
        journal.request("/login", 401, error=b"shop: wrong password", flags=LOGGED)
    house.drain()
    (told,) = report.json("logged")
    assert report.status == 0
    assert list(told) == ["app", "route", "place", "count", "first_at", "last_at", "error"]
    assert (told["app"], told["route"], told["count"]) == ("shop", "/login", 3)
    assert told["error"] == "shop: wrong password"
    assert "wrong password" in report("logged")
    assert report.json("errors") == []


def test_what_is_in_flight_needs_no_store(house: House, report: Report) -> None:
    journal = house.journal(living())
    journal.begin("/running")
    journal.end(journal.begin("/mail"), flags=RUNNING)
    Path(house.url).unlink()
    running, mail = report.json("inflight")
    assert report.status == 0
    assert list(running)[:6] == REQUEST_KEYS
    assert (running["uri"], running["state"]) == ("/running", "running")
    assert (mail["uri"], mail["state"], type(mail["age_s"])) == ("/mail", "background", float)
    assert "/running" in report("inflight")


def test_what_is_in_flight_beyond_the_limit_is_counted(house: House, report: Report) -> None:
    journal = house.journal()
    for _ in range(25):
        journal.begin("/slow")
    assert report("inflight").endswith("and 5 more; --limit N shows N of them\n")
    assert "more" not in report("inflight", "--limit", "25")
    for _ in range(MOST_OPEN):
        journal.begin("/slow")
    assert f"and at least {MOST_OPEN - 20:,} more;" in report("inflight")


def test_suspects_have_theirs(house: House, report: Report) -> None:
    for pid in range(20, 28):
        crash(house, pid, f"/label/{pid}", at_s=pid)
    first, *_ = report.json("suspects")
    assert list(first) == [
        "rank", "kind", "trait", "probability", "low", "high", "incidents", "exposure_s",
        "explains",
    ]  # fmt: skip
    assert (first["rank"], first["kind"], first["trait"]) == (1, "route", "/label/{int}")
    assert 0 <= first["low"] <= first["probability"] <= first["high"] <= 1
    assert "/label/{int}" in report("suspects")


def test_suspects_of_several_applications_are_asked_for_by_name(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    crash(house, 11, "/a")
    crash(house, 12, "/b", app="blog")
    assert main(["report", "suspects", "--store", house.url]) == 2
    assert "name it with --app (blog, shop)" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["crashes", "slow", "errors", "inflight", "suspects"])
def test_an_empty_store_gives_an_empty_list_and_a_sentence(
    house: House, report: Report, what: str
) -> None:
    assert report.json(what) == []
    assert report.status == 0
    assert len(report(what).splitlines()) == 1


@pytest.mark.parametrize("what", ["crashes", "slow", "errors", "suspects"])
def test_a_store_that_is_not_there_is_named_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    assert main(["report", what, "--store", str(tmp_path / "none.db")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{tmp_path}/none.db: not there yet" in said.err and "--store" in said.err


def test_the_password_of_a_store_is_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("sqlite+nodriver://me:hunter2@db/x", "mysql+pymysql://me:hunter2@127.0.0.1:1/x"):
        assert main(["report", "crashes", "--store", url]) == 1
        assert "hunter2" not in "".join(capsys.readouterr())


def test_filters_take_what_they_say(house: House, report: Report) -> None:
    crash(house, 11, "/label/7")
    crash(house, 12, "/export/9?full=1", at_s=7200)
    crash(house, 13, "/b", app="blog", at_s=3600)
    pids = [one["worker_pid"] for one in report.json("crashes")]
    assert pids == [12, 13, 11]
    assert [one["worker_pid"] for one in report.json("crashes", "--app", "blog")] == [13]
    assert [one["worker_pid"] for one in report.json("crashes", "--limit", "1")] == [12]
    for route in ("/label/{int}", "/label/7", "/label/8", "/lab*"):
        assert [one["worker_pid"] for one in report.json("crashes", "--route", route)] == [11]
    assert report.json("crashes", "--route", "/nowhere") == []
    assert report.json("slow", "--route", "/lab*") == []
    since = moment(START_NS + 3000 * SECOND)
    assert [one["worker_pid"] for one in report.json("crashes", "--since", since)] == [12, 13]
    assert len(report.json("crashes", "--since", "2d")) == 3


def test_a_path_finds_the_requests_of_its_route_however_that_was_learnt(
    house: House, report: Report
) -> None:
    app = house.journal(living("blog"))
    app.request("/blog/before", 500)
    app.append(ROUTE, struct.pack("<H", BRACKETS) + b"/blog/<slug:title>")
    for path in ("/blog/first", "/blog/second?page=2", "/about"):
        app.request(path, 500)
    tree = house.journal(living("wiki"))
    for number in range(WIDE):
        tree.request("/" + "abcdefghij"[number // 10] + "klmnopqrst"[number % 10])
    tree.request("/late", 500)
    house.drain()

    def found(route: str) -> list[str]:
        return sorted(one["uri"] for one in report.json("errors", "--route", route))

    assert found("/blog/first") == found("/blog/<title>") == ["/blog/first", "/blog/second?page=2"]
    assert found("/blog/before") == ["/blog/before", "/blog/first", "/blog/second?page=2"]
    assert found("/later") == found("/{name}") == ["/late"]
    assert found("/blog/first/comments") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "yesterday"], "'yesterday' is neither like 2h nor a date"),
        (["--since", "99999999999d"], "neither like 2h nor a date"),
        (["--limit", "0"], "'0' is not a number from 1 to 1000000"),
        (["--limit", "-1"], "'-1' is not a number from 1 to 1000000"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_wrong_use_is_named_and_ends_with_status_2(
    house: House, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", "crashes", "--store", house.url, *words])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("uri", [HOSTILE, "/" + "x" * 8000, "/" + "漢" * 300, "/\ud800"])
def test_nothing_that_a_client_sent_acts_on_the_terminal_or_breaks_the_table(
    house: House, report: Report, uri: str
) -> None:
    journal = house.journal(dead(pid=11))
    fields = "\0".join((uri, uri, uri, uri, uri, uri)).encode("utf-8", "surrogatepass")
    for status, duration_s, error in ((200, 2.0, b""), (500, 0.1, uri.encode("utf-8", "replace"))):
        seq = journal.begin_raw(fields, START_NS)
        journal.end(seq, status, duration_s=duration_s, error=error)
    journal.begin_raw(fields, START_NS)
    house.drain()
    alive = house.journal(living())
    alive.begin_raw(fields, START_NS)
    for what in ("crashes", "slow", "errors", "inflight", "suspects"):
        text = report(what)
        assert all(line.isprintable() for line in text.split("\n")), what
        from rich.cells import cell_len

        assert max(map(cell_len, text.splitlines())) <= 80, what
        json.loads(report(what, "--json"))


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_tables_fit_the_terminal(
    house: House, report: Report, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    crash(house, 11, "/label/7?to=" + "x" * 500)
    for what in ("crashes", "suspects"):
        lines = report(what).splitlines()
        if columns != "40":
            assert max(map(len, lines)) <= int(columns), what


def test_words_for_people() -> None:
    assert [duration(s) for s in (0.0004, 0.25, 1.5, 119.9, 600)] == [
        "0 ms", "250 ms", "1.5 s", "119.9 s", "10.0 min",
    ]  # fmt: skip
    assert moment(0) == "1970-01-01T00:00:00.000Z"
    assert moment(2**63 - 1) in ("2262-04-11T23:47:16.854Z", "unknown")
    assert harmless("a\x1bb\u202e") == "a\\x1bb\\u202e"
    assert crop("abcdefghij", 5) == "ab…ij"
