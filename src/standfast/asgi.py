"""``standfast.asgi.Recorder(app)``: records the requests of an ASGI application."""

from __future__ import annotations

from .record.asgi import Recorder

__all__ = ["Recorder"]
