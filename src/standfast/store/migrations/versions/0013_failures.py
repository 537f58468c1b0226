"""Failed requests counted by place, hour and day; those that are in the store are counted now."""

from __future__ import annotations

import sys
import time
from collections import defaultdict

import sqlalchemy as sa
from alembic import op

from standfast.store.dialect import BIG_ID
from standfast.store.failures import Kind, count_failures

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
_SPANS = {"failure_hour": "hour", "failure_day": "day"}
_STEP = 20_000


def upgrade() -> None:
    op.create_table(
        "failure",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("application_id", sa.Integer(), sa.ForeignKey("application.id"), nullable=False),
        sa.Column("place", sa.String(length=160), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.UniqueConstraint("application_id", "place", "status"),
    )
    for name, number in _SPANS.items():
        op.create_table(
            name,
            sa.Column(
                "failure_id", BIG_ID, sa.ForeignKey("failure.id"), primary_key=True,
                autoincrement=False,
            ),
            sa.Column(number, sa.BigInteger(), primary_key=True, autoincrement=False),
            sa.Column("count", sa.BigInteger(), nullable=False),
            sa.Column("first_ns", sa.BigInteger(), nullable=False),
            sa.Column("last_ns", sa.BigInteger(), nullable=False),
        )  # fmt: skip
    _fill()


def downgrade() -> None:
    for name in (*_SPANS, "failure"):
        op.drop_table(name)


def _fill() -> None:
    connection = op.get_bind()
    names = ("id", "application_id", "outcome", "place", "status", "begun_ns")
    request = sa.table("request", *[sa.column(name) for name in names])
    ends = sa.select(sa.func.min(request.c.id), sa.func.max(request.c.id))
    first, last = connection.execute(ends).one()
    said_s = time.monotonic() + 2
    for low in range(first or 1, (last or 0) + 1, _STEP):
        # By their numbers: an index by outcome would be read from end to end for each part.
        failed = sa.func.coalesce(request.c.outcome, "") == "failed"
        some = request.c.id.between(low, low + _STEP - 1)
        found: defaultdict[Kind, list[int]] = defaultdict(list)
        for row in connection.execute(sa.select(request).where(some, failed)):
            found[Kind(row.application_id, row.place, row.status)].append(row.begun_ns)
        count_failures(connection, found)
        if time.monotonic() > said_s:
            said_s = time.monotonic() + 2
            words = f"store: counts failed requests by place, {low - first:,} of {last - first:,}"
            print(words, file=sys.stderr, flush=True)
