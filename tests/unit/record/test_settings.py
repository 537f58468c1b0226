"""The recorder's settings come from the environment, and a name given by hand goes before it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from standfast.journal import files
from standfast.journal.files import default_folder
from standfast.journal.reader import SegmentReader
from standfast.record.settings import from_environ
from standfast.wsgi import Recorder
from tests.recorded import read
from tests.unit.record.wsgi_server import Served, answering


def serve(recorder: Recorder, **environ: Any) -> None:
    recorder({"REQUEST_METHOD": "GET", "RAW_URI": "/page", **environ}, lambda *_: None)


def test_whatever_is_not_set_has_its_default() -> None:
    found = from_environ({})
    assert found._replace(journal="") == ("app", "", (), False, False, "", 0)
    assert from_environ({"STANDFAST_APP": "", "STANDFAST_JOURNAL": ""}) == found


def test_names_to_mask_stand_between_commas() -> None:
    found = from_environ({"STANDFAST_MASK": " iban, customer_no ,,x"})
    assert found.masked_names == ("iban", "customer_no", "x")


@pytest.mark.parametrize(
    ("value", "is_on"),
    [("1", True), ("true", True), (" Yes", True), ("ON", True), ("0", False), ("false", False),
     ("no", False), ("", False), ("maybe", False)],
)  # fmt: skip
def test_a_switch_is_on_where_it_says_so(value: str, is_on: bool) -> None:
    found = from_environ({"STANDFAST_TRUNCATE_CLIENTS": value, "STANDFAST_CPU_TIME": value})
    assert (found.truncate_clients, found.cpu_time) == (is_on, is_on)


@pytest.mark.parametrize(
    ("uid", "variables", "folder"),
    [
        (0, {}, "/var/lib/standfast/journal"),
        (1000, {"HOME": "/srv/joe"}, "/srv/joe/.local/state/standfast/journal"),
        (1000, {"XDG_STATE_HOME": "/srv/state"}, "/srv/state/standfast/journal"),
        (1000, {"STANDFAST_JOURNAL": "/srv/journal"}, "/srv/journal"),
        (0, {"STANDFAST_JOURNAL": "/srv/journal"}, "/srv/journal"),
    ],
)
def test_the_journal_lies_where_its_owner_may_write(
    monkeypatch: pytest.MonkeyPatch, uid: int, variables: dict[str, str], folder: str
) -> None:
    for name in ("STANDFAST_JOURNAL", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "getuid", lambda: uid)
    # What root's watcher may have made on the machine that runs the tests.
    monkeypatch.setattr(files, "_is_for_all", lambda folder: False)
    assert default_folder() == folder


def test_settings_of_the_environment_reach_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "STANDFAST_JOURNAL": str(tmp_path),
        "STANDFAST_APP": "tearoom",
        "STANDFAST_REVISION": "v7",
        "STANDFAST_MASK": "customer_no",
    }.items():
        monkeypatch.setenv(name, value)
    serve(Recorder(answering([])), RAW_URI="/page?customer_no=7", SERVER_SOFTWARE="teapot/1.0")
    request = read(tmp_path).one("/page")
    worker = request.worker
    assert (worker.app, worker.revision, worker.server) == ("tearoom", "v7", "teapot/1.0")
    assert worker.pid == os.getpid()
    assert request.begin.uri == "/page?customer_no=***"


def test_what_is_given_by_hand_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDFAST_JOURNAL", str(tmp_path / "no"))
    monkeypatch.setenv("STANDFAST_APP", "no")
    serve(Recorder(answering([]), name="shop", journal=str(tmp_path / "yes")))
    assert read(tmp_path / "yes").one("/page").worker.app == "shop"
    assert not (tmp_path / "no").exists()


def test_two_recorders_of_one_application_share_its_journal(tmp_path: Path) -> None:
    for body in ([b"one"], [b"two"]):
        Served(tmp_path, answering(body)).call()
    assert len(list(tmp_path.glob("*/*.journal"))) == 1
    assert [request.begin.seq for request in read(tmp_path).requests] == [1, 2]


def test_two_applications_in_one_process_have_a_journal_each(tmp_path: Path) -> None:
    for name in ("shop", "blog", "shop"):
        serve(Recorder(answering([]), name=name, journal=str(tmp_path)))
    counts = {}
    for path in tmp_path.glob("*/*.journal"):
        with SegmentReader(str(path)) as reader:
            assert reader.header is not None and reader.header.app == path.parent.name
            counts[reader.header.app] = len(reader.read())
    assert counts == {"blog": 2, "shop": 4}


@pytest.mark.parametrize("name", ["../../escape", "/etc", "..", ".", "a/b", "a\0b", "x" * 5000])
def test_no_name_of_an_application_leads_out_of_the_journal(tmp_path: Path, name: str) -> None:
    journal = tmp_path / "deep" / "journal"
    serve(Recorder(answering([]), name=name, journal=str(journal)))
    (segment,) = tmp_path.rglob("*.journal")
    assert segment.parent.parent == journal
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["journal"]


def test_the_journal_is_its_owners_alone(tmp_path: Path) -> None:
    serve(Recorder(answering([]), name="shop", journal=str(tmp_path / "journal")))
    (segment,) = tmp_path.rglob("*.journal")
    assert segment.stat().st_mode & 0o777 == 0o600
    assert segment.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_is_written_before_the_first_request(tmp_path: Path) -> None:
    Recorder(answering([]), name="shop", journal=str(tmp_path / "journal"))
    assert list(tmp_path.iterdir()) == []
