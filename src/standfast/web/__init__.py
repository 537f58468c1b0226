"""The dashboard: what a customer reads in a browser."""

from __future__ import annotations

from .app import create_app

__all__ = ["create_app"]
