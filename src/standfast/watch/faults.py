"""Whose fault a failure is: the store's, which will be back, or the data's, which will not change.

What the store refuses for good (a number beyond its column, a text that it cannot hold) would be
refused at each attempt; what fails because the store is away succeeds when it is back.
"""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

#: The database's own class for "this value does not fit", by the standard of drivers (PEP 249).
_OF_THE_DATA = (DataError, IntegrityError)
#: MariaDB's numbers for the same, where its driver says "operational": a text in a wrong
#: encoding, a value that is truncated, a packet over its limit.
_MARIADB_DATA = frozenset({1264, 1292, 1366, 1406, 1153})


def is_store_away(error: BaseException) -> bool:
    """Whether the same may well go through later."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        code = next(iter(getattr(error.orig, "args", ())), None)
        return not isinstance(error, _OF_THE_DATA) and code not in _MARIADB_DATA
    # A statement that no database has seen: a value that could not be made one of its column.
    return isinstance(error, SQLAlchemyError) and not isinstance(error, StatementError)


def said(error: BaseException) -> str:
    """The failure in one line: of a database its own words, without the statement."""
    text = str(getattr(error, "orig", None) or error) or type(error).__name__
    return " ".join(text.split())[:300]
