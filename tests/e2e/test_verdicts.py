"""Each real fault gets the verdict that it deserves, and the request that did it is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.faults import FAULTS, Fault
from tests.e2e.faults.trial import bring_about

DOCUMENT = Path(__file__).parents[2] / "docs" / "verdicts.md"


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_the_verdict_names_the_true_cause(fault: Fault, tmp_path: Path) -> None:
    outcome = bring_about(fault, tmp_path)
    assert outcome.is_right_cause(fault), (outcome.cause, outcome.seen)
    assert outcome.confidence >= 0.5, outcome.seen
    assert outcome.is_right_culprit(fault, tmp_path), (outcome.culprit, outcome.seen)
    assert not outcome.accuses_wrongly(fault), (outcome.others, outcome.seen)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_the_published_table_has_every_fault_with_its_cause(fault: Fault) -> None:
    row = re.escape(f"| {fault.name} | `{fault.cause}` |")
    assert re.search(rf"^{row}", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
