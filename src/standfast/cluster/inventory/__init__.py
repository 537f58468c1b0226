"""``site.toml``: what it may say, and how it is read."""

from .loading import load_site
from .site import MOST_SERVERS, Admin, Database, Files, Server, Site, Zone

__all__ = ["MOST_SERVERS", "Admin", "Database", "Files", "Server", "Site", "Zone", "load_site"]
