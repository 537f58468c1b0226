"""A program that serves with eventlet alone, on the port that it is given."""

from __future__ import annotations

import sys

import eventlet  # type: ignore[import-untyped]

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402
from shop_wsgi import app  # type: ignore[import-not-found]  # noqa: E402

if __name__ == "__main__":
    wsgi.server(eventlet.listen(("127.0.0.1", int(sys.argv[1]))), app)
