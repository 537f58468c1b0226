"""A small Flask application that dies on demand, with one peer around it, for gunicorn to serve."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections import deque
from itertools import repeat
from pathlib import Path

from flask import Flask

from .load import version_of
from .peers import PEERS

app = Flask(__name__)
app.config["PROPAGATE_EXCEPTIONS"] = True  # so that what wraps the application sees them


@app.get("/ok/<item>")
def ok(item: str) -> str:
    """Answers."""
    return "ok"


@app.get("/error/<item>")
def error(item: str) -> str:
    """Fails as applications do."""
    raise RuntimeError("this page is broken")


@app.get("/segv/<item>")
def segv(item: str) -> str:
    """Reads where no memory is: SIGSEGV."""
    ctypes.string_at(0)
    return "unreachable"


@app.get("/kill/<item>")
def kill(item: str) -> str:
    """Ends as the kernel ends a process when memory runs out: SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


@app.get("/hang/<item>")
def hang(item: str) -> str:
    """Waits for something that does not come, in Python, where a signal can still interrupt it."""
    time.sleep(60.0)
    return "unreachable"


@app.get("/stuck/<item>")
def stuck(item: str) -> str:
    """Never comes back from C code, so that only SIGKILL ends it."""
    deque(repeat(None), maxlen=0)
    return "unreachable"


_peer = PEERS[os.environ["BENCH_PEER"]]
_module = _peer.load()
app.wsgi_app = _module.wsgi(app.wsgi_app)  # type: ignore[method-assign]
Path(os.environ["BENCH_VERSION"]).write_text(version_of(_peer, _module))
