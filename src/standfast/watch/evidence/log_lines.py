"""What servers write into their logs about the ends of their workers.

The wordings are those of gunicorn (arbiter.py, 20 to 27), uvicorn (server.py, 0.20 to 0.54), uWSGI
(core/master.c, core/master_checks.c, core/utils.c, 2.0) and PHP-FPM (fpm_children.c, fpm_request.c,
7 and 8). hypercorn and waitress write nothing when they are told to stop. Each is looked for where
a line of that server starts and nowhere else: the rest of a line may be a client's words.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from standfast.store.evidence import EXIT, LOG, MASTER_SIGNAL, TIMEOUT
from standfast.watch.facts import signal_name

#: So many lines belong to one entry at most: a traceback, a backtrace.
_LINES = 200


@dataclass
class Entry:
    """What a log says of one process; ``at_ns`` is None where the line has no time. With
    ``of_children`` it is about those that this process has started."""

    kind: str
    pid: int
    at_ns: int | None
    lines: list[str]
    data: dict[str, Any] = field(default_factory=dict)
    of_children: bool = False


class _Rule(NamedTuple):
    """``pattern`` names the groups ``time``, where the line has one, ``pid`` or ``master`` (it is
    about the children of that one), and what ``data`` takes its values from; a line without either
    is about the only process that serves. Lines after it that match ``more`` belong to it."""

    kind: str
    pattern: re.Pattern[str]
    clock: Callable[[str], int]
    more: re.Pattern[str] | None = None


class LogReader:
    """Finds the entries in the lines of one log. ``serving`` are the processes of uvicorn that have
    said that they started, and not that they finished: its other lines do not name theirs."""

    def __init__(self) -> None:
        self.serving: set[int] = set()
        self._open: tuple[Entry, re.Pattern[str]] | None = None
        self._at_limit = False

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
                return self._entry(rule, match, text)
        if found := _UVICORN_SAYS.match(text):
            self._see_uvicorn(found)
        return None

    def _entry(self, rule: _Rule, match: re.Match[str], text: str) -> Entry | None:
        found = match.groupdict()
        pid = found.get("pid") or found.get("master") or self._only_one()
        if pid is None:
            return None
        entry = Entry(rule.kind, int(pid), _at_ns(rule, found.get("time")), [text], _data(found))
        entry.of_children = "master" in found
        if rule.more is not None:
            self._open = entry, rule.more
        return entry

    def _only_one(self) -> int | None:
        is_told, self._at_limit = not self._at_limit, False
        return next(iter(self.serving)) if is_told and len(self.serving) == 1 else None

    def _see_uvicorn(self, said: re.Match[str]) -> None:
        if started := said["started"]:
            self.serving.add(int(started))
        elif finished := said["finished"]:
            self.serving.discard(int(finished))
        else:
            self._at_limit = True


def _at_ns(rule: _Rule, time: str | None) -> int | None:
    if time is None:
        return None
    try:
        return rule.clock(time)
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
    if order := found.get("order"):
        data["reason"] = _ORDERS.get(order, "stop")
    return data


def _with_zone(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").timestamp()) * 1_000_000_000


def _ctime(text: str) -> int:
    return int(time.mktime(time.strptime(text, "%a %b %d %H:%M:%S %Y"))) * 1_000_000_000


def _php(text: str) -> int:
    return int(time.mktime(time.strptime(text[:20], "%d-%b-%Y %H:%M:%S"))) * 1_000_000_000


#: What gunicorn's master does at a signal that it names so, where it is not to stop.
_ORDERS = {"hup": "reload"}

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


#: Its usual format, which has neither time nor process.
_UVICORN = r"INFO: {5}"
_UVICORN_SAYS = re.compile(
    _UVICORN + r"(?:Started server process \[(?P<started>\d{1,10})\]$"
    r"|Finished server process \[(?P<finished>\d{1,10})\]$"
    r"|Maximum request limit of \d{1,10} exceeded\. )"
)

_WORTH_A_LOOK = re.compile(
    rb"pid|Worker|worker process|child|backtrace|Handling signal"
    rb"|^INFO: {5}(?:Started|Finished|Shutting|Maximum)"
)
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
    _gunicorn(
        MASTER_SIGNAL,
        _GUNICORN + r"\[(?P<master>\d{1,10})\] \[INFO\] "
        r"Handling signal: (?P<order>term|int|quit|hup)$",
    ),
    _Rule(
        MASTER_SIGNAL,
        re.compile(_UVICORN + "(?P<order>Shutting down)$"),
        _with_zone,
        re.compile(_UVICORN + "Waiting for "),
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
