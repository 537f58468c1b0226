"""uWSGI loads the application from C, so there is no Python of its own to be met.

While it loads, every module that has been executed is looked at: the one that uWSGI was told to
serve gets a recorder put around its callable, before uWSGI takes hold of it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from _thread import get_ident
from types import FrameType
from typing import Any, Optional

from .. import loading
from ..channel import channel_for
from ..errors import hide_own_frames, safely
from .mark import seen

#: An application that takes longer than this to load is served unrecorded.
_PATIENCE_S = 120.0
#: What faulthandler writes a traceback for; SIGABRT gets through by itself.
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


#: Its options that say when it ends a worker, or how it starts one.
_OPTIONS = (
    "harakiri", "http-timeout", "max-requests", "min-worker-lifetime", "max-worker-lifetime",
    "reload-on-as", "reload-on-rss", "evil-reload-on-as", "evil-reload-on-rss", "reload-mercy",
    "worker-reload-mercy", "touch-reload", "touch-workers-reload", "touch-chain-reload", "lazy",
    "lazy-apps", "master", "need-app", "cheaper", "idle", "limit-as", "auto-procname",
)  # fmt: skip


def install() -> None:
    """Starts to look, when this Python runs inside the program ``uwsgi``."""
    try:
        inside = os.path.basename(os.readlink("/proc/self/exe")).startswith("uwsgi")
    except OSError:
        return
    if inside:
        watch_loading()


def watch_loading() -> None:
    """From now on it is looked at what is loaded: uWSGI, as a module too, loads in this thread."""
    seen("uWSGI")
    sys.setprofile(_Loading().look)


class _Loading:
    def __init__(self) -> None:
        self._until = time.monotonic() + _PATIENCE_S
        self._is_open = False

    def look(self, frame: FrameType, event: str, argument: Any) -> None:
        """The profile function: what it raised would be raised in the application."""
        try:
            if self._is_over(frame, event):
                sys.setprofile(None)
                loading.done()
        except Exception:  # the application is served unrecorded
            sys.setprofile(None)

    def _is_over(self, frame: FrameType, event: str) -> bool:
        if event != "return" or frame.f_code.co_name != "<module>":
            return time.monotonic() > self._until
        try:
            import uwsgi
        except ImportError:
            return False  # Python itself is still starting
        if not self._is_open and uwsgi.worker_id():
            # An application that is loaded in each worker may crash there: then it is known.
            self._is_open = True
            loading.begin()
            _open(uwsgi)
        return any(
            _is(frame, target) and _wrap(frame.f_globals, name, uwsgi)
            for target, name in _targets(uwsgi.opt)
        )


def _targets(options: dict[str, Any]) -> list[tuple[str, str]]:
    """What uWSGI was told to serve: pairs of a module or a file, and the name of the callable."""
    values = {key: [_text(one) for one in _list(value)] for key, value in options.items()}
    default = (values.get("callable") or ["application"])[-1]
    targets = []
    for key in ("module", "wsgi", "w", "wsgi-file", "file"):
        targets += values.get(key, [])
    targets += [value.partition("=")[2] for value in values.get("mount", [])]
    return [(target.partition(":")[0], target.partition(":")[2] or default) for target in targets]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _is(frame: FrameType, target: str) -> bool:
    if frame.f_globals.get("__name__") == target:
        return True
    return os.path.realpath(frame.f_code.co_filename) == os.path.realpath(target)


def _open(uwsgi: Any) -> None:
    """This worker's journal, before its first request."""
    channel = channel_for()
    channel.server = _server(uwsgi)
    channel.options = _settings(uwsgi.opt)
    channel.open()


def _settings(options: dict[str, Any]) -> dict[str, str]:
    """Those of uWSGI's options that tell why a worker may end, each with its last value."""
    found = {_text(name): _list(value)[-1:] for name, value in options.items()}
    return {
        name: "true" if found[name][0] is True else _text(found[name][0])
        for name in _OPTIONS
        if found.get(name)
    }


def _server(uwsgi: Any) -> str:
    return f"uWSGI {_text(uwsgi.version)}"


def _wrap(names: dict[str, Any], name: str, uwsgi: Any) -> bool:
    from .servers import recorded_wsgi

    server = _server(uwsgi)
    channel_for().options = _settings(uwsgi.opt)
    if name.endswith("()"):
        factory: Optional[Any] = names.get(name[:-2])
        if factory is not None:
            names[name[:-2]] = lambda: _Heard(recorded_wsgi(factory(), server))
        return factory is not None
    if name in names:
        names[name] = _Heard(recorded_wsgi(names[name], server))
    return name in names


class _Heard:
    """Lets a fault be heard in the threads of uWSGI (``--threads``), which block every signal."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._threads: set[int] = set()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        thread = get_ident()
        if thread not in self._threads:
            self._threads.add(thread)
            safely(signal.pthread_sigmask, signal.SIG_UNBLOCK, _FAULTS)
        try:
            return self.app(environ, start_response)
        except BaseException as error:
            safely(hide_own_frames, error)
            raise
