"""What a stack says of what its thread waits for: a client, or anything at all, in an event loop.

A thread waits for its client where a server's own code reads a request or writes a response, with
nothing but Python's library between that and the operating system. The application's frames may
stand outside of it: it has asked for the body.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

HEAD, BODY, RESPONSE = "head", "body", "response"
#: Head or body, where it is not known which.
REQUEST = "request"

#: Requests by which clients send something.
SENDING = frozenset({"POST", "PUT", "PATCH"})


class Call(NamedTuple):
    """A call of a stack, which has the innermost one first."""

    function: str
    file: str
    line: int = 0


class ClientWait(NamedTuple):
    """Which server waits, and for which part of the exchange: the client is to send the head or
    the body of a request, or to take in the response."""

    server: str
    part: str


#: Python's own code between a server and the system call.
_LIBRARY = re.compile(
    r"(?:^|/)(?:socket|ssl|selectors|codecs|threading)\.py$|(?:^|/)http/client\.py$"
)
#: The innermost call that is not of the library: function, file, what it means.
_SERVERS = (
    (r".*", r"gunicorn/http/unreader\.py", ClientWait("gunicorn", HEAD)),
    (r"write|write_chunk|write_nonblock", r"gunicorn/util\.py", ClientWait("gunicorn", RESPONSE)),
    (r"write|sendfile|write_file", r"gunicorn/http/wsgi\.py", ClientWait("gunicorn", RESPONSE)),
    (r".*", r"werkzeug/wsgi\.py", ClientWait("werkzeug", BODY)),
    (r"handle_one_request|parse_request", r"http/server\.py", ClientWait("http.server", HEAD)),
    (r"write", r"socketserver\.py", ClientWait("http.server", RESPONSE)),
    (r"_flush\w*|write_soon", r"waitress/channel\.py", ClientWait("waitress", RESPONSE)),
)
_PATTERNS = tuple(
    (re.compile(function), re.compile(rf"(?:^|/){file}$"), found)
    for function, file, found in _SERVERS
)
#: In a stack that reads from a client, one of these says that it is the body.
_OF_A_BODY = re.compile(r"(?:^|/)gunicorn/http/body\.py$")
#: Where event loops wait: function, file, the loop's name.
_LOOPS = (
    ("_run_once", re.compile(r"(?:^|/)asyncio/base_events\.py$"), "asyncio"),
    # uvloop's own calls are in C: what started it is the innermost that shows.
    ("run", re.compile(r"(?:^|/)asyncio/runners\.py$"), "uvloop"),
    ("run", re.compile(r"(?:^|/)gevent/hub\.py$"), "gevent"),
    ("wait", re.compile(r"(?:^|/)eventlet/hubs/\w+\.py$"), "eventlet"),
)
#: One line of a stack by faulthandler; its texts are the application's.
_LINE = re.compile(r'^  File "([^"\n]{1,4096})", line (\d{1,9}) in (\S{1,1024})$')
#: Not the application's own code: installed packages and their programs, Python's library, what is
#: built in.
_FOREIGN = re.compile(r"/(?:site|dist)-packages/|/lib/python3\.\d{1,3}/|/bin/[^/.]{1,80}$|^<")
_MOST_LINES = 200


def client_wait(stack: Sequence[Call]) -> ClientWait | None:
    """Whether the thread waits for a client, from the innermost call outwards."""
    for function, file, _ in stack:
        if _LIBRARY.search(file):
            continue
        for function_pattern, file_pattern, found in _PATTERNS:
            if function_pattern.fullmatch(function) and file_pattern.search(file):
                is_body = any(_OF_A_BODY.search(call.file) for call in stack)
                return found._replace(part=BODY) if is_body and found.part == HEAD else found
        return None
    return None


def loop_wait(stack: Sequence[Call]) -> str | None:
    """The name of the event loop in which the thread waits, if nothing is being run by it."""
    for function, file, _ in stack:
        if _LIBRARY.search(file):
            continue
        for wanted, pattern, loop in _LOOPS:
            if function == wanted and pattern.search(file):
                return loop
        return None
    return None


def is_own(file: str) -> bool:
    """Whether a file is the application's own, as far as its path tells."""
    return not _FOREIGN.search(file) and "/standfast/record/" not in file


def crashing_stack(fault: str) -> list[Call]:
    """The calls of the thread in which a fatal signal struck, in faulthandler's words."""
    found: list[Call] = []
    lines = iter(fault.splitlines())
    for line in lines:
        if line.startswith("Current thread "):
            break
    for line in lines:
        call = _LINE.match(line)
        if call is None or len(found) == _MOST_LINES:
            break
        found.append(Call(call[3], call[1], int(call[2])))
    return found
