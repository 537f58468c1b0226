"""A row per request in a database: inserted before the application runs, updated after it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

from . import App

_TABLE = """
create table if not exists requests (
    id integer primary key {serial},
    begun double not null,
    method varchar(16) not null,
    uri text not null,
    host text not null,
    client varchar(64) not null,
    user_agent text not null,
    status varchar(64),
    duration double
)"""
_INSERT = (
    "insert into requests (begun, method, uri, host, client, user_agent) "
    "values ({0}, {0}, {0}, {0}, {0}, {0})"
)
_UPDATE = "update requests set status = {0}, duration = {0} where id = {0}"


def wsgi(app: App) -> Any:
    mark = "%s" if _socket() else "?"
    insert, update = _INSERT.format(mark), _UPDATE.format(mark)
    local = threading.local()

    def recorded(environ: dict[str, Any], start_response: App) -> Any:
        # After the server has forked: a connection belongs to one process and one thread.
        if not hasattr(local, "connection"):
            local.connection = _connect()
        connection = local.connection
        status = ""

        def start(line: str, headers: Any, exc_info: Any = None) -> Any:
            nonlocal status
            status = line
            return start_response(line, headers, exc_info)

        get = environ.get
        began = time.time()
        uri = get("RAW_URI")
        row = (began, get("REQUEST_METHOD"), uri, get("HTTP_HOST"))
        cursor = connection.cursor()
        cursor.execute(insert, (*row, get("REMOTE_ADDR"), get("HTTP_USER_AGENT", "")))
        connection.commit()
        number = cursor.lastrowid
        try:
            return app(environ, start)
        finally:
            cursor.execute(update, (status, time.time() - began, number))
            connection.commit()

    return recorded


def held() -> Iterator[str]:
    """All rows, as text."""
    cursor = _connect().cursor()
    cursor.execute("select * from requests")
    for row in cursor.fetchall():
        yield repr(row)


def version() -> str:
    """Of the database."""
    if not _socket():
        return sqlite3.sqlite_version
    cursor = _connect().cursor()
    cursor.execute("select version()")
    return str(cursor.fetchone()[0]).partition("-")[0]


def _socket() -> str:
    return os.environ.get("BENCH_MARIADB", "")


def _connect() -> Any:
    if _socket():
        import pymysql

        connection = pymysql.connect(unix_socket=_socket(), user="root", database="bench")
        connection.cursor().execute(_TABLE.format(serial="auto_increment"))
        return connection
    connection = sqlite3.connect(os.environ["BENCH_SQLITE"], timeout=10.0)
    connection.execute("pragma journal_mode = wal")
    connection.execute(_TABLE.format(serial="autoincrement"))
    return connection
