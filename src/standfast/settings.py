"""What the owner may set: flags, then ``STANDFAST_*``, then ``standfast.toml``, then defaults."""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from standfast.errors import UsageError
from standfast.journal.files import default_folder
from standfast.journal.format import SEGMENT_SIZE
from standfast.journal.limit import parse_size

FILE = "standfast.toml"
#: In bytes; a file of settings has a few lines.
_FILE_LIMIT = 2**20
DAY_S = 86_400.0
#: Requests do not pass more proxies.
HOPS_LIMIT = 20


@dataclass(frozen=True)
class Settings:
    """Every setting; docs/settings.md describes them.

    ``store`` is a path or an SQLAlchemy URL. ``slow_s_by_app`` has the exceptions from
    ``slow_s`` by application. ``journal_limit`` is in bytes, empty for the default.
    """

    app: str
    journal: str
    store: str
    slow_s: float = 1.0
    mask: tuple[str, ...] = ()
    truncate_clients: bool = False
    cpu_time: bool = False
    revision: str = ""
    keep_ordinary_s: float = 3600.0
    keep_slow_s: float = 14 * DAY_S
    keep_failed_s: float = 30 * DAY_S
    keep_incidents_s: float = 90 * DAY_S
    keep_minutes_s: float = 8 * DAY_S
    keep_hours_s: float = 90 * DAY_S
    keep_days_s: float = 730 * DAY_S
    slow_s_by_app: Mapping[str, float] = field(default_factory=dict)
    server_logs: tuple[str, ...] = ()
    hang_s: float = 60.0
    sample_s: float = 0.5
    database: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy_hops: int = HOPS_LIMIT
    journal_limit: str = ""


