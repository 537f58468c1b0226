"""``cluster status`` as a command: its exit status, its two outputs, and looking again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from standfast.cli.cluster import status
from standfast.cluster.inventory import Site
from standfast.cluster.status import observation
from standfast.cluster.status.seen import SiteSeen, Unreached
from standfast.errors import StandfastError
from tests.unit.cluster.status.sites import site, well, with_server


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def seen_as(monkeypatch: pytest.MonkeyPatch, *looks: SiteSeen) -> None:
    """Looks give these; then comes Ctrl-C."""
    left: Iterator[SiteSeen] = iter(looks)

    def observe(one: Site, remotes: object) -> SiteSeen:
        found = next(left, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(observation, "observe", observe)
    monkeypatch.setattr(status, "_PAUSE_S", 0.0)


def test_it_ends_with_0_where_all_is_well_and_1_where_anything_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = site()
    for as_json in (False, True):
        seen_as(monkeypatch, well(one), with_server(well(one), "nl", Unreached("no")))
        assert status.look(one, {}, as_json=as_json) == 0
        assert status.look(one, {}, as_json=as_json) == 1
    assert "all is well" in capsys.readouterr().out


def test_looking_again_goes_on_until_ctrl_c_and_ends_as_the_last_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = site()
    seen_as(monkeypatch, well(one), with_server(well(one), "nl", Unreached("no")))
    assert status.watch(one, {}, as_json=False) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    first, second = said.strip().split("\n\nshop: ")
    assert "all is well" in first and "something is wrong" in second
    seen_as(monkeypatch, well(one), well(one))
    assert status.watch(one, {}, as_json=True) == 0
    assert [json.loads(line)["well"] for line in capsys.readouterr().out.splitlines()] == [
        True,
        True,
    ]


def test_a_site_that_was_never_set_up_is_told_apart_from_one_that_is_down() -> None:
    with pytest.raises(StandfastError, match="standfast cluster apply"):
        observation.admins_way(site())
