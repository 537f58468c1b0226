"""Facts that more than one part of the watcher states."""

from __future__ import annotations

import re
import signal
from typing import Any

from standfast.store.evidence import CLIENT_WAIT, EXIT, TRACEBACK, Fact, Source

from .waits import REQUEST, RESPONSE, ClientWait, client_wait, crashing_stack, is_own

#: What faulthandler writes on the first line, and the signal that it means.
_FATAL = re.compile(r"^Fatal Python error: (.+)", re.MULTILINE)
_FATAL_SIGNALS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating point exception": "SIGFPE",
    "Floating-point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}
_CURRENT_THREAD = re.compile(r"^Current thread 0x([0-9a-f]{1,16}) ", re.MULTILINE)


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; real-time and unknown signals by their number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def exit_fact(source: Source, at_ns: int, pid: int, code: int, *, core: bool = False) -> Fact:
    """How a process ended; ``code`` from 0 up is an exit code, -N is signal N."""
    if code < 0:
        name = signal_name(-code)
        words = f"process {pid} was ended by {name}{' (core dumped)' if core else ''}"
        return Fact(EXIT, source, at_ns, words, {"signal": name})
    words = f"process {pid} ended with exit code {code}"
    return Fact(EXIT, source, at_ns, words, {"exit_code": code})


def traceback_fact(fault: str, fault_ns: int) -> Fact | None:
    """What faulthandler wrote of a fatal signal, and the thread in which it struck.

    faulthandler prints what threading.get_ident() gives, as a hexadecimal number.
    """
    fatal = _FATAL.search(fault)
    if fatal is None:
        return None
    data: dict[str, Any] = {"signal": _FATAL_SIGNALS.get(fatal[1].strip())}
    if thread := _CURRENT_THREAD.search(fault):
        data["thread"] = int(thread[1], 16)
    own = [call for call in crashing_stack(fault) if is_own(call.file)]
    if own:
        data["own"] = list(own[0])
    return Fact(TRACEBACK, Source.FAULTHANDLER, fault_ns, fault, data)


def client_wait_fact(fault: str, fault_ns: int) -> Fact | None:
    """That the thread in which a fatal signal struck waited for a client: a server's time-out."""
    found = client_wait(crashing_stack(fault))
    if found is None:
        return None
    data: dict[str, Any] = {"part": found.part, "server": found.server}
    if thread := _CURRENT_THREAD.search(fault):
        data["thread"] = int(thread[1], 16)
    return Fact(CLIENT_WAIT, Source.FAULTHANDLER, fault_ns, client_wait_words(found), data)


def client_wait_words(found: ClientWait) -> str:
    """The sentence that says what was waited for."""
    if found.part == RESPONSE:
        return f"{found.server} waited for a client to take in more of a response"
    if found.part == REQUEST:
        return f"{found.server} waited for a client to send more of a request"
    return f"{found.server} waited for a client to send more of a request's {found.part}"
