"""``standfast.wsgi.Recorder(app)``: records the requests of a WSGI application."""

from __future__ import annotations

from .record.wsgi import Recorder

__all__ = ["Recorder"]
