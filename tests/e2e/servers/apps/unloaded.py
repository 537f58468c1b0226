"""An application that hangs before it is loaded, in the way that UNLOADED names."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

_HOW = os.environ["UNLOADED"]
_lock = threading.Lock()
_lock.acquire()

if _HOW == "lock":
    # Held over the fork: loaded by the master, the child waits for who is not there.
    os.register_at_fork(after_in_child=_lock.acquire)
elif _HOW == "import":
    _lock.acquire()
elif _HOW == "compiled":
    ctypes.PyDLL(None).sleep(60)  # a call that does not let go of Python


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]
