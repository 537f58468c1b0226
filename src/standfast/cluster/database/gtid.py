"""Global transaction identifiers of MariaDB: ``domain-server-sequence``.

Here every server writes in a domain of its own, so what a server has of the site is one number
for each domain: how far it has come with that server's writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

#: For each domain the last sequence number. A domain that is not in it: nothing of it.
Position = Mapping[int, int]


def each(text: str) -> Iterator[tuple[int, int, int]]:
    """Domain, server and sequence number of each in a list such as ``1-1-50,2-2-7``.

    Raises ValueError for anything else.
    """
    for one in text.replace("\n", "").split(","):
        if one.strip():
            domain, server, sequence = (int(part) for part in one.split("-"))
            yield domain, server, sequence


def position(text: str) -> dict[int, int]:
    """The highest sequence number of each domain in such a list."""
    found: dict[int, int] = {}
    for domain, _server, sequence in each(text):
        found[domain] = max(sequence, found.get(domain, 0))
    return found


def named(text: str) -> str:
    """The first transaction that a text names, as ``BEGIN GTID 2-2-41`` does; else nothing."""
    found = re.search(r"\b\d+-\d+-\d+\b", text)
    return found[0] if found else ""


def covers(one: Position, other: Position) -> bool:
    """Whether ``one`` has come at least as far as ``other`` in every domain."""
    return all(one.get(domain, 0) >= sequence for domain, sequence in other.items())


def furthest(*positions: Position) -> dict[int, int]:
    """How far any of them has come, domain by domain."""
    found: dict[int, int] = {}
    for one in positions:
        for domain, sequence in one.items():
            found[domain] = max(sequence, found.get(domain, 0))
    return found
