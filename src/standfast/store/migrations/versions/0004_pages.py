"""What the pages need to be quick: roll-ups by hour and day, where errors come from, indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from standfast.store.dialect import LONG_BYTES
from standfast.store.places import place
from standfast.store.sketch import Sketch

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHUNK = 500
_SUMS = ("count", "failed", "slow", "duration_ns", "cpu_ns", "sent")
#: Each span, of which one it is made, and how many of those it holds.
_SPANS = (("hour", "rollup", "minute", 60), ("day", "rollup_hour", "hour", 24))
_LISTED = ("route_id", "place", "status", "worker_id")
_SEARCHED = ("uri", "client", "user_agent")


def upgrade() -> None:
    for span, source, part, parts in _SPANS:
        op.create_table(
            f"rollup_{span}",
            sa.Column("route_id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column(span, sa.BigInteger(), autoincrement=False, nullable=False),
            *[sa.Column(name, sa.BigInteger(), nullable=name == "cpu_ns") for name in _SUMS],
            sa.Column("sketch", LONG_BYTES, nullable=False),
            sa.ForeignKeyConstraint(["route_id"], ["route.id"]),
            sa.PrimaryKeyConstraint("route_id", span),
        )
        _fill(span, source, part, parts)
    op.add_column("request", sa.Column("place", sa.String(length=160)))
    _fill_places()
    # The new ones first: MariaDB wants one for the foreign key at all times.
    op.create_index(
        "ix_request_listing",
        "request",
        ["outcome", "application_id", "begun_ns", "duration_ns", *_LISTED],
    )
    op.create_index(
        "ix_request_duration",
        "request",
        ["application_id", "outcome", "duration_ns", "begun_ns", *_LISTED],
    )
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(
            "ix_request_search",
            "request",
            ["outcome", "application_id", "begun_ns", "duration_ns", *_LISTED, *_SEARCHED],
        )
    op.drop_index("ix_request_application_id_outcome_begun_ns", "request")
    op.drop_index("ix_request_outcome_begun_ns", "request")


def _fill(span: str, source: str, part: str, parts: int) -> None:
    """Adds up the parts, which come in the order of the key."""
    narrow = sa.table(source, *map(sa.column, ("route_id", part, *_SUMS, "sketch")))
    wide = sa.table(f"rollup_{span}", *map(sa.column, ("route_id", span, *_SUMS, "sketch")))
    rows: list[dict[str, Any]] = []
    sums: dict[str, Any] = {}
    sketch = Sketch()
    for row in _in_order(narrow, narrow.c[part]):
        key = (row.route_id, getattr(row, part) // parts)
        if key != (sums.get("route_id"), sums.get(span)):
            if sums:
                rows.append(sums | {"sketch": sketch.to_bytes()})
            if len(rows) >= _CHUNK:
                op.bulk_insert(wide, rows)
                rows = []
            sums, sketch = dict.fromkeys(_SUMS) | {"route_id": key[0], span: key[1]}, Sketch()
        for name in _SUMS:
            value = getattr(row, name)
            if value is not None:
                sums[name] = min((sums[name] or 0) + value, 2**63 - 1)
        sketch.merge(Sketch.from_bytes(row.sketch))
    if sums:
        rows.append(sums | {"sketch": sketch.to_bytes()})
    if rows:
        op.bulk_insert(wide, rows)


def _in_order(table: Any, number: Any) -> Iterator[Any]:
    """All rows, some at a time: there may be millions."""
    last = (-1, -1)
    while True:
        after = sa.or_(
            table.c.route_id > last[0],
            sa.and_(table.c.route_id == last[0], number > last[1]),
        )
        order = (table.c.route_id, number)
        wanted = sa.select(table).where(after).order_by(*order).limit(20 * _CHUNK)
        rows = op.get_bind().execute(wanted).all()
        if not rows:
            return
        yield from rows
        last = (rows[-1].route_id, getattr(rows[-1], number.name))


def _fill_places() -> None:
    request = sa.table("request", *map(sa.column, ("id", "outcome", "error", "place")))
    last = -1
    while True:
        # By number alone: with the outcome asked for as well, SQLite sorts all rows every time.
        wanted = sa.select(request.c.id, request.c.outcome, request.c.error).where(
            request.c.id > last, request.c.error.is_not(None)
        )
        rows = op.get_bind().execute(wanted.order_by(request.c.id).limit(_CHUNK)).all()
        if not rows:
            return
        found = [
            {"row_id": row.id, "found": place(row.error)}
            for row in rows
            if row.outcome in ("failed", "slow")
        ]
        if found:
            op.get_bind().execute(
                request.update()
                .where(request.c.id == sa.bindparam("row_id"))
                .values(place=sa.bindparam("found")),
                found,
            )
        last = rows[-1].id


def downgrade() -> None:
    op.create_index(
        "ix_request_application_id_outcome_begun_ns",
        "request",
        ["application_id", "outcome", "begun_ns"],
    )
    op.create_index(None, "request", ["outcome", "begun_ns"])
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_request_search", "request")
    op.drop_index("ix_request_duration", "request")
    op.drop_index("ix_request_listing", "request")
    with op.batch_alter_table("request") as table:
        table.drop_column("place")
    op.drop_table("rollup_day")
    op.drop_table("rollup_hour")
