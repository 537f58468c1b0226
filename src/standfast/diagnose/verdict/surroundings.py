"""What happened to an application's other workers on the host around the end of one."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, or_, select

from standfast.store.tables import worker

from .case import Sibling

#: So long before a worker's end the bad end of another may be why its server stopped it, and so
#: long after it others may go down with it.
BEFORE_NS = 15_000_000_000
AFTER_NS = 10_000_000_000
#: So many others are looked at.
_MOST = 64
#: Signals by which a worker is stopped, and not by what it did.
_ORDERLY = frozenset({"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"})


class Surroundings(NamedTuple):
    """``siblings`` ended badly before, ``went_along`` others ended after, ``beside`` lived on."""

    siblings: tuple[Sibling, ...]
    beside: int
    went_along: int


def around(
    connection: Connection, application_id: int, host: str, worker_id: int, died_ns: int
) -> Surroundings:
    """What became of the application's other workers on ``host`` around ``died_ns``."""
    others = (worker.c.host == host) & (worker.c.application_id == application_id)
    others &= worker.c.id != worker_id
    columns = ("pid", "signal", "exit_code", "died_ns")
    ended = connection.execute(
        select(*[worker.c[name] for name in columns])
        .where(others, worker.c.died_ns.between(died_ns - BEFORE_NS, died_ns + AFTER_NS))
        .order_by(worker.c.died_ns)
        .limit(_MOST)
    ).all()
    lived = others & (worker.c.started_ns <= died_ns)
    later = or_(worker.c.died_ns.is_(None), worker.c.died_ns > died_ns + AFTER_NS)
    beside = connection.execute(select(worker.c.id).where(lived, later).limit(_MOST)).all()
    return Surroundings(
        tuple(
            Sibling(*one)
            for one in ended
            if one.died_ns < died_ns
            and (one.exit_code or (one.signal is not None and one.signal not in _ORDERLY))
        ),
        len(beside),
        sum(one.died_ns >= died_ns for one in ended),
    )
