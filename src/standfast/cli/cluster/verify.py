"""``standfast cluster verify``: rows written on every server, read on all."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from standfast.cli.tables import Column, crop, print_pairs, print_table, print_whole

if TYPE_CHECKING:
    from standfast.cluster.inventory import Site
    from standfast.cluster.status.scratch import Proof

#: How much of a server's name stands above its column, where they are few and where they are many.
_FEW, _NAME, _SHORT = 6, 6, 4


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds the action to the command line."""
    parser = actions.add_parser(
        "verify",
        help="write rows on every server and read them on all",
        description="Makes a scratch table, writes two rows on each server, reads them on all, and "
        "removes it. Ends with status 1 when a row is missing anywhere.",
    )
    parser.add_argument("--json", action="store_true", help="for programs, see docs/status.md")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Shows which rows are where; 1 when any is missing or a server is away."""
    from standfast.cluster.inventory import load_site
    from standfast.cluster.status.observation import admins_way
    from standfast.cluster.status.scratch import prove

    site = load_site(arguments.file)
    proof = prove(site, admins_way(site), say)
    if arguments.json:
        print(json.dumps(as_json(site, proof), indent=2))
    else:
        show(site, proof)
    return 1 if proof.wrong else 0


def say(words: str) -> None:
    """Says how far it is, beside the answer."""
    print_whole(words, out=sys.stderr)
    sys.stderr.flush()


def as_json(site: Site, proof: Proof) -> dict[str, Any]:
    """The answer as docs/status.md promises it."""
    return {
        "site": site.name,
        "well": not proof.wrong,
        "rows": [
            {
                "id": row.id, "location": row.location, "written_on": writer,
                "on": [name for name, rows in proof.read.items() if row in rows],
            }
            for writer, row in sorted(proof.written, key=lambda one: one[1])
        ],
        "wrong": [{"server": server, "words": words} for server, words in proof.wrong],
        "left_behind": f"standfast.{proof.table}" if proof.left else None,
    }  # fmt: skip


def show(site: Site, proof: Proof) -> None:
    """The table, with where each row is."""
    if proof.written:
        columns = [Column("id", number=True), Column("location", flexible=True)]
        width = _NAME if len(site.servers) <= _FEW else _SHORT
        columns += [Column(crop(server.name, width)) for server in site.servers]
        rows = []
        for _, row in sorted(proof.written, key=lambda one: one[1]):
            there = [
                "?" if server.name not in proof.read
                else "yes" if row in proof.read[server.name] else "no"
                for server in site.servers
            ]  # fmt: skip
            rows.append([str(row.id), row.location, *there])
        print_table(columns, rows)
        print()
    if proof.wrong:
        print_pairs(proof.wrong)
    else:
        many = len(proof.read)
        print(f"Every row is on every server ({many}); the last digit tells where it was written.")
