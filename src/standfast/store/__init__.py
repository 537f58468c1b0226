"""The store: tables and queries, SQLAlchemy Core, SQLite unless told otherwise."""
