"""An index for every question, none for rows that none asks about; ordinary rows without keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from standfast.store.dialect import BIG_ID, LONG_BYTES

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
_ORDINARY = ("id", "begun_ns", "duration_ns", "route_id", "worker_id", "seq", "status", "raw")
_LINKS = ("route", "worker")
_NEW: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("worker", ("application_id", "started_ns")),
    ("worker", ("died_ns",)),
    ("pending_exit", ("pid", "start_ticks")),
    ("pending_signal", ("pid", "start_ticks")),
    ("session", ("opened_ns",)),
    ("session", ("last_seen_ns",)),
    ("share", ("expires_ns",)),
)
_OF_FEW: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "ix_request_unended",
        ("worker_id", "outcome", "seq"),
        "outcome = 'open' OR outcome = 'unfinished'",
    ),
    ("ix_request_failed", ("worker_id", "begun_ns", "place"), "outcome = 'failed'"),
    ("ix_request_incident", ("incident_id", "begun_ns", "route_id"), "incident_id IS NOT NULL"),
)


def upgrade() -> None:
    for table, columns in _NEW:
        op.create_index(None, table, list(columns))
    for name, columns, where in _OF_FEW:
        _of_few(name, columns, where)
    op.drop_index("ix_request_open", "request")
    op.drop_index("ix_request_incident_id", "request")
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_ordinary(keys=False)
    else:
        for table in _LINKS:
            name = f"fk_ordinary_request_{table}_id_{table}"
            op.drop_constraint(name, "ordinary_request", type_="foreignkey")
    op.create_index(None, "ordinary_request", ["route_id"])


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_ordinary(keys=True)
    else:
        # First, as MariaDB would take it for the foreign key.
        op.drop_index("ix_ordinary_request_route_id", "ordinary_request")
        for table in _LINKS:
            name = f"fk_ordinary_request_{table}_id_{table}"
            op.create_foreign_key(name, "ordinary_request", table, [f"{table}_id"], ["id"])
    _of_few("ix_request_open", ("worker_id", "seq"), "outcome = 'open'")
    op.create_index(None, "request", ["incident_id"])
    for name, _, _ in _OF_FEW:
        op.drop_index(name, "request")
    if op.get_bind().dialect.name == "mysql":  # which wants one for the foreign key at all times
        op.create_index("fk_worker_application_id_application", "worker", ["application_id"])
    for table, columns in _NEW:
        op.drop_index(f"ix_{table}_{'_'.join(columns)}", table)


def _of_few(name: str, columns: tuple[str, ...], where: str) -> None:
    few = sa.text(where)
    op.create_index(name, "request", list(columns), sqlite_where=few, postgresql_where=few)


def _rebuild_ordinary(*, keys: bool) -> None:
    """The same rows in a table with foreign keys, or without any."""
    op.rename_table("ordinary_request", "ordinary_request_before")
    links = _LINKS if keys else ()
    op.create_table(
        "ordinary_request",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("begun_ns", sa.BigInteger(), nullable=False),
        sa.Column("duration_ns", sa.BigInteger(), nullable=False),
        sa.Column("route_id", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("raw", LONG_BYTES, nullable=False),
        *[sa.ForeignKeyConstraint([f"{table}_id"], [f"{table}.id"]) for table in links],
        sa.PrimaryKeyConstraint("id"),
    )
    columns = ", ".join(_ORDINARY)
    op.execute(
        f"INSERT INTO ordinary_request ({columns}) SELECT {columns} FROM ordinary_request_before"  # noqa: S608
    )
    op.drop_table("ordinary_request_before")
