"""How many requests of one worker were open at once beyond those that are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    left_out = sa.Column("left_out", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("worker", left_out)


def downgrade() -> None:
    with op.batch_alter_table("worker") as table:
        table.drop_column("left_out")
