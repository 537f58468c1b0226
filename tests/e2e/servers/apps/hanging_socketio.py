"""A WSGI application that keeps WebSockets open, as Flask-SocketIO does, and can hang."""

from __future__ import annotations

import time

from flask import Flask
from flask_socketio import SocketIO  # type: ignore[import-untyped]

app = Flask(__name__)
SocketIO(app, async_mode="threading")


@app.route("/hang")
def hang() -> str:
    time.sleep(60)
    return "done"
