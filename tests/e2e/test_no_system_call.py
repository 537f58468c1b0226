"""The path of an ordinary request makes no system call: shown by the kernel's own list of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.tools import need

REQUESTS = 1000
#: One of these stands before, between and after the two loops; nothing else makes it.
MARK = "getppid"
#: Read without the kernel, but for machines whose clock cannot be.
CLOCKS = {"clock_gettime", "gettimeofday"}

WSGI = """
from standfast.wsgi import Recorder

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

def serve(app, number):
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": f"/item/{number}?page=1&sort=price",
               "REMOTE_ADDR": "203.0.113.9", "HTTP_USER_AGENT": "Mozilla/5.0"}
    for _ in app(environ, lambda *_: None):
        pass
"""
ASGI = """
from standfast.asgi import Recorder

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

async def send(message):
    pass

def serve(app, number):
    scope = {"type": "http", "method": "GET", "path": "/item", "raw_path": b"/item",
             "query_string": b"page=1&sort=price", "headers": [(b"host", b"shop.example")],
             "client": ("203.0.113.9", 4711)}
    try:
        app(scope, None, send).send(None)
    except StopIteration:
        pass
"""
LOOPS = f"""
import gc, os
recorded = Recorder(app, name="shop", journal=os.environ["JOURNAL"])
serve(app, 0), serve(recorded, 0)
gc.disable()
for one in (app, recorded):
    os.getppid()
    for number in range({REQUESTS}):
        serve(one, number)
os.getppid()
assert not recorded.channel.writer.lost and recorded.channel.writer.next_seq > {1 + REQUESTS}
"""


@pytest.mark.parametrize("program", [WSGI, ASGI], ids=["wsgi", "asgi"])
def test_recording_makes_no_system_call_after_the_first_request(
    program: str, tmp_path: Path
) -> None:
    need("strace")
    log = tmp_path / "calls"
    command = ["strace", "-f", "-qq", "-o", str(log), sys.executable, "-c", program + LOOPS]
    journal = {"JOURNAL": str(tmp_path / "journal")}
    done = subprocess.run(command, env=os.environ | journal, capture_output=True, timeout=120)
    if b"ptrace" in done.stderr and done.returncode:
        pytest.skip(f"this machine lets nobody trace: {done.stderr.decode().strip()}")
    assert (done.returncode, done.stderr) == (0, b"")
    bare, recorded = _between_marks(log.read_text())
    assert sum((recorded - bare).values()) == 0, recorded - bare


def _between_marks(log: str) -> list[Counter[str]]:
    """How often each call was made in the first loop and in the second."""
    calls = [match[1] for line in log.splitlines() if (match := re.match(r"\d+ +(\w+)\(", line))]
    marks = [at for at, call in enumerate(calls) if call == MARK]
    assert len(marks) == 3
    return [
        Counter(call for call in calls[start + 1 : end] if call not in CLOCKS)
        for start, end in zip(marks, marks[1:], strict=False)
    ]
