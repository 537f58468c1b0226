"""Where an error comes from."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.journal.format import CUT_MARK, ERROR_LIMIT
from standfast.record.errors import bounded
from standfast.store.places import PLACE_LIMIT, place

DJANGO = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/django/core/handlers/base.py", line 197, in get_response
    response = wrapped(request)
  File "/srv/shop/orders/views.py", line 42, in checkout
    total = cart.total()
            ^^^^^^^^^^^^
  File "/venv/lib/python3.11/site-packages/money/sum.py", line 7, in total
    return sum(prices)
TypeError: unsupported operand type(s) for +: 'int' and 'str'
"""


def test_the_innermost_frame_of_the_applications_own_code_is_the_place() -> None:
    assert place(DJANGO) == "TypeError at orders/views.py:42 in checkout"


def test_where_no_code_is_the_applications_own_the_innermost_frame_is_the_place() -> None:
    own = DJANGO.replace("/srv/shop/orders", "/usr/lib/python3/dist-packages/shop")
    assert place(own) == "TypeError at money/sum.py:7 in total"


def test_of_an_exception_with_a_cause_the_last_one_tells() -> None:
    later = DJANGO.replace("TypeError", "shop.errors.CheckoutFailed").replace("42", "50")
    text = f"{DJANGO}\nThe above exception was the direct cause of the following:\n\n{later}"
    assert place(text) == "shop.errors.CheckoutFailed at orders/views.py:50 in checkout"


def test_an_error_that_python_prints_has_its_kind_and_line() -> None:
    try:
        int("seven\nFile")
    except ValueError:
        text = traceback.format_exc()
    found = place(text)
    assert found is not None
    assert found.startswith("ValueError at store/test_places.py:")
    assert found.endswith(" in test_an_error_that_python_prints_has_its_kind_and_line")


def test_of_a_group_the_last_of_its_errors_tells() -> None:
    text = """  + Exception Group Traceback (most recent call last):
  |   File "/srv/shop/tasks.py", line 5, in main
  |     async with asyncio.TaskGroup() as group:
  |   File "/usr/lib/python3.11/asyncio/taskgroups.py", line 145, in __aexit__
  |     raise me from None
  | ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/srv/shop/mail.py", line 1, in send
    |     raise OSError
    | OSError
    +---------------- 2 ----------------
    | Exception Group Traceback (most recent call last):
    |   File "/srv/shop/tasks.py", line 9, in inner
    |     async with asyncio.TaskGroup() as group:
    | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
    +-+---------------- 1 ----------------
      | Traceback (most recent call last):
      |   File "/srv/shop/label.py", line 42, in label
      |     raise KeyError(name)
      | KeyError: 'name'
      +------------------------------------
"""
    assert place(text) == "KeyError at shop/label.py:42 in label"


def test_a_kind_that_was_made_in_a_function_is_told() -> None:
    class Refused(Exception):
        pass

    try:
        raise Refused("no")
    except Refused:
        found = place(traceback.format_exc())
    assert found is not None
    assert found.split(" at ")[0].endswith("in_a_function_is_told.<locals>.Refused")


def test_a_place_that_was_cut_says_so() -> None:
    assert place("x" * 160) == "x" * 160
    assert place("x" * 161) == "x" * 159 + "…"


def test_an_error_that_was_only_logged_has_its_own_line_as_its_place() -> None:
    assert place("shop.payment: the bank said no\n") == "shop.payment: the bank said no"


def test_a_stack_that_was_cut_keeps_its_place() -> None:
    frame = '  File "/srv/shop/tree.py", line 9, in walk\n    walk(node)\n'
    deep = f"Traceback (most recent call last):\n{frame * 2000}RecursionError: too deep\n"
    assert len(deep) > ERROR_LIMIT and CUT_MARK in bounded(deep)
    assert place(bounded(deep)) == "RecursionError at shop/tree.py:9 in walk"


@pytest.mark.parametrize("text", ["", "\n \n", "\0"])
def test_a_text_without_anything_has_no_place_that_misleads(text: str) -> None:
    assert place(text) in (None, "\\x00")


@given(st.text() | st.lists(st.sampled_from([*DJANGO.splitlines(), "\0", "\u202e"])).map("\n".join))
def test_whatever_an_error_says_its_place_is_short_and_harmless(text: str) -> None:
    found = place(text)
    assert found is None or (0 < len(found) <= PLACE_LIMIT and found.isprintable())
