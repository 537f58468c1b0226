"""A program that serves with the standard library alone, on the port that it is given."""

from __future__ import annotations

import sys
from wsgiref.simple_server import make_server

from shop_wsgi import app  # type: ignore[import-not-found]

if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
