"""A program that starts waitress by itself, on the port that it is given."""

from __future__ import annotations

import sys

import waitress
from shop_wsgi import app  # type: ignore[import-not-found]

if __name__ == "__main__":
    waitress.serve(app, listen=f"127.0.0.1:{sys.argv[1]}")
