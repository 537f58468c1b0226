"""What servers write into their logs about the ends of their workers.

The wordings are those of gunicorn (arbiter.py, 20 to 27), uWSGI (core/master.c,
core/master_checks.c, core/utils.c, 2.0) and PHP-FPM (fpm_children.c, fpm_request.c, 7 and 8).
Each is looked for where a line of that server starts and nowhere else: the rest of a line may be
a client's words.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from standfast.store.evidence import EXIT, LOG, TIMEOUT
from standfast.watch.facts import signal_name

#: So many lines belong to one entry at most: a traceback, a backtrace.
_LINES = 200


@dataclass
class Entry:
    """What a log says of one process; ``at_ns`` is None where the line has no time."""

    kind: str
    pid: int
    at_ns: int | None
    lines: list[str]
    data: dict[str, Any] = field(default_factory=dict)


class _Rule(NamedTuple):
    """``pattern`` names the groups ``pid`` and ``time``, and what ``data`` takes its values from.
    Lines after it that match ``more`` belong to it."""

    kind: str
    pattern: re.Pattern[str]
    clock: Callable[[str], int]
    more: re.Pattern[str] | None = None


class LogReader:
    """Finds the entries in the lines of one log."""

    def __init__(self) -> None:
        self._open: tuple[Entry, re.Pattern[str]] | None = None

    def read(self, line: bytes) -> Entry | None:
        """The entry that starts with this line, if one does; later lines may be added to it."""
        if self._open is None and not _WORTH_A_LOOK.search(line):
            return None
        text = line.decode("utf-8", "backslashreplace").rstrip("\r")
        if self._open is not None:
            entry, more = self._open
            if more.match(text) and len(entry.lines) < _LINES:
                entry.lines.append(text)
                return None
            self._open = None
        for rule in _RULES:
            match = rule.pattern.match(text)
            if match:
                entry = Entry(rule.kind, int(match["pid"]), _at_ns(rule, match), [text])
                entry.data = _data(match.groupdict())
                if rule.more is not None:
                    self._open = entry, rule.more
                return entry
        return None


def _at_ns(rule: _Rule, match: re.Match[str]) -> int | None:
    if match["time"] is None:
        return None
    try:
        return rule.clock(match["time"])
    except (ValueError, OverflowError):
        return None


def _data(found: dict[str, str | None]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if name := found.get("signal_name"):
        data["signal"] = name
    elif number := found.get("signal"):
        data["signal"] = signal_name(int(number))
    if code := found.get("code"):
        data["exit_code"] = int(code)
    if seconds := found.get("seconds"):
        data["elapsed_s"] = float(seconds)
    return data


def _with_zone(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").timestamp()) * 1_000_000_000


def _ctime(text: str) -> int:
    return int(time.mktime(time.strptime(text, "%a %b %d %H:%M:%S %Y"))) * 1_000_000_000


def _php(text: str) -> int:
    return int(time.mktime(time.strptime(text[:20], "%d-%b-%Y %H:%M:%S"))) * 1_000_000_000


_PID = r"(?P<pid>\d{1,10})"
_GUNICORN = r"\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})\] "
_MASTER = _GUNICORN + r"\[\d+\] \[\w+\] "
_UWSGI = r"(?:(?P<time>\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}) - )?"
_FPM = r"\[(?P<time>\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d)(?:\.\d+)?\] \w+: \[pool [^\]]+\] child "


def _gunicorn(kind: str, pattern: str, more: str | None = None) -> _Rule:
    return _Rule(kind, re.compile(pattern), _with_zone, re.compile(more) if more else None)


def _uwsgi(kind: str, pattern: str, more: str | None = None) -> _Rule:
    return _Rule(kind, re.compile(_UWSGI + pattern), _ctime, re.compile(more) if more else None)


def _fpm(kind: str, pattern: str) -> _Rule:
    return _Rule(kind, re.compile(_FPM + pattern), _php)


_WORTH_A_LOOK = re.compile(rb"pid|Worker|worker process|child|backtrace")
_RULES = (
    _gunicorn(TIMEOUT, _MASTER + rf"WORKER TIMEOUT \(pid:{_PID}\)"),
    _gunicorn(EXIT, _MASTER + rf"Worker \(pid:{_PID}\) was sent (?P<signal_name>SIG\w{{1,16}})!"),
    _gunicorn(EXIT, _MASTER + rf"Worker \(pid:{_PID}\) exited with code (?P<code>\d{{1,3}})"),
    _gunicorn(
        EXIT,
        _MASTER + rf"Worker with pid {_PID} was terminated due to signal (?P<signal>\d{{1,3}})",
    ),
    _gunicorn(
        LOG,
        _GUNICORN + rf"\[{_PID}\] \[ERROR\] Exception in worker process",
        # The traceback, up to the next line of the log.
        r"(?!\[\d{4}-\d\d-\d\d )",
    ),
    _uwsgi(
        EXIT,
        rf"DAMN ! worker \d+ \(pid: {_PID}\) (?:died,|M[IY]STERIOUSLY) killed by signal"
        r" (?P<signal>\d{1,3})",
    ),
    _uwsgi(LOG, rf"DAMN ! worker \d+ \(pid: {_PID}\) died :\("),
    _uwsgi(
        TIMEOUT,
        rf"\*\*\* HARAKIRI ON WORKER \d+ \(pid: {_PID}, try: \d+\) \*\*\*",
        # Which requests were served, and where in the kernel it stood.
        _UWSGI + "HARAKIRI",
    ),
    _uwsgi(
        LOG,
        rf"\*\*\* backtrace of {_PID} \*\*\*",
        r"(?!\*\*\* end of backtrace)",
    ),
    _uwsgi(LOG, rf"worker \d+ \(pid: {_PID}\) is taking too much time to die\.\.\.NO MERCY !!!"),
    _uwsgi(LOG, rf"OOPS ! failed loading app in worker \d+ \(pid {_PID}\)"),
    _fpm(EXIT, rf"{_PID} exited on signal (?P<signal>\d{{1,3}}) \("),
    _fpm(EXIT, rf"{_PID} exited with code (?P<code>\d{{1,3}}) after"),
    _fpm(
        TIMEOUT,
        rf"{_PID}, script '.*execution timed out \((?P<seconds>\d{{1,9}}\.\d{{1,9}}) sec\),"
        r" terminating$",
    ),
)
