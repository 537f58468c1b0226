"""The route patterns of the application's own framework, where they are there for the taking.

Flask leaves the rule of a request in its environ, Starlette and FastAPI in the scope; Django's
patterns stand in its resolver once the first request has been served. Each pattern is written once
in a process, as the framework spells it; who reads compiles none of it. Nothing is imported here,
and nothing is asked of a framework that would make it import something.
"""

from __future__ import annotations

import sys
from struct import Struct
from typing import Any, Callable, Optional

from ..journal.format import BRACES, BRACKETS, FIELD_LIMIT, ROUTE
from .errors import safely

#: So many patterns are written by one process at most.
_MOST = 1000
_DEEPEST = 20
#: How many requests Django's resolver is waited for.
_TRIES = 100
_pack = Struct("<H").pack
_KIND = ROUTE << 16


def of_this_process(append: Callable[[int, bytes], None]) -> Optional[Patterns]:
    """What finds the patterns of the frameworks that are loaded; None where there is none.

    ``append`` writes a record of a kind and a body.
    """
    loaded = sys.modules
    django = "django.urls.resolvers" in loaded
    if django or "flask" in loaded or "starlette" in loaded:
        return Patterns(append, _TRIES if django else 0)
    return None


class Patterns:
    """Writes each pattern that it meets once."""

    __slots__ = ("_append", "_has_flask", "_known", "_tries")

    def __init__(self, append: Callable[[int, bytes], None], tries: int) -> None:
        self._append = append
        self._known: set[str] = set()
        self._has_flask = "flask" in sys.modules
        self._tries = tries

    def see_response(self, environ: dict[str, Any]) -> None:
        """Looks at a WSGI request whose response begins: Flask takes its own out of the environ as
        soon as it has been served."""
        if self._has_flask or self._tries:
            try:
                # Nearly always a rule that is known by now.
                rule = environ["werkzeug.request"].url_rule.rule
                if rule not in self._known or environ["SCRIPT_NAME"]:
                    self.see_environ(environ)
            except Exception:  # no request of Flask's, or one without a rule
                if self._tries:
                    safely(self.see_environ, environ)

    def see_environ(self, environ: dict[str, Any]) -> None:
        """Looks at a WSGI request whose response begins."""
        request = environ.get("werkzeug.request")
        if request is not None:
            rule = request.url_rule
            if rule is not None:
                pattern = rule.rule
                mounted = environ.get("SCRIPT_NAME")
                self.add(BRACKETS, mounted + pattern if mounted else pattern)
        elif self._tries:
            self._see_django(environ.get("SCRIPT_NAME"))

    def see_scope(self, scope: dict[str, Any]) -> None:
        """Looks at an ASGI request that has been served."""
        route = scope.get("route")
        if route is not None:
            if type(route).__name__ == "Mount":
                return  # an application within, which says no more
            pattern = route.path
            mounted = scope.get("root_path")
            self.add(BRACES, mounted + pattern if mounted else pattern)
        elif self._tries:
            self._see_django(scope.get("root_path"))

    def add(self, syntax: int, pattern: str) -> None:
        """Writes a pattern, if this process has not written it yet."""
        if pattern in self._known or len(self._known) >= _MOST:
            return
        data = pattern.encode("utf-8", "replace")
        if 0 < len(data) <= FIELD_LIMIT:
            self._known.add(pattern)
            self._append(_KIND, _pack(syntax) + data)

    def _see_django(self, mounted: Optional[str]) -> None:
        self._tries -= 1
        if not sys.modules["django.conf"].settings.configured:
            return  # asked for a setting, it would import them
        resolver = sys.modules["django.urls.resolvers"].get_resolver()
        # A property that is worked out once: asked for earlier, it would import the patterns.
        if "url_patterns" in vars(resolver):
            self._tries = 0
            self._walk((mounted or "").rstrip("/") + "/", resolver.url_patterns, 0)

    def _walk(self, prefix: str, patterns: Any, depth: int) -> None:
        for one in list(patterns)[:_MOST]:
            # Regular expressions have no such thing, and are left alone.
            part = getattr(one.pattern, "_route", None)
            if type(part) is not str:
                continue
            inner = getattr(one, "urlconf_name", None)
            if inner is None:
                self.add(BRACKETS, prefix + part)
            elif type(inner) is not str and depth < _DEEPEST:  # what is named is imported when used
                self._walk(prefix + part, one.url_patterns, depth + 1)
