"""Whether the tables of all servers are alike, and such that replication can keep them so.

A row travels as values in the order of its columns. Where the columns of two servers are of the
same types in another order, the values land in wrong columns, and no link says anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

#: One line for each table: database and name, engine, whether it has a primary key, and a digest of
#: its columns in their order.
SQL = """\
SET SESSION group_concat_max_len = 1048576;
SELECT CONCAT(t.table_schema, '.', t.table_name), t.engine, MAX(c.column_key = 'PRI'),
  MD5(GROUP_CONCAT(CONCAT_WS(' ', c.column_name, c.column_type, c.is_nullable,
    c.character_set_name, c.collation_name) ORDER BY c.ordinal_position))
FROM information_schema.tables t JOIN information_schema.columns c
  ON c.table_schema = t.table_schema AND c.table_name = t.table_name
WHERE t.table_type = 'BASE TABLE' AND t.table_schema NOT IN
  ('mysql', 'sys', 'information_schema', 'performance_schema', 'standfast', 'standfast_joining')
GROUP BY t.table_schema, t.table_name, t.engine"""
_MOST_NAMED = 4


class Table(NamedTuple):
    """What replication has to know of a table; ``columns`` is a digest."""

    engine: str
    has_key: bool
    columns: str


def read(lines: Sequence[str]) -> dict[str, Table]:
    """The tables by ``database.name``, from what ``mariadb --batch`` printed for ``SQL``. Raises
    ValueError for what is no such line."""
    found = {}
    for line in lines:
        name, engine, has_key, columns = line.split("\t")
        found[name] = Table(engine, has_key == "1", columns)
    return found


def differing(servers: Mapping[str, Mapping[str, Table]]) -> Iterator[tuple[str, str]]:
    """For each server whose columns of a table are not those of most: its name, and words."""
    for name in sorted({name for tables in servers.values() for name in tables}):
        columns = {s: tables[name].columns for s, tables in servers.items() if name in tables}
        # Of equally many, those of the first server.
        usual = Counter(columns.values()).most_common(1)[0][0]
        like = next(server for server, each in columns.items() if each == usual)
        for server, each in columns.items():
            if each != usual:
                yield (
                    server,
                    (
                        f"{name} has other columns, or in another order, than on {like}: what is"
                        " written there lands in wrong ones"
                    ),
                )


def unsafe(tables: Mapping[str, Table]) -> Iterator[str]:
    """What replication cannot keep alike on all servers, in words."""
    by_engine: dict[str, list[str]] = {}
    for name, table in sorted(tables.items()):
        if table.engine != "InnoDB":
            by_engine.setdefault(table.engine, []).append(name)
    for engine, names in sorted(by_engine.items()):
        why = "a restart empties it on all servers" if engine == "MEMORY" else "a crash may tear it"
        yield f"{_listed(names)} {_is(names)} {engine}, not InnoDB: {why}"
    keyless = sorted(name for name, table in tables.items() if not table.has_key)
    if keyless:
        yield (
            f"{_listed(keyless)} {'has' if len(keyless) == 1 else 'have'} no primary key: rows of"
            " it are found by all their values, slowly or not at all"
        )


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
