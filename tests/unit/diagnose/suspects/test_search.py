"""Sets of culprits, against priors and evidence worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from standfast.diagnose.suspects.mixture import Columns
from standfast.diagnose.suspects.search import CulpritSet, search


def columns(*causes: list[float]) -> Columns:
    """Causes that have an entry in every incident."""
    incidents = len(causes[0])
    return Columns(
        np.arange(len(causes)) * incidents,
        np.tile(np.arange(incidents), len(causes)),
        np.array(causes).ravel(),
    )


def weigh(*causes: list[float], priors: list[float]) -> dict[tuple[int, ...], float]:
    sets = search(columns(*causes), np.array(priors), len(causes[0]))
    return {tuple(sorted(each.members)): each.probability for each in sets}


def test_one_cause_in_one_incident_is_bayes_by_hand() -> None:
    """Prior 0.2 for nobody with evidence 1; 0.8 * 0.75 for one with 1/4 + 3/4 * 9 = 7."""
    found = weigh([9.0], priors=[1.0])
    assert found == pytest.approx({(0,): 4.2 / 4.4, (): 0.2 / 4.4}, rel=1e-3)


def test_a_lift_of_one_leaves_the_prior() -> None:
    """One of each has 0.6 * 1/2, both 0.8 * 0.25 * 0.75 * 2 * 1/4, nobody 0.2."""
    found = weigh([1.0] * 4, [1.0] * 4, priors=[0.5, 0.5])
    total = 0.2 + 0.3 + 0.3 + 0.075
    assert found == pytest.approx(
        {(): 0.2 / total, (0,): 0.3 / total, (1,): 0.3 / total, (0, 1): 0.075 / total}, rel=1e-2
    )


def test_the_prior_tells_what_the_incidents_cannot() -> None:
    found = weigh([5.0] * 3, [5.0] * 3, priors=[0.3, 0.1])
    assert found[0,] == pytest.approx(3 * found[1,])


def test_causes_that_take_turns_are_both_found() -> None:
    found = weigh([100.0, 0.0] * 6, [0.0, 100.0] * 6, priors=[0.1, 0.1])
    assert found[0, 1] > 0.99


def test_a_set_is_weighed_once_however_it_was_reached() -> None:
    sets = search(columns([40.0, 0.1] * 4, [0.1, 40.0] * 4), np.array([0.1, 0.1]), 8)
    keys = [tuple(sorted(each.members)) for each in sets]
    assert len(set(keys)) == len(keys)
    assert sum(each.probability for each in sets) == pytest.approx(1.0)


def both(sets: list[CulpritSet]) -> CulpritSet:
    return next(each for each in sets if len(each.members) == 2)


def test_resampling_every_incident_once_changes_nothing() -> None:
    found = both(search(columns([40.0, 0.1] * 4, [0.1, 40.0] * 4), np.array([0.1, 0.1]), 8))
    assert found.resampled(np.ones((3, 8))) == pytest.approx([0.0] * 3, abs=1e-9)


def test_resampling_counts_the_incidents_that_speak_for_a_set() -> None:
    found = both(search(columns([40.0, 0.1] * 4, [0.1, 40.0] * 4), np.array([0.1, 0.1]), 8))
    assert (found.resampled(np.full((1, 8), 2.0)) > 0).all()
