"""The same shop as a Flask application."""

from __future__ import annotations

import shop_wsgi  # type: ignore[import-not-found]
from flask import Flask, Response, request

app = Flask(__name__)


@app.get("/")
@app.get("/<name>")
def page(name: str = "") -> Response:
    return Response(shop_wsgi.ROUTES["/" + name](request.query_string.decode()))
