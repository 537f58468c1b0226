"""What ``standfast run`` says when nothing is recorded: by what has been imported meanwhile."""

from __future__ import annotations

from collections.abc import Collection

#: Modules by which a server that is known is noticed before it loads its application.
KNOWN = {
    "gunicorn.arbiter": "gunicorn",
    "uvicorn.server": "uvicorn",
    "hypercorn.run": "hypercorn",
    "waitress.server": "waitress",
}
#: Modules by which servers are noticed that are not, and what records under them.
OTHERS = {
    "granian.server": ("granian", "wsgi and asgi"),
    "daphne.server": ("daphne", "asgi"),
    "cheroot.wsgi": ("cheroot", "wsgi"),
    "cherrypy": ("cherrypy", "wsgi"),
    "bjoern": ("bjoern", "wsgi"),
    "meinheld": ("meinheld", "wsgi"),
    "aiohttp.web_server": ("aiohttp", ""),
    "tornado.httpserver": ("tornado", ""),
    "twisted.web.server": ("twisted", ""),
    "sanic.server": ("sanic", ""),
}
_RECORDS = dict(OTHERS.values())
_BY_HAND = {
    "wsgi": "standfast.wsgi.Recorder(app) records a WSGI application by hand.",
    "asgi": "standfast.asgi.Recorder(app) records an ASGI application by hand.",
    "wsgi and asgi": "standfast.wsgi.Recorder and standfast.asgi.Recorder record by hand.",
}
_ALL = (
    "gunicorn, uvicorn, hypercorn, waitress, uWSGI, gevent, eventlet, werkzeug, Django's runserver"
    " and wsgiref"
)


def message(command: str, ran_s: float, seen: Collection[str], *, over: bool = False) -> str:
    """One line for people. ``seen`` are names of servers that were imported; ``over`` says that
    the command has ended."""
    ran = f"standfast: {command} {'ran' if over else 'has run'} for {ran_s:.3g} s"
    known = sorted(set(seen) - set(_RECORDS))
    others = sorted(set(seen) & set(_RECORDS))
    if known:
        return (
            f"{ran}; {known[0]} has started, and has not loaded an application so far: nothing is"
            " recorded yet.\n"
        )
    nothing = "was recorded" if over else "is recorded"
    if others:
        name = others[0]
        advice = _BY_HAND.get(
            _RECORDS[name], f"Requests that {name} serves are neither WSGI nor ASGI."
        )
        return (
            f"{ran}, and no server that standfast knows was met in it but {name}: nothing"
            f" {nothing}. {advice} Known are {_ALL}.\n"
        )
    return (
        f"{ran} and no server that standfast knows was met in it: nothing {nothing}."
        f" Known are {_ALL}; `standfast doctor` says more; standfast.wsgi.Recorder and"
        " standfast.asgi.Recorder record by hand.\n"
    )


def is_worth_saying(ran_s: float, patience_s: float, seen: Collection[str]) -> bool:
    """Whether a command that has ended by itself should hear that it was not recorded: not where
    it was too short for a server, or its server has said itself what kept it from loading."""
    if set(seen) & set(_RECORDS):
        return True
    return not seen and ran_s > patience_s / 6
