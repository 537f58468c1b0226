"""A small shop: Flask and SQLite. It has never heard of standfast, and it has a bug."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import time
from typing import Any

from flask import Flask, Response, abort, g, redirect, request

DATABASE = os.environ.get("SHOP_DATABASE", "shop.db")
LABEL_WIDTH = 40
PRODUCTS = (
    "Green tea", "Black tea", "Teapot", "Two cups", "Tea strainer", "Honey", "Biscuits", "Kettle",
)  # fmt: skip

app = Flask(__name__)
_libc = ctypes.CDLL(None)
_libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


def create_database() -> None:
    """Makes the tables and fills the shelves; does nothing the second time."""
    with sqlite3.connect(DATABASE) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE IF NOT EXISTS product (id INTEGER PRIMARY KEY, name, cents)")
        database.execute("CREATE TABLE IF NOT EXISTS bought (product INTEGER, name, at REAL)")
        if not database.execute("SELECT count(*) FROM product").fetchone()[0]:
            rows = [(PRODUCTS[n % len(PRODUCTS)] + f" no. {n}", 250 + 10 * n) for n in range(200)]
            database.executemany("INSERT INTO product (name, cents) VALUES (?, ?)", rows)


def database() -> sqlite3.Connection:
    """This request's connection."""
    if "database" not in g:
        g.database = sqlite3.connect(DATABASE, timeout=10)
    connection: sqlite3.Connection = g.database
    return connection


@app.teardown_appcontext
def close_database(error: BaseException | None) -> None:
    """Closes it again."""
    if "database" in g:
        g.database.close()


@app.get("/")
def front() -> str:
    """The newest goods."""
    rows = database().execute("SELECT id, name FROM product ORDER BY id DESC LIMIT 8").fetchall()
    return "<h1>Tea and more</h1>" + "".join(f"<p>{number}: {name}</p>" for number, name in rows)


@app.get("/product/<int:number>")
def product(number: int) -> str:
    """One product."""
    name, cents = _product(number)
    return f"<h1>{name}</h1><p>{cents / 100:.2f} EUR</p>"


@app.get("/search")
def search() -> dict[str, Any]:
    """Products by a part of their name; asks a slow supplier, too."""
    wanted = f"%{request.args.get('q', '')}%"
    time.sleep(0.4)
    rows = database().execute("SELECT id, name FROM product WHERE name LIKE ?", (wanted,))
    return {"found": [{"id": number, "name": name} for number, name in rows.fetchmany(20)]}


@app.post("/order")
def order() -> Response:
    """Buys one product."""
    number = request.form.get("product", type=int) or abort(400)
    _product(number)
    with database() as connection:
        values = (number, request.form.get("name", ""), time.time())
        connection.execute("INSERT INTO bought VALUES (?, ?, ?)", values)
    return redirect(f"/product/{number}")  # type: ignore[return-value]


@app.get("/report")
def report() -> dict[str, Any]:
    """What was sold: a slow page of the shop's owner."""
    time.sleep(1.2)
    rows = database().execute("SELECT product, count(*) FROM bought GROUP BY 1 ORDER BY 2 DESC")
    return {"sold": rows.fetchmany(10)}


@app.get("/label/<int:number>")
def label(number: int) -> Response:
    """An address label, padded to its width for the label printer."""
    name, _ = _product(number)
    text = f"{request.args.get('to', '')}: {name}".encode()
    line = ctypes.create_string_buffer(LABEL_WIDTH)
    ctypes.memmove(line, text, min(len(text), LABEL_WIDTH))
    # The bug: a text that is longer than the label makes the padding negative, and C takes
    # that for a very large number.
    _libc.memset(ctypes.addressof(line) + len(text), ord(" "), LABEL_WIDTH - len(text))
    return Response(line.raw, mimetype="text/plain")


def _product(number: int) -> tuple[str, int]:
    row = database().execute("SELECT name, cents FROM product WHERE id = ?", (number,)).fetchone()
    if row is None:
        abort(404)
    name, cents = row
    return name, cents


create_database()
