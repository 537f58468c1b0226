"""What a request may come to is checked by comparisons: for IN, SQLite builds a table for each row.

Rows stay as they are and as they may be, so the definition alone is written anew, as SQLite's
documentation of ALTER TABLE says: to copy a table of millions would take minutes.
"""

from __future__ import annotations

from contextlib import suppress

from alembic import op
from sqlalchemy.exc import OperationalError

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SLOW = "outcome IN ('open', 'unfinished', 'slow', 'failed')"
_QUICK = " OR ".join(f"outcome = '{one}'" for one in ("slow", "failed", "open", "unfinished"))


def upgrade() -> None:
    _replace(_SLOW, _QUICK)


def downgrade() -> None:
    _replace(_QUICK, _SLOW)


def _replace(before: str, after: str) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    # A SQLite that was built to refuse this keeps the check that it has, which is only slower.
    with suppress(OperationalError):
        connection.exec_driver_sql(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?)"
            " WHERE type = 'table' AND name = 'request'",
            (before, after),
        )
    # Others that have the store open read the definition again.
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=OFF")
