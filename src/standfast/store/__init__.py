"""The store: tables and queries, SQLAlchemy Core, SQLite unless told otherwise."""

from . import failures as failures
from . import people_tables as people_tables  # so that the metadata are complete
from .opening import open_store, writing
from .sketch import Sketch

__all__ = ["Sketch", "open_store", "writing"]
