"""The figures of ``benchmarks.isolation`` as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .isolation_methods import METHODS


def tables(figures: Mapping[str, Any]) -> Iterator[str]:
    """The lines of all tables; ``figures`` are those of ``isolation.measure``."""
    if cells := figures.get("accuracy"):
        yield f"First suspect right, {cells[0]['trials']} sites a row (95 % interval for ours):\n"
        names = [*METHODS, "ours"]
        yield (
            "| culprit | in flight | incidents | routes | background | quiet "
            f"| {' | '.join(names)} | within | falsely sure |"
        )
        yield "| --- " * (8 + len(names)) + "|"
        for cell in cells:
            s, none = cell["scenario"], cell["scenario"]["culprit"] == "none"
            low, high = cell["interval"]
            shares = ["–" if none else f"{cell['right'][name]:.2f}" for name in METHODS]
            ours = "–" if none else f"**{cell['right']['ours']:.3f}** ({low:.2f}–{high:.2f})"
            within = f"{cell['within']:.2f}" if s["culprit"] == "parameter" else ""
            yield (
                f"| {s['culprit']} | {s['in_flight']} | {s['incidents']} | {s['routes']} "
                f"| {s['background']:.0%} | {s['quiet']:.0%} | {' | '.join(shares)} | {ours} "
                f"| {within} | {cell['accused']:.3f} |"
            )
    if rows := figures.get("calibration"):
        yield "\nWhat is said, and how often it is right (95 % interval):\n"
        yield "| said | on average | right | suspects |\n| --- | --- | --- | --- |"
        for row in rows:
            if row["number"]:
                low, high = row["interval"]
                yield (
                    f"| {row['low']:.0%} to {row['high']:.0%} | {row['said']:.1%} "
                    f"| {row['right']:.1%} ({low:.0%}–{high:.0%}) | {row['number']:,} |"
                )
    if figure := figures.get("speed"):
        yield (
            f"\n{figure['requests']:,} closed requests and {figure['incidents']:,} incidents with "
            f"{figure['in_flight']:,} in flight: added up in {figure['expose_s']:.2f} s, ranked in "
            f"{figure['rank_s']:.2f} s, together **{figure['total_s']:.2f} s**."
        )
