"""What the pages need to be quick: roll-ups by hour and day, where errors come from, indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from standfast.store.places import place
from standfast.store.sketch import Sketch

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHUNK = 500
_SUMS = ("count", "failed", "slow", "duration_ns", "cpu_ns", "sent")
_MINUTES = {"hour": 60, "day": 24 * 60}


def upgrade() -> None:
    for span in _MINUTES:
        op.create_table(
            f"rollup_{span}",
            sa.Column("route_id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column(span, sa.BigInteger(), autoincrement=False, nullable=False),
            *[sa.Column(name, sa.BigInteger(), nullable=name == "cpu_ns") for name in _SUMS],
            sa.Column("sketch", sa.LargeBinary(), nullable=False),
            sa.ForeignKeyConstraint(["route_id"], ["route.id"]),
            sa.PrimaryKeyConstraint("route_id", span),
        )
        _fill(span)
    op.add_column("request", sa.Column("place", sa.String(length=160)))
    _fill_places()
    # The new ones first: MariaDB wants one for the foreign key at all times.
    op.create_index(
        "ix_request_listing",
        "request",
        ["application_id", "outcome", "begun_ns", "duration_ns", "route_id", "place"],
    )
    op.create_index(
        "ix_request_duration", "request", ["application_id", "outcome", "duration_ns", "begun_ns"]
    )
    op.drop_index("ix_request_application_id_outcome_begun_ns", "request")


def _fill(span: str) -> None:
    """Adds up the minutes, which come in the order of the key."""
    rollup = sa.table("rollup", *map(sa.column, ("route_id", "minute", *_SUMS, "sketch")))
    wide = sa.table(f"rollup_{span}", *map(sa.column, ("route_id", span, *_SUMS, "sketch")))
    rows: list[dict[str, Any]] = []
    sums: dict[str, Any] = {}
    sketch = Sketch()
    for minute in _minutes(rollup):
        key = (minute.route_id, minute.minute // _MINUTES[span])
        if key != (sums.get("route_id"), sums.get(span)):
            if sums:
                rows.append(sums | {"sketch": sketch.to_bytes()})
            if len(rows) >= _CHUNK:
                op.bulk_insert(wide, rows)
                rows = []
            sums, sketch = dict.fromkeys(_SUMS) | {"route_id": key[0], span: key[1]}, Sketch()
        for name in _SUMS:
            value = getattr(minute, name)
            if value is not None:
                sums[name] = min((sums[name] or 0) + value, 2**63 - 1)
        sketch.merge(Sketch.from_bytes(minute.sketch))
    if sums:
        rows.append(sums | {"sketch": sketch.to_bytes()})
    if rows:
        op.bulk_insert(wide, rows)


def _minutes(rollup: Any) -> Iterator[Any]:
    """All of them, a part at a time: there may be millions."""
    last = (-1, -1)
    while True:
        after = sa.or_(
            rollup.c.route_id > last[0],
            sa.and_(rollup.c.route_id == last[0], rollup.c.minute > last[1]),
        )
        order = (rollup.c.route_id, rollup.c.minute)
        wanted = sa.select(rollup).where(after).order_by(*order).limit(20 * _CHUNK)
        rows = op.get_bind().execute(wanted).all()
        if not rows:
            return
        yield from rows
        last = (rows[-1].route_id, rows[-1].minute)


def _fill_places() -> None:
    request = sa.table("request", *map(sa.column, ("id", "outcome", "error", "place")))
    last = -1
    while True:
        wanted = sa.select(request.c.id, request.c.error).where(
            request.c.id > last, request.c.outcome == "failed", request.c.error.is_not(None)
        )
        rows = op.get_bind().execute(wanted.order_by(request.c.id).limit(_CHUNK)).all()
        if not rows:
            return
        op.get_bind().execute(
            request.update()
            .where(request.c.id == sa.bindparam("row_id"))
            .values(place=sa.bindparam("found")),
            [{"row_id": row.id, "found": place(row.error)} for row in rows],
        )
        last = rows[-1].id


def downgrade() -> None:
    op.create_index(
        "ix_request_application_id_outcome_begun_ns",
        "request",
        ["application_id", "outcome", "begun_ns"],
    )
    op.drop_index("ix_request_duration", "request")
    op.drop_index("ix_request_listing", "request")
    with op.batch_alter_table("request") as table:
        table.drop_column("place")
    op.drop_table("rollup_day")
    op.drop_table("rollup_hour")
