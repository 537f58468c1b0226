"""``site.toml``: what it may say, and how it is read."""

from .site import MOST_SERVERS, Admin, Database, Files, Server, Site, Zone

__all__ = ["MOST_SERVERS", "Admin", "Database", "Files", "Server", "Site", "Zone"]
