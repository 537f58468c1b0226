"""Whether the requests of a dead worker, known through its master alone, could be recorded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    recorded: sa.Column[bool] = sa.Column(
        "recorded", sa.Boolean(), nullable=False, server_default=sa.true()
    )
    op.add_column("pending_exit", recorded)


def downgrade() -> None:
    with op.batch_alter_table("pending_exit") as table:
        table.drop_column("recorded")
