from __future__ import annotations

import re
from pathlib import Path

from standfast.diagnose.verdict.causes import CAUSES
from standfast.diagnose.verdict.ladder import LADDER, WORDS

PAGE = (Path(__file__).parents[4] / "docs" / "verdicts.md").read_text("utf-8")


def test_the_documentation_lists_the_causes_with_their_parties_and_no_others() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE, re.MULTILINE)
    assert rows == [(cause.name, cause.party) for cause in CAUSES.values()]


def test_the_documentation_says_what_the_words_mean() -> None:
    rows = re.findall(r"^\| (\w+) \| (0\.\d+) \|", PAGE, re.MULTILINE)
    assert rows == [(word, f"{step:g}") for word, step in zip(WORDS, LADDER, strict=True)][:4]
