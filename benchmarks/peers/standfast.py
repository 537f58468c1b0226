"""Standfast itself, by hand, with the settings it has by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from standfast.journal.files import SUFFIX
from standfast.journal.format import BEGIN, END, unpack_begin, unpack_end
from standfast.journal.reader import SegmentReader

from . import App


def wsgi(app: App) -> Any:
    from standfast.wsgi import Recorder

    return Recorder(app)


def asgi(app: App) -> Any:
    from standfast.asgi import Recorder

    return Recorder(app)


def held() -> Iterator[str]:
    """The records of all journals, as text."""
    for path in Path(os.environ["STANDFAST_JOURNAL"]).rglob(f"*{SUFFIX}"):
        with SegmentReader(str(path)) as segment:
            while records := segment.read(final=True):
                for kind, flags, body in records:
                    if kind == BEGIN:
                        yield repr(unpack_begin(body, flags))
                    elif kind == END:
                        yield repr(unpack_end(body, flags))


def version() -> str:
    """Without any package's metadata: this peer runs from the source under any Python."""
    import standfast

    return standfast.__version__
