"""What masters say of their workers: the signals they send, and which children are workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "pending_exit",
        sa.Column("worker", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_table(
        "pending_signal",
        sa.Column("reporter_id", sa.Integer(), nullable=False),
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start_ticks", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("signal", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Integer(), nullable=False),
        sa.Column("timeout_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["reporter_id"], ["worker.id"]),
        sa.PrimaryKeyConstraint("reporter_id", "pid", "start_ticks", "wall_ns"),
    )


def downgrade() -> None:
    op.drop_table("pending_signal")
    op.drop_column("pending_exit", "worker")
