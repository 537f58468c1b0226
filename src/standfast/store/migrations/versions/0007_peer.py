"""The address of the connection, where that is a trusted proxy and not the client."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from standfast.store.dialect import LONG_TEXT

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("request", sa.Column("peer", LONG_TEXT, nullable=True))


def downgrade() -> None:
    op.drop_column("request", "peer")
