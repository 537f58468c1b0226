"""The servers that the hook knows, and where each of them can be met.

Each function is given the module that was just imported. It puts a recorder around the
application at the place where the server has loaded it and before it serves: outside of what
the server wraps around it by itself, so that the client's address is the connection's.
"""

from __future__ import annotations

import functools
import os
import sys
from types import ModuleType
from typing import Any, Callable

from ..children import watch_children
from ..errors import serving, stack_of
from ..masters import watch_gunicorn, watch_hypercorn, watch_uvicorn
from .imports import when_imported


def install() -> None:
    """From now on every known server that is imported in this process is recorded."""
    for name, action in _ACTIONS.items():
        when_imported(name, action)


def recorded_wsgi(app: Any, server: str) -> Any:
    """``app`` with a recorder around it, unless there is one already."""
    from ..wsgi import Recorder

    return _recorded(Recorder, app, server)


def recorded_asgi(app: Any, server: str) -> Any:
    """``app`` with a recorder around it, unless there is one already."""
    from ..asgi import Recorder

    return _recorded(Recorder, app, server)


def _recorded(recorder: Any, app: Any, server: str) -> Any:
    reached()
    if _has_recorder(app):
        return app
    wrapped = recorder(app)
    wrapped.channel.server = server
    return wrapped


def _has_recorder(app: Any) -> bool:
    """Whether a recorder is the application, or stands behind middleware of the usual build.

    Two recorders of one kind find each other by themselves; this is for a WSGI application
    that was wrapped by hand and is served through an ASGI server's adapter.
    """
    from .. import asgi, wsgi

    for _ in range(8):
        if isinstance(app, (wsgi.Recorder, asgi.Recorder)):
            return True
        app = getattr(app, "app", None)
    return False


def reached() -> None:
    """Tells ``standfast run``, which waits for it, that the hook has met a server."""
    mark = os.environ.pop("STANDFAST_MARK", "")
    if mark:
        try:
            os.unlink(mark)
        except OSError:
            pass  # another worker was first


def _after(owner: Any, method: str, then: Callable[[Any], None]) -> None:
    """Has ``then(self)`` called whenever ``owner.method`` has returned."""
    original = getattr(owner, method)

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        then(self)
        return result

    setattr(owner, method, call)


def _version(module: ModuleType) -> str:
    from importlib import metadata

    name = module.__name__.partition(".")[0]
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def _gunicorn(module: ModuleType) -> None:
    def then(worker: Any) -> None:
        # Workers of other servers only borrow gunicorn's loading; those servers are known too.
        bases = {base.__module__.partition(".")[0] for base in type(worker).__mro__}
        if bases <= {"gunicorn", "builtins", "gevent"} and "Tornado" not in type(worker).__name__:
            worker.wsgi = recorded_wsgi(worker.wsgi, f"{_version(module)} {type(worker).__name__}")

    _after(module.Worker, "load_wsgi", then)


def _gunicorn_asgi(module: ModuleType) -> None:
    def then(worker: Any) -> None:
        worker.asgi = recorded_asgi(worker.asgi, f"{_version(module)} {type(worker).__name__}")

    _after(module.ASGIWorker, "load_wsgi", then)


def _uvicorn(module: ModuleType) -> None:
    adapter = module.WSGIMiddleware

    def adapted(app: Any, *args: Any, **kwargs: Any) -> Any:
        # A WSGI application runs in a thread of the adapter's: there it is recorded, so that
        # what the thread logs and where it crashes is found.
        app = recorded_wsgi(app, _version(module))
        return adapter(app, *args, **kwargs)

    def then(config: Any) -> None:
        config.loaded_app = recorded_asgi(config.loaded_app, _version(module))

    module.WSGIMiddleware = adapted  # type: ignore[attr-defined]
    _after(module.Config, "load", then)


def _hypercorn(module: ModuleType) -> None:
    def then_asgi(wrapper: Any) -> None:
        wrapper.app = recorded_asgi(wrapper.app, _version(module))

    def then_wsgi(wrapper: Any) -> None:
        wrapper.app = recorded_wsgi(wrapper.app, _version(module))

    _after(module.ASGIWrapper, "__init__", then_asgi)
    _after(module.WSGIWrapper, "__init__", then_wsgi)


def _waitress(module: ModuleType) -> None:
    def then(server: Any) -> None:
        server.application = recorded_wsgi(server.application, _version(module))

    _after(module.BaseWSGIServer, "__init__", then)


def _werkzeug(module: ModuleType) -> None:
    def then(server: Any) -> None:
        server.app = recorded_wsgi(server.app, _version(module))

    _after(module.BaseWSGIServer, "__init__", then)


def _werkzeug_debugger(module: ModuleType) -> None:
    """It catches what escapes the application, and logs nothing."""

    def then(_: Any) -> None:
        error, request = sys.exc_info()[1], serving()
        if error is not None and request is not None:
            request.note(stack_of(error))

    _after(getattr(module, "DebugTraceback", None) or module.Traceback, "__init__", then)


def _wsgiref(module: ModuleType) -> None:
    """The standard library's server, and Django's ``runserver`` which is built on it."""

    def then(server: Any) -> None:
        if server.application is not None:
            name = type(server).__module__.partition(".")[0]
            server.application = recorded_wsgi(server.application, name)

    _after(module.WSGIServer, "set_app", then)


_ACTIONS: dict[str, Callable[[ModuleType], None]] = {
    "gunicorn.workers.base": _gunicorn,
    "gunicorn.workers.gasgi": _gunicorn_asgi,
    "uvicorn.config": _uvicorn,
    "hypercorn.app_wrappers": _hypercorn,
    "waitress.server": _waitress,
    "werkzeug.serving": _werkzeug,
    "werkzeug.debug.tbtools": _werkzeug_debugger,
    "wsgiref.simple_server": _wsgiref,
    # The masters that start workers, signal them and are told how they died.
    "gunicorn.arbiter": watch_gunicorn,
    "uvicorn.supervisors.multiprocess": watch_uvicorn,
    "hypercorn.run": watch_hypercorn,
    "multiprocessing.popen_fork": watch_children,
}
