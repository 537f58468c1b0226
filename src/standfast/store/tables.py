"""The tables of the store.

Times are nanoseconds since the epoch (``_ns``), sizes are bytes. Cost grows with what goes wrong:
an ordinary request leaves a small row that expires and its share of a roll-up for ever, an
unfinished, slow or failed one is kept whole in ``request``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
    or_,
    true,
)

from standfast.journal.format import split_fields

from .dialect import BIG_ID, LONG_BYTES, LONG_TEXT
from .places import PLACE_LIMIT

#: Outcomes of a request that is kept whole. ``open`` covers what is in flight.
OPEN = "open"
UNFINISHED = "unfinished"
SLOW = "slow"
FAILED = "failed"

NAME_LIMIT = 255
TEMPLATE_LIMIT = 255

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

application = Table(
    "application",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(NAME_LIMIT), nullable=False, unique=True),
)

#: One process. ``read_segment`` and ``read_offset`` say where the watcher goes on reading its
#: journal; they change in the transaction that stores what was read. ``signal`` is a name such
#: as SIGSEGV, ``exit_code`` is set where there was no signal; both are null where nobody knows.
#: ``lost`` requests could not be recorded, ``damaged`` stretches of the journal not be read, and
#: ``left_out`` requests were open at once beyond those of which rows are kept, or were forgotten.
#: ``master`` says that it has told of workers of its own.
worker = Table(
    "worker",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(32), nullable=False),
    Column("application_id", ForeignKey("application.id"), nullable=False),
    Column("host", String(NAME_LIMIT), nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("pid_namespace", BigInteger, nullable=False),
    Column("start_ticks", BigInteger, nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("server", String(NAME_LIMIT), nullable=False),
    Column("revision", String(NAME_LIMIT), nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("last_seen_ns", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False, default=0, server_default="0"),
    Column("read_segment", BigInteger, nullable=False, default=1, server_default="1"),
    Column("read_offset", BigInteger, nullable=False, default=0, server_default="0"),
    Column("damaged", Integer, nullable=False, default=0, server_default="0"),
    Column("damaged_bytes", BigInteger, nullable=False, default=0, server_default="0"),
    Column("left_out", BigInteger, nullable=False, default=0, server_default="0"),
    Column("master", Boolean, nullable=False, default=False, server_default=false()),
    Column("died_ns", BigInteger),
    Column("signal", String(16)),
    Column("exit_code", Integer),
    Column("fault", LONG_TEXT),
    # The same process may serve two applications.
    UniqueConstraint("uid", "application_id"),
    Index(None, "application_id", "started_ns"),
    Index(None, "host", "died_ns"),
    Index(None, "died_ns"),
    Index(None, "pid", "start_ticks"),
)

#: What a pre-forking master saw of a child that has no row in ``worker`` yet. ``code`` from 0 up
#: is an exit code, -N is signal N; ``worker`` says that it was there to serve requests,
#: ``recorded`` that the recorder could see them.
pending_exit = Table(
    "pending_exit",
    metadata,
    Column("reporter_id", ForeignKey("worker.id"), primary_key=True),
    Column("pid", BigInteger, primary_key=True, autoincrement=False),
    Column("start_ticks", BigInteger, primary_key=True, autoincrement=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("code", Integer, nullable=False),
    Column("worker", Boolean, nullable=False, default=False, server_default=false()),
    Column("recorded", Boolean, nullable=False, default=True, server_default=true()),
    Index(None, "pid", "start_ticks"),
)

#: What a master sent to a worker that has no row yet; see ``journal.format.Signal``.
pending_signal = Table(
    "pending_signal",
    metadata,
    Column("reporter_id", ForeignKey("worker.id"), primary_key=True),
    Column("pid", BigInteger, primary_key=True, autoincrement=False),
    Column("start_ticks", BigInteger, primary_key=True, autoincrement=False),
    Column("wall_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("signal", Integer, nullable=False),
    Column("reason", Integer, nullable=False),
    Column("timeout_ns", BigInteger),
    Index(None, "pid", "start_ticks"),
)

#: A path with its variable parts folded, such as ``/order/{int}``; ``kind`` is http or websocket.
route = Table(
    "route",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("application_id", ForeignKey("application.id"), nullable=False),
    Column("kind", String(10), nullable=False, default="http", server_default="http"),
    Column("template", String(TEMPLATE_LIMIT), nullable=False),
    UniqueConstraint("application_id", "kind", "template"),
)

#: Errors that were logged in requests that did not fail, by where they come from: how often, when
#: first and last (nanoseconds of the epoch), and the last one's text.
logged_error = Table(
    "logged_error",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("route_id", ForeignKey("route.id"), nullable=False),
    Column("place", String(PLACE_LIMIT), nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first_ns", BigInteger, nullable=False),
    Column("last_ns", BigInteger, nullable=False),
    Column("error", LONG_TEXT, nullable=False),
    UniqueConstraint("route_id", "place"),
    Index(None, "last_ns"),
)

#: Kinds of incident: a worker has died, or hangs and has not been ended by anybody.
DEATH = "death"
HANG = "hang"

#: The death of one worker that took requests along or was no orderly end, or its hang.
#: ``died_ns`` is when it died or was found to hang; a hang that ends in death becomes one.
incident = Table(
    "incident",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("worker_id", ForeignKey("worker.id"), nullable=False, unique=True),
    Column("application_id", ForeignKey("application.id"), nullable=False),
    Column("died_ns", BigInteger, nullable=False),
    Column("kind", String(10), nullable=False, default=DEATH, server_default=DEATH),
    Index(None, "application_id", "died_ns"),
    Index(None, "died_ns"),
)

#: What was seen of a worker and its end, see ``store.evidence``; ``data`` is a JSON object.
evidence = Table(
    "evidence",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("worker_id", ForeignKey("worker.id"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("source", String(64), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("text", LONG_TEXT, nullable=False),
    Column("data", LONG_TEXT, nullable=False),
    UniqueConstraint("worker_id", "kind", "source", "at_ns"),
)

#: What lists of requests are filtered and grouped by.
_LISTED = ("route_id", "place", "status", "worker_id")
#: The texts in which a search looks.
SEARCHED = ("uri", "client", "user_agent")

#: Requests kept whole. ``duration_ns`` ends with the response; ``background_ns`` is what the
#: application's code ran on after it. An open row with a duration has its response complete and
#: runs on, or (``aborted``) was torn out by SystemExit and waits for its worker's death. The
#: texts are the client's and not to be trusted; ``cut`` says that one was over its limit.
#: ``place`` says where the error comes from, see ``store.places``.
request = Table(
    "request",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("application_id", ForeignKey("application.id"), nullable=False),
    Column("worker_id", ForeignKey("worker.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("route_id", ForeignKey("route.id"), nullable=False),
    Column("incident_id", ForeignKey("incident.id")),
    Column("outcome", String(10), nullable=False),
    Column("begun_ns", BigInteger, nullable=False),
    Column("duration_ns", BigInteger),
    Column("background_ns", BigInteger),
    Column("cpu_ns", BigInteger),
    Column("status", Integer),
    Column("sent", BigInteger),
    Column("kind", String(10), nullable=False),
    Column("method", LONG_TEXT, nullable=False),
    Column("uri", LONG_TEXT, nullable=False),
    Column("client", LONG_TEXT, nullable=False),
    # The address of the connection, where that is a trusted proxy and not the client.
    Column("peer", LONG_TEXT),
    Column("forwarded_for", LONG_TEXT, nullable=False),
    Column("host", LONG_TEXT, nullable=False),
    Column("user_agent", LONG_TEXT, nullable=False),
    Column("thread", BigInteger, nullable=False),
    Column("error", LONG_TEXT),
    Column("place", String(PLACE_LIMIT)),
    Column("cut", Boolean, nullable=False),
    Column("aborted", Boolean, nullable=False, default=False, server_default=false()),
    UniqueConstraint("worker_id", "seq"),
    # Not with IN: SQLite would build a table of the four for each row.
    CheckConstraint(
        "outcome = 'slow' OR outcome = 'failed' OR outcome = 'open' OR outcome = 'unfinished'",
        name="outcome",
    ),
    # Lists are filtered, counted and grouped in this, and not in the wide rows. It serves the
    # watcher too, which looks for what is open; an index by outcome and time alone would be taken
    # for lists, and lead through the rows of all other applications.
    Index("ix_request_listing", "outcome", "application_id", "begun_ns", "duration_ns", *_LISTED),
)


def _of_few(name: str, columns: Sequence[Column[Any]], where: ColumnElement[bool]) -> Index:
    """An index of some rows only: the others cost nothing when they are stored. MariaDB has none
    such, and so all rows are in it."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


