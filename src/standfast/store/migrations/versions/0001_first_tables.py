"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from standfast.store.dialect import BIG_ID, LONG_BYTES, LONG_TEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "application",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "route",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("application_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), server_default="http", nullable=False),
        sa.Column("template", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("application_id", "kind", "template"),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("application_id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("pid_namespace", sa.BigInteger(), nullable=False),
        sa.Column("start_ticks", sa.BigInteger(), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("server", sa.String(length=255), nullable=False),
        sa.Column("revision", sa.String(length=255), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_ns", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("read_segment", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("read_offset", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("damaged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("damaged_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("died_ns", sa.BigInteger()),
        sa.Column("signal", sa.String(length=16)),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("fault", LONG_TEXT),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uid", "application_id"),
    )
    op.create_index(None, "worker", ["host", "died_ns"])
    op.create_index(None, "worker", ["pid", "start_ticks"])
    op.create_table(
        "incident",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Integer(), nullable=False),
        sa.Column("application_id", sa.Integer(), nullable=False),
        sa.Column("died_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"]),
        sa.ForeignKeyConstraint(["worker_id"], ["worker.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("worker_id"),
    )
    op.create_index(None, "incident", ["application_id", "died_ns"])
    op.create_index(None, "incident", ["died_ns"])
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
        sa.ForeignKeyConstraint(["route_id"], ["route.id"]),
        sa.ForeignKeyConstraint(["worker_id"], ["worker.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "pending_exit",
        sa.Column("reporter_id", sa.Integer(), nullable=False),
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start_ticks", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["reporter_id"], ["worker.id"]),
        sa.PrimaryKeyConstraint("reporter_id", "pid", "start_ticks"),
    )
    op.create_table(
        "rollup",
        sa.Column("route_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("slow", sa.BigInteger(), nullable=False),
        sa.Column("duration_ns", sa.BigInteger(), nullable=False),
        sa.Column("cpu_ns", sa.BigInteger()),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("sketch", LONG_BYTES, nullable=False),
        sa.ForeignKeyConstraint(["route_id"], ["route.id"]),
        sa.PrimaryKeyConstraint("route_id", "minute"),
    )
    op.create_table(
        "request",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("application_id", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("route_id", sa.Integer(), nullable=False),
        sa.Column("incident_id", sa.Integer()),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("begun_ns", sa.BigInteger(), nullable=False),
        sa.Column("duration_ns", sa.BigInteger()),
        sa.Column("background_ns", sa.BigInteger()),
        sa.Column("cpu_ns", sa.BigInteger()),
        sa.Column("status", sa.Integer()),
        sa.Column("sent", sa.BigInteger()),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("method", LONG_TEXT, nullable=False),
        sa.Column("uri", LONG_TEXT, nullable=False),
        sa.Column("client", LONG_TEXT, nullable=False),
        sa.Column("forwarded_for", LONG_TEXT, nullable=False),
        sa.Column("host", LONG_TEXT, nullable=False),
        sa.Column("user_agent", LONG_TEXT, nullable=False),
        sa.Column("thread", sa.BigInteger(), nullable=False),
        sa.Column("error", LONG_TEXT),
        sa.Column("cut", sa.Boolean(), nullable=False),
        sa.Column("aborted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint("outcome IN ('open', 'unfinished', 'slow', 'failed')", name="outcome"),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"]),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"]),
        sa.ForeignKeyConstraint(["route_id"], ["route.id"]),
        sa.ForeignKeyConstraint(["worker_id"], ["worker.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("worker_id", "seq"),
    )
    op.create_index(None, "request", ["application_id", "outcome", "begun_ns"])
    op.create_index(None, "request", ["incident_id"])
    still_open = sa.text("outcome = 'open'")
    op.create_index(
        "ix_request_open",
        "request",
        ["worker_id", "seq"],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_index(None, "request", ["outcome", "begun_ns"])


def downgrade() -> None:
    for table in (
        "request",
        "rollup",
        "pending_exit",
        "ordinary_request",
        "incident",
        "worker",
        "route",
        "application",
    ):
        op.drop_table(table)
