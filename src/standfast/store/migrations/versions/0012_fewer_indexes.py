"""Of the indexes that every slow or failed request paid for, one goes and one holds the slow only.

What is searched is read from the rows, a bounded number at a time (see ``store.listing``).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_LISTED = ("route_id", "place", "status", "worker_id")
_SEARCHED = ("uri", "client", "user_agent")
_BY_DURATION = ("application_id", "outcome", "duration_ns", "begun_ns", *_LISTED)


def upgrade() -> None:
    name = op.get_bind().dialect.name
    if name == "sqlite":
        op.drop_index("ix_request_search", "request")
    if name != "mysql":  # which has no index of some rows only
        _by_duration(sa.text("outcome = 'slow'"))


def downgrade() -> None:
    name = op.get_bind().dialect.name
    if name == "sqlite":
        first = ("outcome", "application_id", "begun_ns", "duration_ns")
        op.create_index("ix_request_search", "request", [*first, *_LISTED, *_SEARCHED])
    if name != "mysql":
        _by_duration(None)


def _by_duration(where: sa.TextClause | None) -> None:
    op.drop_index("ix_request_duration", "request")
    op.create_index(
        "ix_request_duration",
        "request",
        list(_BY_DURATION),
        sqlite_where=where,
        postgresql_where=where,
    )
