"""The peers: what is measured, each in a process of its own with nothing else loaded.

A peer's module wraps an application: ``wsgi(app)``, ``asgi(app)``. It may say the ``version()`` of
a database that it needs, and ``held()`` gives what it holds where that is not what it sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

App = Callable[..., Any]


class Place(NamedTuple):
    """What the driver has set up for a peer, all of it on this machine.

    ``sink`` is the address of an HTTP server that takes everything, ``database`` the socket of
    a MariaDB server, or empty where there is none.
    """

    folder: str
    sink: str
    database: str


@dataclass(frozen=True)
class Peer:
    """One row of the tables.

    ``environ`` is what its processes are told, with the fields of ``Place`` filled in;
    ``launcher`` is a program of its own that starts Python, ``kinds`` are the interfaces it is
    measured with, ``survivor`` says whether it is also asked what it holds after a crash.
    """

    name: str
    title: str
    module: str
    packages: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("wsgi", "asgi")
    survivor: bool = True
    note: str = ""

    def load(self) -> Any:
        """The module that wraps applications; raises ImportError where its library is missing."""
        return import_module(f"{__name__}.{self.module}")

    def environ_at(self, place: Place) -> dict[str, str]:
        """The environment variables of its processes."""
        return {name: value.format(**place._asdict()) for name, value in self.environ.items()}


_STANDFAST = {"STANDFAST_APP": "bench", "STANDFAST_JOURNAL": "{folder}/journal"}
_SENTRY = {"SENTRY_DSN": "{sink}"}

_ALL = (
    Peer("standfast", "**Standfast**", "standfast", environ=_STANDFAST),
    Peer(
        "standfast-cpu",
        "Standfast, with the CPU time of each request",
        "standfast",
        environ=_STANDFAST | {"STANDFAST_CPU_TIME": "1"},
        survivor=False,
    ),
    Peer(
        "floor",
        "the floor: clock reads and memory copy alone",
        "floor",
        environ={"BENCH_FILE": "{folder}/floor"},
        survivor=False,
        note="Written by hand: the clocks read three times, and bytes of the size of Standfast's "
        "records copied into a mapped file, at the beginning and at the end of a request.",
    ),
    Peer(
        "elastic",
        "elastic-apm",
        "elastic",
        ("elastic-apm",),
        {
            "ELASTIC_APM_SERVER_URL": "{sink}",
            "ELASTIC_APM_SERVICE_NAME": "bench",
            "ELASTIC_APM_CLOUD_PROVIDER": "none",
        },
        note="It has no WSGI middleware that opens a transaction; its client is called as its "
        "own Flask integration calls it.",
    ),
    Peer(
        "newrelic",
        "newrelic",
        "newrelic",
        ("newrelic",),
        {
            "NEW_RELIC_APP_NAME": "bench",
            "NEW_RELIC_LICENSE_KEY": "0" * 40,
            "NEW_RELIC_DEVELOPER_MODE": "true",
            "NEW_RELIC_AUDIT_LOG": "{folder}/audit.log",
        },
        note="Connected in its developer mode, which answers in place of the collector; what "
        "it would have sent is read from its audit log.",
    ),
    Peer(
        "opentelemetry",
        "opentelemetry",
        "otel",
        ("opentelemetry-sdk",),
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "{sink}", "OTEL_SERVICE_NAME": "bench"},
        note="A batch processor with the OTLP exporter over HTTP.",
    ),
    Peer("sentry", "sentry-sdk, no tracing", "sentry", ("sentry-sdk",), _SENTRY, survivor=False),
    Peer(
        "sentry-tracing",
        "sentry-sdk, tracing all",
        "sentry",
        ("sentry-sdk",),
        _SENTRY | {"BENCH_TRACES": "1.0"},
    ),
    Peer(
        "ddtrace",
        "ddtrace",
        "datadog",
        ("ddtrace",),
        {"DD_TRACE_AGENT_URL": "{sink}", "DD_SERVICE": "bench"},
        launcher=("ddtrace-run",),
    ),
    Peer(
        "mariadb",
        "a row per request in MariaDB",
        "rows",
        ("PyMySQL",),
        {"BENCH_MARIADB": "{database}"},
        kinds=("wsgi",),
        note="Insert, commit, update, commit, over a Unix socket to a server with the settings "
        "it ships with. Not measured for ASGI: its driver would block the event loop.",
    ),
    Peer(
        "sqlite",
        "a row per request in SQLite",
        "rows",
        environ={"BENCH_SQLITE": "{folder}/rows.sqlite"},
        kinds=("wsgi",),
        note="The same in a file on this machine's disk, with write-ahead logging.",
    ),
)

PEERS = {peer.name: peer for peer in _ALL}
