"""What SQLite, MariaDB and PostgreSQL spell differently."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Integer,
    LargeBinary,
    Table,
    Text,
    case,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import URL

#: SQLite numbers rows by itself only in a column of exactly this type.
BIG_ID = BigInteger().with_variant(Integer(), "sqlite")
#: MariaDB's own TEXT and BLOB end at 65,535 bytes; a stack of that many characters is longer.
LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
LONG_BYTES = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")
#: The drivers that come with standfast, by the name of the database.
_DRIVERS = {
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
#: Names and texts are compared as they are: ``/A`` and ``/a `` are other routes than ``/a``.
BINARY_TEXTS = "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"


def with_driver(address: URL) -> URL:
    """The address with the driver that is ours to choose, where none is named."""
    name = address.drivername
    if name.startswith("mariadb+"):  # one dialect for both
        return address.set(drivername=f"mysql{name.removeprefix('mariadb')}")
    return address.set(drivername=_DRIVERS.get(name, name))


def insert_new(connection: Connection, table: Table) -> Insert:
    """An insert that leaves out the rows whose key is there already."""
    name = connection.dialect.name
    if name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    if name == "mysql":
        # IGNORE would also cut what does not fit; this changes nothing in the row that is there.
        key = next(iter(table.primary_key.columns))
        return mysql.insert(table).on_duplicate_key_update({key.name: key})
    return sqlite.insert(table).on_conflict_do_nothing()


def add_up(
    connection: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    *,
    sums: Sequence[str],
    least: str,
    most: str,
) -> None:
    """Inserts rows. Where the key is there already, the columns ``sums`` grow by the new ones,
    and ``least`` and ``most`` are kept as what they say."""
    if not rows:
        return
    if connection.dialect.name == "mysql":
        of_mysql = mysql.insert(table)
        changed = _added(table, of_mysql.inserted, sums, least, most)
        connection.execute(of_mysql.on_duplicate_key_update(changed), rows)
        return
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = kind.insert(table)
    changed = _added(table, insert.excluded, sums, least, most)
    key = list(table.primary_key.columns)
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_=changed), rows)


def _added(
    table: Table, new: Any, sums: Sequence[str], least: str, most: str
) -> dict[str, ColumnElement[Any]]:
    old = table.c
    return {
        **{name: old[name] + new[name] for name in sums},
        least: case((new[least] < old[least], new[least]), else_=old[least]),
        most: case((new[most] > old[most], new[most]), else_=old[most]),
    }


def insert_many(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Any]
) -> None:
    """Inserts tuples of these columns; those whose key is there already are left out."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        # Without the work that SQLAlchemy does for each row.
        connection.exec_driver_sql(_of_sqlite(table, tuple(names)), rows)
        return
    dicts = [dict(zip(names, row, strict=True)) for row in rows]
    connection.execute(insert_new(connection, table), dicts)


@cache
def _of_sqlite(table: Table, names: tuple[str, ...]) -> str:
    places = ", ".join("?" * len(names))
    columns = ", ".join(names)
    return f"INSERT OR IGNORE INTO {table.name} ({columns}) VALUES ({places})"  # noqa: S608 - our own names


def search(connection_name: str) -> str:
    """The operator of SQLAlchemy that looks for a text in whatever case. SQLite's LIKE does not
    tell capitals from small letters anyway, and is dear with lower()."""
    return "contains" if connection_name == "sqlite" else "icontains"
