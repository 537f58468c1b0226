"""States of the platform that make programs fail."""

from __future__ import annotations

import re
from typing import NamedTuple

from standfast.diagnose.verdict.readings import Readings, cite, number
from standfast.store import evidence
from standfast.store.evidence import Fact


class Condition(NamedTuple):
    """A state of the platform that makes programs fail, and the words by which they complain."""

    cause: str
    kind: str
    words: re.Pattern[str]
    scopes: tuple[str, ...] = ()

    def facts(self, seen: Readings) -> list[Fact]:
        """The facts of this condition close to the end."""
        return [
            fact
            for fact in seen.near(self.kind)
            if not self.scopes or fact.data.get("scope") in self.scopes
        ]


DATABASE = Condition(
    "platform_database_down",
    evidence.DATABASE_DOWN,
    re.compile(
        r"OperationalError|InterfaceError|psycopg|pymysql|MySQLdb|mariadb|asyncpg|"
        r"Connection ?refused|Can't connect|could not connect|server has gone away|"
        r"No route to host|Lost connection",
        re.I,
    ),
)
DISK_FULL = Condition(
    "platform_disk_full",
    evidence.DISK_FULL,
    re.compile(r"No space left on device|ENOSPC|Errno 28\b|Disk quota exceeded|disk is full", re.I),
)
READ_ONLY = Condition(
    "platform_disk_read_only",
    evidence.DISK_READ_ONLY,
    re.compile(r"Read-only file system|EROFS|Errno 30\b|readonly database", re.I),
)
NO_FILES = Condition(
    "platform_no_files",
    evidence.NO_FILES,
    re.compile(r"Too many open files|ENFILE|Errno 2[34]\b", re.I),
    ("host",),
)
NO_PROCESSES = Condition(
    "platform_no_processes",
    evidence.NO_PROCESSES,
    re.compile(r"can't start new thread|Cannot (?:fork|allocate)|EAGAIN|Errno 11\b", re.I),
)
CONDITIONS = (DATABASE, DISK_FULL, READ_ONLY, NO_FILES, NO_PROCESSES)


def explained_by_platform(seen: Readings) -> list[str]:
    """What was wrong with the platform and may explain why a program gave up. An exception that
    names something else clears it."""
    found = []
    for condition in CONDITIONS:
        if seen.exception is None or condition.words.search(seen.texts):
            found += [cite(fact) for fact in condition.facts(seen)]
    return found


_MANY_THREADS = 100


def threads_made(seen: Readings) -> list[str]:
    """What says that the worker itself made very many threads: half of all that it may, or more."""
    rise = seen.rise("threads")
    limits = [number(fact.data, "limit") for fact in seen.near(evidence.NO_PROCESSES)]
    many = min([_MANY_THREADS, *[limit / 2 for limit in limits if limit]])
    if rise is None or seen.curve is None or rise[1] - rise[0] < many:
        return []
    words = f"The worker's threads went from {rise[0]:.0f} to {rise[1]:.0f}"
    return [cite(seen.curve, words)]
