"""What ``cluster verify`` shows, for people and for programs."""

from __future__ import annotations

import pytest

from standfast.cli.cluster.verify import as_json, show
from standfast.cluster.status.scratch import Entry, Proof
from tests.unit.cluster.status.sites import site

ROWS = tuple(
    Entry(number, f"City {number % 10}") for number in (1, 2, 3, 11, 12, 13)
)  # fmt: skip
WRITTEN = [(("ie", "nl", "us")[row.id % 10 - 1], row) for row in ROWS]


def proven() -> Proof:
    return Proof("verify_0123456789ab", WRITTEN, dict.fromkeys(("ie", "nl", "us"), ROWS))


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_all_rows_on_all_servers_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show(site(), proven())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:7]] == [
        ["id", "location", "ie", "nl", "us"],
        *([str(row.id), *row.location.split(), "yes", "yes", "yes"] for row in ROWS),
    ]
    assert lines[-1].startswith("Every row is on every server (3)")
    assert max(map(len, lines)) <= 80


def test_what_is_missing_and_who_is_away_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    proof = proven()
    proof.read = {"ie": ROWS, "nl": ROWS[:2]}
    proof.wrong = [("us", "not reached \x1b[2J"), ("nl", "does not have: 3, 11, 12, 13")]
    show(site(), proof)
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[1].split()[-3:] == ["yes", "yes", "?"]
    assert lines[6].split()[-3:] == ["yes", "no", "?"]
    assert "nl  does not have: 3, 11, 12, 13" in said
    assert "\x1b" not in said and "Every row" not in said


@pytest.mark.parametrize("count", [3, 6, 7, 10])
def test_servers_are_told_apart_by_the_ends_of_their_names(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    one = site(*(f"web-server-{at}" for at in range(count)))
    show(one, Proof("verify_0123456789ab", [(one.servers[0].name, Entry(1, "Dublin"))]))
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert len({name[-1] for name in head.split()[2:]}) == len(head.split()[2:]) == count
    assert "Dublin" in row


def test_ten_servers_with_long_names_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    one = site(*(f"{chr(97 + at)}{'x' * 60}" for at in range(10)))
    proof = Proof("verify_0123456789ab", [(one.servers[0].name, Entry(1, "L" * 60))])
    show(one, proof)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_shape_for_programs_is_the_documented_one() -> None:
    proof = proven()
    proof.read["us"] = ROWS[1:]
    proof.wrong = [("us", "does not have: 1")]
    proof.left = True
    answer = as_json(site(), proof)
    assert answer["rows"][0] == {
        "id": 1, "location": "City 1", "written_on": "ie", "on": ["ie", "nl"],
    }  # fmt: skip
    assert [row["id"] for row in answer["rows"]] == [1, 2, 3, 11, 12, 13]
    assert {key: answer[key] for key in ("site", "well", "wrong", "left_behind")} == {
        "site": "shop",
        "well": False,
        "wrong": [{"server": "us", "words": "does not have: 1"}],
        "left_behind": "standfast.verify_0123456789ab",
    }
