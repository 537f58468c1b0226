"""SQL at a server, as root through its local socket.

The statements go in at standard input: neither they nor a password in them are ever among the
words of a command, which others on that server can see.
"""

from __future__ import annotations

import re
import secrets

from ..remote import Remote, RemoteError

Row = dict[str, str | None]
_ESCAPED = {"n": "\n", "t": "\t", "\\": "\\", "0": "\0"}
#: The client, at the server itself, by its socket. A newer one would encrypt that, too, which takes
#: five times as long as asking.
CLIENT = "mariadb --skip-ssl"
_COMMAND = f"exec {CLIENT} --batch --default-character-set=utf8mb4"


class SqlError(RemoteError):
    """The server refused a statement; ``code`` is MariaDB's number of the error."""

    def __init__(self, words: str, said: str, code: int) -> None:
        super().__init__(words, said)
        self.code = code


def ask(remote: Remote, *statements: str, timeout_s: float = 60) -> list[list[Row]]:
    """Runs statements, up to the first that fails, and returns the rows of each.

    A value that is the text ``NULL`` cannot be told from one that is null: both are None.
    Raises SqlError where one is refused, RemoteError where the server is not reached.
    """
    mark = f"standfast-{secrets.token_hex(8)}"
    between = f";\nSELECT '{mark}' AS `{mark}`;\n"
    given = between.join(one.strip().rstrip(";") for one in statements) + ";\n"
    try:
        printed = remote.run(_COMMAND, given, timeout_s=timeout_s)
    except RemoteError as error:
        found = re.search(r"ERROR (\d+) ", error.said)
        if not error.reached or found is None:
            raise
        raise SqlError(str(error), error.said, int(found[1])) from None
    return [rows(part) for part in printed.split(f"{mark}\n{mark}\n")]


def rows(printed: str) -> list[Row]:
    """What ``mariadb --batch`` printed for one statement: names in the first line, then values."""
    lines = [[_value(cell) for cell in line.split("\t")] for line in printed.split("\n")[:-1]]
    if not lines:
        return []
    names = [name or "NULL" for name in lines[0]]
    return [dict(zip(names, line, strict=True)) for line in lines[1:]]


def _value(cell: str) -> str | None:
    if cell == "NULL":
        return None
    return re.sub(r"\\([nt\\0])", lambda found: _ESCAPED[found[1]], cell)


def text(value: str) -> str:
    """A text as a literal of SQL, whatever it holds (hexadecimal: no mode of SQL reads it
    otherwise)."""
    return f"_utf8mb4 0x{value.encode().hex()}" if value else "''"


def quoted(value: str) -> str:
    """A text between quotes, for places that take no other literal.

    Raises ValueError for what would end the quotes.
    """
    if re.search(r"['\\\x00-\x1f]", value):
        raise ValueError(f"cannot be quoted: {value!r}")
    return f"'{value}'"


def name(value: str) -> str:
    """The name of a table, a column or a database as SQL takes it."""
    return "`" + value.replace("`", "``") + "`"
