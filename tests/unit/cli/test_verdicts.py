"""The reports on why workers died: one incident, a period, and the page to hand over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from standfast.cli.main import main
from standfast.journal.format import RUNNING
from standfast.store import writing
from standfast.store.evidence import EXIT, LOG, TRACEBACK, Fact, add_facts
from standfast.store.tables import incident, request, worker
from tests.unit.cli.test_report import HOSTILE, Report, crash
from tests.unit.watch.journals import START_NS, House, dead


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("STANDFAST_APP", raising=False)
    return House(tmp_path)


@pytest.fixture
def report(house: House, capsys: pytest.CaptureFixture[str]) -> Report:
    return Report(house, capsys)


def segfault(house: House, pid: int, uri: str = "/label/7?to=Ada", app: str = "shop") -> int:
    """A worker that crashes in the thread of its request; the number of the incident."""
    crash(house, pid, uri, app=app)
    gone = house.row(worker, pid=pid)
    (open_request,) = house.rows(request, worker_id=gone.id, outcome="unfinished")
    ended = {"signal": "SIGSEGV"}
    text = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):"
    with writing(house.engine) as connection:
        facts = [
            Fact(EXIT, "pidfd", START_NS, f"process {pid} was ended by SIGSEGV", ended),
            Fact(TRACEBACK, "faulthandler", START_NS, text, {"thread": open_request.thread}),
        ]
        add_facts(connection, gone.id, facts)
        connection.execute(worker.update().where(worker.c.id == gone.id).values(**ended))
    return int(house.row(incident, worker_id=gone.id).id)


def test_every_crash_has_a_verdict_and_a_culprit(house: House, report: Report) -> None:
    segfault(house, 11)
    (shown,) = report.json("crashes")
    assert (shown["verdict"]["party"], shown["verdict"]["cause"]) == ("application", "app_crash")
    assert shown["verdict"]["confidence"] == 0.99
    assert any("SIGSEGV (pidfd, " in words for words in shown["verdict"]["for"])
    assert shown["verdict"]["against"] == []
    assert shown["verdict"]["refute"]
    assert shown["culprit"] == shown["requests"][0]["id"]
    assert shown["culprit_probability"] == 0.99
    table = report("crashes")
    assert "verdict: application, app_crash (certain, 99 %); culprit known (99 %)" in table


def test_a_crash_of_which_nothing_is_known_is_undetermined(house: House, report: Report) -> None:
    crash(house, 11, "/page")
    (shown,) = report.json("crashes")
    assert (shown["verdict"]["party"], shown["verdict"]["confidence"]) == ("undetermined", 0.0)
    assert (shown["culprit"], shown["culprit_probability"]) == (None, None)
    assert "verdict: undetermined" in report("crashes")


def test_a_worker_that_hangs_is_not_said_to_have_died(house: House, report: Report) -> None:
    crash(house, 11, "/page")
    with writing(house.engine) as connection:
        connection.execute(incident.update().values(kind="hang"))
    told = report("crashes")
    assert "1 worker hung." in told
    assert "worker 11  hung" in told
    assert "died" not in told


def test_nothing_in_flight_is_said_only_of_a_worker_that_was_recorded(
    house: House, report: Report
) -> None:
    crash(house, 11, "/page")
    with writing(house.engine) as connection:
        connection.execute(request.update().values(incident_id=None))
    assert "no request was in flight" in report("crashes")
    with writing(house.engine) as connection:
        connection.execute(worker.update().values(read_segment=1, read_offset=0))
    told = report("crashes") + report("incident", "1")
    assert "no request was recorded" in told
    assert "nothing in flight" not in told


def test_a_request_that_was_answered_and_lost_its_work_is_told_so(
    house: House, report: Report
) -> None:
    journal = house.journal(dead(pid=11))
    seq = journal.begin("/order/7")
    journal.end(seq, 200, duration_s=0.25, flags=RUNNING)
    house.drain()
    (shown,) = report.json("crashes")
    assert (shown["requests"][0]["status"], shown["requests"][0]["answered_s"]) == (200, 0.25)
    told = " ".join(report("incident", "1").split())
    assert "GET /order/7 is answered with 200" in told
    assert "had been answered with 200; what its code was still doing was lost" in told


def test_an_incident_is_told_in_the_order_of_time_in_lines_that_fit(
    house: House, report: Report
) -> None:
    told = report("incident", str(segfault(house, 11)))
    assert max(map(len, told.splitlines())) <= 80
    order = ["GET /label/7?to=Ada begins", "Verdict: application, app_crash (certain, 99 %)"]
    order += ["  for", "  culprit", "  refuted by", "  to do", "Next: "]
    places = [told.index(words) for words in order]
    assert places == sorted(places)


def test_an_incident_in_json_is_a_crash_with_its_facts(house: House, report: Report) -> None:
    number = segfault(house, 11)
    shown = report.json("incident", str(number))
    (crashed,) = report.json("crashes")
    facts = shown.pop("facts")
    assert shown == crashed
    assert shown["incident"] == number
    assert [fact["kind"] for fact in facts] == ["exit", "traceback"]
    assert set(facts[0]) == {"kind", "source", "at", "text", "data"}


def test_what_was_recorded_does_nothing_to_a_terminal(house: House, report: Report) -> None:
    number = segfault(house, 11, HOSTILE)
    with writing(house.engine) as connection:
        worker_id = house.row(worker, pid=11).id
        add_facts(connection, worker_id, [Fact(LOG, HOSTILE[:60], START_NS, HOSTILE, {})])
    for words in (("incident", str(number)), ("verdict",), ("crashes",)):
        told = report(*words)
        assert all(one.isprintable() or one == "\n" for one in told), words
    assert r"\u202e" in report("incident", str(number))


def test_a_period_is_judged_and_written_as_one_page(
    house: House, report: Report, tmp_path: Path
) -> None:
    for pid in (11, 12):
        segfault(house, pid)
    crash(house, 13, "/page")
    shown = report.json("verdict")
    assert report.status == 1
    assert (shown["party"], shown["incidents"]) == ("application", 3)
    assert shown["parties"] == {
        "application": 2,
        "platform": 0,
        "operator": 0,
        "undetermined": 1,
    }
    assert shown["culprits"][0]["route"] == "GET /label/{int}"
    page = tmp_path / "verdict.html"
    told = report("verdict", "--html", str(page))
    assert "2 of 3 incidents are the application's own doing." in told
    assert max(len(line) for line in told.splitlines() if str(page) not in line) <= 80
    assert "2 of 3 incidents are the application&#39;s own doing." in page.read_text("utf-8")


def test_a_store_without_incidents_is_judged_quietly(house: House, report: Report) -> None:
    house.journal().request("/page")
    house.drain()
    assert "No worker died" in report("verdict")
    assert report.status == 0
    assert report.json("verdict")["incidents"] == 0


def test_two_owners_are_never_judged_on_one_page(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    segfault(house, 11)
    segfault(house, 12, app="other")
    places = ["--journal", str(house.folder), "--store", house.url]
    assert main(["report", "verdict", *places]) == 2
    assert "--app (other, shop)" in capsys.readouterr().err
    assert main(["report", "verdict", "--json", "--app", "other", *places]) == 1
    assert json.loads(capsys.readouterr().out)["incidents"] == 1


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("incident",), 2, "standfast report incident ID"),
        (("incident", "x1"), 2, "'x1' is not the number of an incident"),
        (("incident", "7"), 1, "there is no incident 7"),
        (("crashes", "7"), 2, "standfast report incident ID"),
        (("crashes", "--html", "a.html"), 2, "--html belongs to"),
        (("verdict", "--html", "no/such/folder.html"), 1, "name another --html FILE"),
    ],
)
def test_wrong_use_is_told_in_words(
    house: House, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, said: str
) -> None:
    house.journal().request("/page")
    house.drain()
    try:
        found = main(["report", *words, "--journal", str(house.folder), "--store", house.url])
    except SystemExit as left:
        found = int(str(left.code))
    assert found == status
    assert said in capsys.readouterr().err