def load(
    flags: Mapping[str, str | None],
    config: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings in force. ``flags`` are those given on the command line, by name.

    ``config`` names the file; without it, STANDFAST_CONFIG does, or standfast.toml in the
    current folder is read if it is there. Raises UsageError, which names the file and line or
    the variable.
    """
    values = _from_file(config or environ.get("STANDFAST_CONFIG"))
    for name, read in _READERS.items():
        variable = f"STANDFAST_{name.upper()}"
        if environ.get(variable):
            values[name] = _from_variable(variable, environ[variable], read)
    for name, value in flags.items():
        if value is not None:
            try:
                values[name] = _READERS[name](value)
            except ValueError as error:
                raise UsageError(f"--{name} {value!a} should be {error}.") from None
    try:
        values.setdefault("app", _in_utf_8(Path.cwd().name) or "app")
        values.setdefault("journal", default_folder())
        values.setdefault("store", str(Path(values["journal"]).absolute().parent / "store.db"))
    except FileNotFoundError:
        raise UsageError("The current folder is there no more: change into another one.") from None
    return Settings(**values)


def _in_utf_8(text: str) -> str:
    """The text with a mark in the place of each byte that is not UTF-8."""
    return os.fsencode(text).decode("utf-8", "replace")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("a text that is not empty, in UTF-8 and without control characters")
    return value


def _path(value: Any) -> str:
    # The name of a file may be anything but empty and with NUL.
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("a path that is not empty and without NUL")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise ValueError("a number of seconds above 0")
    return float(value)


def _address(value: Any) -> str:
    problem = ValueError("the address of a database, as in mysql://db1:3306/")
    try:
        parts = urlsplit(_text(value))
        if parts.hostname and (parts.port or parts.scheme):
            return str(value)
    except ValueError:
        raise problem from None
    raise problem


def _size(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        value = ""
    size = parse_size(str(value))
    if size < SEGMENT_SIZE:
        raise ValueError("at least 4M, which is one file of a worker")
    return str(size)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _names(value: Any) -> tuple[str, ...]:
    return _texts(value, 'a list of names such as ["customer_no", "iban"]')


def _paths(value: Any) -> tuple[str, ...]:
    return _texts(value, 'a list of paths such as ["/var/log/gunicorn.log"]')


def _proxies(value: Any) -> tuple[str, ...]:
    wanted = 'a list of addresses, networks or "unix", such as ["127.0.0.1", "10.0.0.0/8"]'
    proxies = _texts(value, wanted)
    for proxy in proxies:
        if proxy != "unix":
            try:
                ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError(wanted) from None
    return proxies


def _hops(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= HOPS_LIMIT:
        raise ValueError(f"a number of proxies from 1 to {HOPS_LIMIT}")
    return value


def _texts(value: Any, wanted: str) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [None]
    if all(isinstance(text, str) and text and "\0" not in text for text in texts):
        return tuple(value)
    raise ValueError(wanted)


#: How each setting is checked; the errors say what it should have been.
_READERS: dict[str, Callable[[Any], Any]] = {
    "app": _text,
    "journal": _path,
    "store": _path,
    "slow_s": _seconds,
    "mask": _names,
    "truncate_clients": _yes_or_no,
    "cpu_time": _yes_or_no,
    "revision": _text,
    "keep_ordinary_s": _seconds,
    "keep_slow_s": _seconds,
    "keep_failed_s": _seconds,
    "keep_incidents_s": _seconds,
    "keep_minutes_s": _seconds,
    "keep_hours_s": _seconds,
    "keep_days_s": _seconds,
    "server_logs": _paths,
    "hang_s": _seconds,
    "sample_s": _seconds,
    "database": _address,
    "trusted_proxies": _proxies,
    "proxy_hops": _hops,
    "journal_limit": _size,
}


def _from_variable(variable: str, text: str, read: Callable[[Any], Any]) -> Any:
    value: Any = text
    if read is _seconds:
        try:
            value = float(text)
        except ValueError:
            value = None
    elif read is _hops:
        value = int(text) if text.isdecimal() and len(text) < 4 else None
    elif read in (_names, _paths, _proxies):
        value = [name.strip() for name in text.split(",") if name.strip()]
    elif read is _yes_or_no:
        words = {"1": True, "true": True, "yes": True, "on": True}
        words |= {"0": False, "false": False, "no": False, "off": False}
        value = words.get(text.strip().lower())
    try:
        return read(value)
    except ValueError as error:
        raise UsageError(f"{variable}={text!r} should be {error}.") from None


def _from_file(named: str | None) -> dict[str, Any]:
    path = Path(named or FILE)
    try:
        source = _read(path)
    except FileNotFoundError:
        if named:
            raise UsageError(f"{path}: there is no such file.") from None
        return {}
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValueError as error:  # not UTF-8, or NUL in the name
        raise UsageError(f"{path}: cannot be read: {error}.") from None
    try:
        tables = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}.") from None
    except RecursionError:
        raise UsageError(f"{path}: too deeply nested.") from None
    return _checked(tables, path, source)


def _read(path: Path) -> str:
    """The file's text. Raises OSError, and ValueError where it is none."""
    # Without waiting: it may be a FIFO that nobody writes to.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError("it is not a file")
    with os.fdopen(fd, "rb") as file:
        data = file.read(_FILE_LIMIT + 1)
    if len(data) > _FILE_LIMIT:
        raise ValueError(f"it is larger than {_FILE_LIMIT // 2**20} MiB")
    return data.decode("utf-8")


def _checked(tables: dict[str, Any], path: Path, source: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    by_app: dict[str, float] = {}
    for name, value in tables.items():
        if name == "apps" and isinstance(value, dict):
            for app, own in value.items():
                if not isinstance(own, dict):
                    raise UsageError(f"{_place(path, source, app)}: write [apps.{app}] as a table.")
                for key, one in own.items():
                    if key != "slow_s":
                        raise _unknown(path, source, key, ["slow_s"])
                    by_app[app] = _value(path, source, key, one)
        elif name not in _READERS:
            raise _unknown(path, source, name, [*_READERS, "apps"])
        else:
            values[name] = _value(path, source, name, value)
    for name in ("journal", "store"):
        # Paths in a file are meant from where the file lies, wherever the command is run.
        if name in values and "://" not in values[name]:
            values[name] = str(path.absolute().parent / values[name])
    if "server_logs" in values:
        folder = path.absolute().parent
        values["server_logs"] = tuple(str(folder / log) for log in values["server_logs"])
    return {**values, "slow_s_by_app": by_app}


def _value(path: Path, source: str, key: str, value: Any) -> Any:
    try:
        return _READERS[key](value)
    except ValueError as error:
        raise UsageError(f"{_place(path, source, key)}: {key} should be {error}.") from None


def _unknown(path: Path, source: str, key: str, known: list[str]) -> UsageError:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
    return UsageError(f"{_place(path, source, key)}: there is no setting {key!r}; {hint}")


def _place(path: Path, source: str, key: str) -> str:
    """The file and the line on which ``key`` stands: the TOML reader tells only values."""
    wanted = re.compile(rf"""\s*(\[.*?)?["']?{re.escape(key)}["']?\s*[=.\]]""")
    for number, line in enumerate(source.splitlines(), 1):
        if wanted.match(line):
            return f"{path}, line {number}"
    return str(path)
