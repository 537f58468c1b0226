"""Loaded by every Python that starts under ``standfast run``: its folder is on PYTHONPATH.

It makes the recorder and the journal importable, and nothing else of standfast's; it may run in
another environment and under another Python than standfast itself.
"""

# Any Python, even Python 2, must be able to read this and to see that it is too old.
import os
import sys
from importlib import import_module


def _offer(folder):  # type: (str) -> None
    """Makes ``standfast`` and the rooms of the recorder importable from ``folder``."""
    from importlib.abc import MetaPathFinder
    from importlib.util import spec_from_file_location

    places = {
        # An empty list would be filled with the folder, and everything there be importable.
        "standfast": ("__init__.py", [os.devnull]),
        "standfast.journal": ("journal/__init__.py", [os.path.join(folder, "journal")]),
        "standfast.record": ("record/__init__.py", [os.path.join(folder, "record")]),
        "standfast.wsgi": ("wsgi.py", None),
        "standfast.asgi": ("asgi.py", None),
    }

    class Finder(MetaPathFinder):
        def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
            if name not in places:
                return None
            file, inside = places[name]
            return spec_from_file_location(
                name, os.path.join(folder, file), submodule_search_locations=inside
            )

    sys.meta_path.insert(0, Finder())


def _give_way(here):  # type: (str) -> None
    """Runs the sitecustomize that Python would have found without this one."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    own = sys.modules.pop("sitecustomize")
    try:
        import_module("sitecustomize")
    except ImportError as error:
        # Python 2 has the name in the message alone.
        if getattr(error, "name", str(error).rpartition(" ")[2]) != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = own


def _start():  # type: () -> None
    here = os.path.dirname(os.path.abspath(__file__))
    try:
        if sys.version_info >= (3, 9):  # noqa: UP036 - the application's Python may be older
            _offer(os.path.dirname(os.path.dirname(os.path.dirname(here))))
            from standfast.record.hook import servers, uwsgi

            servers.install()
            uwsgi.install()
    except Exception as error:  # the application starts, recorded or not
        sys.stderr.write("standfast: the recorder did not start: " + repr(error) + "\n")
    _give_way(here)


_start()
