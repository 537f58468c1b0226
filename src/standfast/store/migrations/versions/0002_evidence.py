"""Evidence, and hangs beside deaths."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from standfast.store.dialect import BIG_ID, LONG_TEXT

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "incident",
        sa.Column("kind", sa.String(length=10), server_default="death", nullable=False),
    )
    op.create_table(
        "evidence",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("worker_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("text", LONG_TEXT, nullable=False),
        sa.Column("data", LONG_TEXT, nullable=False),
        sa.ForeignKeyConstraint(["worker_id"], ["worker.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("worker_id", "kind", "source", "at_ns"),
    )


def downgrade() -> None:
    op.drop_table("evidence")
    op.drop_column("incident", "kind")
