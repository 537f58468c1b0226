"""Opening a store: its address, its settings, its version.

A store carries the number of the last migration that it went through. One that is older than
the program is brought up to date when it is opened, one that is newer is refused.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from standfast.errors import StandfastError

from .dialect import BINARY_TEXTS, with_driver

#: The migration that this program's tables stand for.
REVISION = "0013"
#: How long a statement waits for another process that holds SQLite's lock, in seconds.
LOCK_WAIT_S = 5.0
_PASSWORD = re.compile(r"://.*@")
_MIGRATIONS = Path(__file__).parent / "migrations"


def open_store(url: str, *, create: bool = True, update: bool = True) -> Engine:
    """The store at ``url``, a path or an SQLAlchemy URL, with its tables up to date.

    With ``create`` false a SQLite file has to be there already; with ``update`` false a store of
    another version is refused: who only reads changes nothing. Raises StandfastError, which says
    what to do, where the store cannot be opened or is not one.
    """
    address = _address(url)
    shown = address.render_as_string()  # without the password
    path = address.database if shown.startswith("sqlite") else None
    if path:
        _prepare_file(Path(path), create)
    try:
        engine = create_engine(address)
    except NoSuchModuleError:
        raise StandfastError(
            f"store {shown}: not a database that standfast knows; it knows SQLite, mysql:// and"
            " postgresql://"
        ) from None
    except ImportError as error:
        raise StandfastError(
            f"store {shown}: its driver is missing; `pip install {error.name}` beside standfast"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    shown = path or shown
    try:
        _bring_up_to_date(engine, shown, update)
    except SQLAlchemyError as error:
        engine.dispose()
        raise StandfastError(f"store {shown}: {_plainly(error)}") from error
    except StandfastError:
        engine.dispose()
        raise
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write, committed at the end, rolled back by an exception.

    SQLite is told so at the start: a transaction that begins by reading can no longer wait for
    another writer when it comes to its first write.
    """
    with (
        engine.connect().execution_options(standfast_writes=True) as connection,
        connection.begin(),
    ):
        yield connection


def _address(url: str) -> URL:
    in_memory = StandfastError(
        "a store in memory, or without a name, is nobody else's: name a file with --store"
    )
    try:
        url.encode()
    except UnicodeEncodeError:
        raise StandfastError(
            f"store {url!a}: a store has a name in UTF-8; give another one with --store"
        ) from None
    if "://" not in url:
        if url in ("", ":memory:"):
            raise in_memory
        return URL.create("sqlite", database=url)
    try:
        address = with_driver(make_url(url))
        if address.get_backend_name() == "sqlite" and (
            address.database in (None, "", ":memory:") or "mode" in address.query
        ):
            raise in_memory
        return address
    except (ArgumentError, ValueError):
        raise StandfastError(
            f"store {_PASSWORD.sub('://***@', url)}: not an address; give a path or for example"
            " sqlite:////var/lib/x.db"
        ) from None


def _make_folder(folder: Path) -> None:
    """Makes the store's folder, for this user alone, where it is not there.

    Others may pass through root's, but not list it: the folder of the journals lies in it, and
    applications of other users record there.
    """
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        folder.chmod(0o711)


def _prepare_file(path: Path, create: bool) -> None:
    """Makes the file, for its owner's eyes only: it holds personal data."""
    try:
        if not create:
            if not path.exists():
                raise StandfastError(
                    f"store {path}: not there yet; `standfast watch` makes it, or name another"
                    " one with --store"
                )
            return
        _make_folder(path.parent)
        # A file that is there is not touched: to close it here would take away the locks that
        # this process holds on it through SQLite, and with them what others write next.
        with suppress(FileExistsError):
            os.close(os.open(path.resolve(), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, RuntimeError) as error:  # RuntimeError is a loop of links
        words = getattr(error, "strerror", None) or "a loop of links"
        raise StandfastError(
            f"store {path}: {words}; give a place that this user may write to with --store"
        ) from None


def _set_up_sqlite(dbapi: Any, _record: object) -> None:
    # No implicit transactions by the driver: they begin where SQLAlchemy says so, see below.
    dbapi.isolation_level = None
    for setting in (
        f"busy_timeout={int(LOCK_WAIT_S * 1000)}",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        # What is deleted is overwritten where that writes no further page. What is left of it in
        # free pages, the next rows overwrite or `standfast forget` does.
        "secure_delete=FAST",
        # A batch of the watcher fits into memory, and several of them into the log, so that
        # each page is written to it once and from it seldom: a sixth of the time of ingestion.
        "cache_size=-16000",
        "wal_autocheckpoint=8000",
    ):
        dbapi.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("standfast_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _bring_up_to_date(engine: Engine, shown: str, update: bool) -> None:
    with engine.connect() as connection:
        version = _version(connection, shown)
    if version == REVISION:
        return
    # Alembic takes longer to load than most commands take to run.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version and version not in known:
        raise StandfastError(
            f"store {shown}: written by a newer Standfast (its version is {version}, this"
            f" program knows {REVISION}); upgrade standfast, or give another store with --store"
        )
    if not update:
        raise StandfastError(
            f"store {shown}: written by an older Standfast; `standfast watch` of this version"
            " brings it up to date"
        )
    if not version and engine.dialect.name == "mysql":
        with engine.connect() as connection:
            connection.exec_driver_sql(BINARY_TEXTS)
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _version(connection: Connection, shown: str) -> str | None:
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables and "worker" in tables:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if tables:
        raise StandfastError(
            f"store {shown}: a database, but not one of Standfast's; give another with --store"
        )
    return None


def _plainly(error: SQLAlchemyError) -> str:
    """The database's own words, and what may help."""
    words = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    for sign, remedy in (
        ("not a database", "it is some other file; give another one with --store"),
        ("unable to open", "give a file that this user may read and write"),
        ("readonly", "give a file that this user may write to"),
        ("locked", "another program holds it; try again when it has finished"),
    ):
        if sign in words:
            return f"{words}; {remedy}"
    return words
