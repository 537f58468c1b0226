"""A program that serves with gevent alone, on the port that it is given."""

from __future__ import annotations

import sys

from gevent import monkey  # type: ignore[import-untyped]

monkey.patch_all()

from gevent.pywsgi import WSGIServer  # type: ignore[import-untyped]  # noqa: E402
from odd_wsgi import app  # type: ignore[import-not-found]  # noqa: E402

if __name__ == "__main__":
    WSGIServer(("127.0.0.1", int(sys.argv[1])), app).serve_forever()
