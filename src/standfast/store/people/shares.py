"""Share links: one report of one application, for whoever has the link, for a time."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, Select, delete, select
from sqlalchemy.exc import IntegrityError

from standfast.errors import StandfastError
from standfast.store.opening import writing
from standfast.store.people_tables import person as person_table
from standfast.store.people_tables import share as share_table

from .accounts import Person

#: No link lasts longer.
SHARE_MOST_S = 365 * 24 * 3600
_SECOND = 1_000_000_000
_ID_BITS = 62


@dataclass(frozen=True)
class Share:
    """A report that was shared. ``since_ns`` and ``until_ns`` bound what it shows; None is open.

    ``id`` is random and fits a signed 64-bit integer; ``made_by`` is a person's name.
    """

    id: int
    app: str
    since_ns: int | None
    until_ns: int | None
    created_ns: int
    expires_ns: int
    made_by: str


def add_share(
    engine: Engine,
    person: Person,
    app: str,
    since_ns: int | None,
    until_ns: int | None,
    lasts_s: float,
    now_ns: int,
) -> Share:
    """Shares what ``person`` sees of ``app`` for ``lasts_s``.

    Raises StandfastError where the person does not see it or the time is none.
    """
    if not person.may_see(app):
        raise StandfastError("Only an application that you see yourself can be shared.")
    if not 0 < lasts_s <= SHARE_MOST_S:
        raise StandfastError("A link lasts for more than no time, and for a year at most.")
    made = Share(
        id=1 + secrets.randbits(_ID_BITS),
        app=app,
        since_ns=since_ns,
        until_ns=until_ns,
        created_ns=now_ns,
        expires_ns=now_ns + int(lasts_s * _SECOND),
        made_by=person.name,
    )
    row = {
        "id": made.id,
        "person_id": person.id,
        "app": app,
        "since_ns": since_ns,
        "until_ns": until_ns,
        "created_ns": now_ns,
        "expires_ns": made.expires_ns,
    }
    try:
        with writing(engine) as connection:
            connection.execute(delete(share_table).where(share_table.c.expires_ns <= now_ns))
            connection.execute(share_table.insert().values(row))
    except IntegrityError:
        raise StandfastError("This account was removed.") from None
    return made


def share(engine: Engine, share_id: int, now_ns: int) -> Share | None:
    """The share with this number; None where it has expired, was withdrawn or never was."""
    if not 0 < share_id < 2**63:  # more than a database can be asked for
        return None
    with engine.connect() as connection:
        row = connection.execute(_valid(now_ns).where(share_table.c.id == share_id)).first()
    return None if row is None else _share(row)


def shares(engine: Engine, app: str, now_ns: int) -> list[Share]:
    """The shares of an application that are valid, the newest first."""
    wanted = _valid(now_ns).where(share_table.c.app == app)
    newest = (share_table.c.created_ns.desc(), share_table.c.id)
    with engine.connect() as connection:
        return [_share(row) for row in connection.execute(wanted.order_by(*newest))]


def remove_share(engine: Engine, share_id: int, app: str) -> None:
    """Withdraws a share of this application; one of another stays."""
    if 0 < share_id < 2**63:
        with writing(engine) as connection:
            connection.execute(
                delete(share_table).where(share_table.c.id == share_id, share_table.c.app == app)
            )


def _valid(now_ns: int) -> Select[Any]:
    return (
        select(share_table, person_table.c.name.label("made_by"))
        .join(person_table, person_table.c.id == share_table.c.person_id)
        .where(share_table.c.expires_ns > now_ns)
    )


def _share(row: Row[Any]) -> Share:
    return Share(
        row.id, row.app, row.since_ns, row.until_ns, row.created_ns, row.expires_ns, row.made_by
    )
