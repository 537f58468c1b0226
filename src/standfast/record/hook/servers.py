"""The servers that the hook knows, and where each of them can be met.

Each function is given the module that was just imported. It puts a recorder around the
application at the place where the server has loaded it and before it serves: outside of what
the server wraps around it by itself, so that the client's address is the connection's.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any, Callable

from .. import loading, recycling, stops, unmet
from ..children import watch_multiprocessing
from ..errors import safely, serving, stack_of
from ..kills import watch_kills
from ..masters import gunicorn_calls, watch_gunicorn, watch_hypercorn, watch_uvicorn
from ..wrapping import after
from . import uwsgi
from .imports import when_imported
from .mark import reached, seen


def install() -> None:
    """From now on every known server that is imported in this process is recorded."""
    for name in {*_ACTIONS, *unmet.KNOWN, *unmet.OTHERS}:
        when_imported(name, _action(name))


def _action(name: str) -> Callable[[ModuleType], None]:
    """What is done when the module of that name has been imported."""
    server = unmet.KNOWN.get(name) or unmet.OTHERS.get(name, ("",))[0]

    def act(module: ModuleType) -> None:
        if server:
            seen(server)
        if name in _ACTIONS:
            _ACTIONS[name](module)

    return act


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
    wrapped = safely(_wrapped, recorder, app, server)
    return app if wrapped is None else wrapped


def _wrapped(recorder: Any, app: Any, server: str) -> Any:
    if _has_recorder(app):
        return app
    wrapped = recorder(app)
    wrapped.channel.server = server
    watch_kills()
    return wrapped


def _name_response_headers() -> None:
    """The names that uvicorn, hypercorn and eventlet have for what ``start_response`` is given."""
    from .. import wsgi

    wsgi.name_arguments("status", "response_headers", "exc_info")


def _has_recorder(app: Any) -> bool:
    """Whether a recorder is the application, or stands behind middleware of the usual build.

    Two recorders of one kind find each other by themselves; this is for a WSGI application
    that was wrapped by hand and is served through an ASGI server's adapter.

    The application is looked at without a line of its own being run: it may be a stand-in that
    loads the real one at its first use, or that raises for what it does not know.
    """
    from .. import asgi, wsgi

    for _ in range(8):
        if issubclass(type(app), (wsgi.Recorder, asgi.Recorder)):
            return True
        app = inspect.getattr_static(app, "app", None)
    return False


def _version(module: ModuleType) -> str:
    from importlib import metadata

    name = module.__name__.partition(".")[0]
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def _gunicorn(module: ModuleType) -> None:
    """Every worker, also of a class that replaces ``load_wsgi`` and does not call its base's."""

    def made(worker: Any, _: None) -> None:
        # On the object: from which class it has the method does not matter then.
        loads, runs, version = worker.load_wsgi, worker.run, _version(module)

        def load() -> None:
            loading.begin()
            loads()
            safely(_gunicorn_loaded, worker, f"{version} {type(worker).__name__}")
            safely(recycling.watch_gunicorn, module.Worker, worker)

        def run() -> None:
            loading.done()
            runs()

        worker.load_wsgi = load
        worker.run = run

    after(module.Worker, "__init__", made)


def _gunicorn_loaded(worker: Any, server: str) -> None:
    serves = gunicorn_calls(type(worker))
    if serves == "asgi":
        worker.asgi = recorded_asgi(worker.asgi, server)
    elif serves == "wsgi" and not _comes_from("tornado", type(worker.wsgi)):
        worker.wsgi = recorded_wsgi(worker.wsgi, server)


def _comes_from(package: str, kind: type) -> bool:
    return package in {base.__module__.partition(".")[0] for base in kind.__mro__}


