"""What the client prints is read back as it was, and what goes into SQL stays what it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.cluster.database import gtid, sql
from standfast.cluster.database.observe import account_of

VALUES = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda text: text != "NULL")


def printed(value: str | None) -> str:
    """As ``mariadb --batch`` prints a value."""
    if value is None:
        return "NULL"
    for plain, escaped in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), ("\0", "\\0")):
        value = value.replace(plain, escaped)
    return value


@given(st.lists(st.lists(st.none() | VALUES, min_size=2, max_size=2)))
def test_every_value_comes_back(table: list[list[str | None]]) -> None:
    lines = ["a\tb", *("\t".join(printed(value) for value in row) for row in table)]
    assert sql.rows("\n".join(lines) + "\n") == [dict(zip("ab", row, strict=True)) for row in table]


def test_no_rows_are_no_rows() -> None:
    assert sql.rows("") == []


@given(VALUES)
def test_a_text_in_sql_holds_nothing_that_sql_could_read(value: str) -> None:
    literal = sql.text(value)
    if value:
        assert bytes.fromhex(literal.removeprefix("_utf8mb4 0x")).decode() == value
    else:
        assert literal == "''"


@pytest.mark.parametrize("value", ["'", "\\", "a\nb", "\0"])
def test_what_would_end_the_quotes_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be quoted"):
        sql.quoted(value)


def test_positions() -> None:
    assert gtid.position("") == {}
    assert gtid.position("1-1-5,2-2-7,\n1-3-9") == {1: 9, 2: 7}
    assert gtid.covers({1: 5, 2: 3}, {1: 5})
    assert not gtid.covers({1: 5}, {1: 5, 2: 1})
    assert gtid.furthest({1: 5}, {1: 4, 2: 1}) == {1: 5, 2: 1}
    with pytest.raises(ValueError, match="unpack"):
        gtid.position("1-5")


@pytest.mark.parametrize(
    ("priv", "empty", "socket"),
    [
        ("{}", True, False),
        ('{"plugin":"mysql_native_password","authentication_string":""}', True, False),
        ('{"plugin":"mysql_native_password","authentication_string":"*AB"}', False, False),
        ('{"plugin":"unix_socket","authentication_string":""}', False, True),
        (
            '{"plugin":"mysql_native_password","authentication_string":"invalid",'
            '"auth_or":[{},{"plugin":"unix_socket"}]}',
            False,
            True,
        ),
        (
            '{"plugin":"mysql_native_password","authentication_string":"",'
            '"auth_or":[{},{"plugin":"unix_socket"}]}',
            True,
            True,
        ),
        ('{"access":0,"is_role":true}', False, False),
    ],
)
def test_an_empty_password_is_known_from_none_at_all(priv: str, empty: bool, socket: bool) -> None:
    found = account_of({"user": "a", "host": "b", "priv": priv})
    assert (found.password_hash == "", found.socket) == (empty, socket)