#: The longest come first in the list of what was slow.
_of_few(
    "ix_request_duration",
    [
        request.c[name]
        for name in ("application_id", "outcome", "duration_ns", "begun_ns", *_LISTED)
    ],
    request.c.outcome == SLOW,
)
#: The requests of a worker that are open, looked for at every reading, or were when it died.
_of_few(
    "ix_request_unended",
    [request.c.worker_id, request.c.outcome, request.c.seq],
    or_(request.c.outcome == OPEN, request.c.outcome == UNFINISHED),
)
#: The last errors of a worker, of which its death may tell.
_of_few(
    "ix_request_failed",
    [request.c.worker_id, request.c.begun_ns, request.c.place],
    request.c.outcome == FAILED,
)
#: What was in flight in an incident, and on which routes.
_of_few(
    "ix_request_incident",
    [request.c.incident_id, request.c.begun_ns, request.c.route_id],
    request.c.incident_id.is_not(None),
)

#: Raw rows of ordinary requests: appended in the order of storing, deleted from the front when
#: their time is over. ``raw`` holds the six texts of the begin record as they stood in the
#: journal (see ``texts_of``). Without foreign keys: each row would look up two, and each worker
#: that leaves the store would read all of these rows.
ordinary_request = Table(
    "ordinary_request",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("begun_ns", BigInteger, nullable=False),
    Column("duration_ns", BigInteger, nullable=False),
    Column("route_id", Integer, nullable=False),
    Column("worker_id", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("status", Integer),
    Column("raw", LONG_BYTES, nullable=False),
    Index(None, "route_id"),
)


def _rollup(name: str, span: str) -> Table:
    return Table(
        name,
        metadata,
        Column("route_id", ForeignKey("route.id"), primary_key=True, autoincrement=False),
        Column(span, BigInteger, primary_key=True, autoincrement=False),
        Column("count", BigInteger, nullable=False),
        Column("failed", BigInteger, nullable=False),
        Column("slow", BigInteger, nullable=False),
        Column("duration_ns", BigInteger, nullable=False),
        Column("cpu_ns", BigInteger),
        Column("sent", BigInteger, nullable=False),
        Column("sketch", LONG_BYTES, nullable=False),
    )


#: Every closed request of a route, counted per minute (of the epoch, by when it began).
#: ``sketch`` holds the durations, see ``store.sketch``; ``cpu_ns`` and ``sent`` are sums over
#: the requests of which they are known.
rollup = _rollup("rollup", "minute")
#: The same per hour and per day: a month is added up from these while somebody waits.
rollup_hour = _rollup("rollup_hour", "hour")
rollup_day = _rollup("rollup_day", "day")


def texts_of(raw: bytes) -> list[str]:
    """The six texts in ``raw``: client, method, URI, host, forwarded-for, user agent."""
    texts = split_fields(raw)
    texts[-1] = texts[-1].replace("\0", "\\0")
    return texts