def _uvicorn(module: ModuleType) -> None:
    adapter = module.WSGIMiddleware

    def adapted(app: Any, *args: Any, **kwargs: Any) -> Any:
        # A WSGI application runs in a thread of the adapter's: there it is recorded, so that
        # what the thread logs and where it crashes is found.
        safely(_name_response_headers)
        app = recorded_wsgi(app, _version(module))
        return adapter(app, *args, **kwargs)

    def then(config: Any, _: Any) -> None:
        config.loaded_app = recorded_asgi(config.loaded_app, _version(module))

    module.WSGIMiddleware = adapted  # type: ignore[attr-defined]
    after(module.Config, "load", then)
    loading.around(module.Config, "load")


def _uvicorn_server(module: ModuleType) -> None:
    recycling.watch_uvicorn(module)
    stops.watch_uvicorn(module)


def _hypercorn(module: ModuleType) -> None:
    def then_asgi(wrapper: Any, _: None) -> None:
        wrapper.app = recorded_asgi(wrapper.app, _version(module))

    def then_wsgi(wrapper: Any, _: None) -> None:
        _name_response_headers()
        wrapper.app = recorded_wsgi(wrapper.app, _version(module))

    after(module.ASGIWrapper, "__init__", then_asgi)
    after(module.WSGIWrapper, "__init__", then_wsgi)


def _waitress(module: ModuleType) -> None:
    def then(server: Any, _: None) -> None:
        server.application = recorded_wsgi(server.application, _version(module))

    after(module.BaseWSGIServer, "__init__", then)


def _werkzeug(module: ModuleType) -> None:
    def then(server: Any, _: None) -> None:
        server.app = recorded_wsgi(server.app, _version(module))

    after(module.BaseWSGIServer, "__init__", then)


def _werkzeug_debugger(module: ModuleType) -> None:
    """It catches what escapes the application, and logs nothing."""

    def then(_: Any, __: None) -> None:
        error, request = sys.exc_info()[1], serving()
        if error is not None and request is not None:
            request.note(stack_of(error))

    after(getattr(module, "DebugTraceback", None) or module.Traceback, "__init__", then)


def _gevent(module: ModuleType) -> None:
    def then(server: Any, _: None) -> None:
        # gunicorn has put a recorder around its own already.
        server.application = recorded_wsgi(server.application, _version(module))

    after(module.WSGIServer, "__init__", then)


def _eventlet(module: ModuleType) -> None:
    """``eventlet.wsgi.server`` makes a ``Server``; gunicorn's worker calls its protocol alone."""

    def then(server: Any, _: None) -> None:
        _name_response_headers()
        server.app = recorded_wsgi(server.app, _version(module))

    after(module.Server, "__init__", then)


def _wsgiref(module: ModuleType) -> None:
    """The standard library's server, and Django's ``runserver`` which is built on it."""

    def then(server: Any, _: None) -> None:
        if server.application is not None:
            name = type(server).__module__.partition(".")[0]
            server.application = recorded_wsgi(server.application, name)

    after(module.WSGIServer, "set_app", then)


_ACTIONS: dict[str, Callable[[ModuleType], None]] = {
    "gunicorn.workers.base": _gunicorn,
    "uvicorn.config": _uvicorn,
    "hypercorn.app_wrappers": _hypercorn,
    "hypercorn.utils": lambda module: loading.around(module, "load_application"),
    "waitress.server": _waitress,
    "werkzeug.serving": _werkzeug,
    "werkzeug.debug.tbtools": _werkzeug_debugger,
    "wsgiref.simple_server": _wsgiref,
    "gevent.pywsgi": _gevent,
    "eventlet.wsgi": _eventlet,
    "uvicorn.server": _uvicorn_server,
    "hypercorn.asyncio.worker_context": recycling.watch_hypercorn,
    "hypercorn.trio.worker_context": recycling.watch_hypercorn,
    # The masters that start workers, signal them and are told how they died.
    "gunicorn.arbiter": watch_gunicorn,
    "uvicorn.supervisors.multiprocess": watch_uvicorn,
    "hypercorn.run": watch_hypercorn,
    "pyuwsgi": lambda _: uwsgi.watch_loading(),
    "multiprocessing.popen_fork": watch_multiprocessing,
}
