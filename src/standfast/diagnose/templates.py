"""Templates of pages, and what all of them write with.

Everything recorded is hostile text. Jinja2 escapes markup; ``line`` and ``lines`` what would act
on a screen, hide itself, or change the order in which it is read.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from .verdict.ladder import word_for
from .words import duration, harmless, moment, percent, plural, size

_LONGEST = 64 * 1024


def templates(package: str, folder: str) -> Environment:
    """The templates in a folder of a package."""
    made = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        line=harmless,
        lines=lines,
        moment=moment,
        duration=duration,
        percent=percent,
        plural=plural,
        size=size,
        sure=word_for,
    )
    return made


def lines(text: str, limit: int = _LONGEST) -> str:
    """As ``harmless``, but line ends stay and what is beyond the limit is cut."""
    cut = text[:limit] + ("\n…" if len(text) > limit else "")
    return "\n".join(map(harmless, cut.split("\n")))
