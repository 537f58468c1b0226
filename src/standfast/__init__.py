"""Standfast finds the request that crashes a web application, and keeps the site standing."""

__version__ = "0.1.0"
