"""Errors that were logged in requests that did not fail, counted; which workers are masters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from standfast.store.dialect import BIG_ID, LONG_TEXT

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "logged_error",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("route_id", sa.Integer(), sa.ForeignKey("route.id"), nullable=False),
        sa.Column("place", sa.String(length=160), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_ns", sa.BigInteger(), nullable=False),
        sa.Column("error", LONG_TEXT, nullable=False),
        sa.UniqueConstraint("route_id", "place"),
    )
    op.create_index("ix_logged_error_last_ns", "logged_error", ["last_ns"])
    master: sa.Column[bool] = sa.Column(
        "master", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("worker", master)


def downgrade() -> None:
    with op.batch_alter_table("worker") as table:
        table.drop_column("master")
    op.drop_table("logged_error")
