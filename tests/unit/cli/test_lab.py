"""What ``standfast lab`` shows fits 80 columns and says every address."""

from __future__ import annotations

import pytest

from standfast.cli.lab import shown
from standfast.cli.main import main
from standfast.lab import LabPlan, LabServer

PLAN = LabPlan(
    "shop",
    (LabServer("ie", "10.88.0.11"), LabServer("nl", "10.88.0.12"), LabServer("us", "10.88.0.13")),
)


def test_every_servers_addresses_are_shown_and_what_it_does_and_what_is_cut() -> None:
    states = {"ie": "answers", "nl": "has no power", "us": "answers"}
    assert shown(PLAN, states, [("ie", "us")]).splitlines() == [
        "ie            10.88.0.11       fd0a:58:0::b        answers",
        "nl            10.88.0.12       fd0a:58:0::c        has no power",
        "us            10.88.0.13       fd0a:58:0::d        answers",
        "this machine  10.88.0.1        fd0a:58:0::1",
        "Nothing passes between ie and us.",
    ]


def test_it_fits_80_columns_however_long_names_and_addresses_are() -> None:
    plan = LabPlan(
        "shop", (LabServer("x" * 63, "250.250.250.249"), LabServer("y", "250.250.250.248"))
    )
    states = dict.fromkeys(("x" * 63, "y"), "is not there")
    assert max(map(len, shown(plan, states, []).splitlines())) <= 80


@pytest.mark.parametrize("words", [["kill"], ["start"], ["shell"], ["cut", "nl"], ["join"]])
def test_a_name_that_is_missing_is_asked_for(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["lab", *words])
    assert ended.value.code == 2
    assert "the following arguments are required" in capsys.readouterr().err
