"""What stacks say of a wait, as real servers have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.watch.facts import client_wait_fact, traceback_fact
from standfast.watch.waits import Call, client_wait, crashing_stack, loop_wait

LIB = "/usr/lib/python3.11"
SITE = "/srv/venv/lib/python3.11/site-packages"


def stack(*calls: str) -> list[Call]:
    """``function path`` of each call, the innermost first."""
    return [Call(function, file) for function, file in (call.split(" ", 1) for call in calls)]


WAITS = {
    "gunicorn, a silent connection": (
        ("head", "gunicorn"),
        stack(
            f"chunk {SITE}/gunicorn/http/unreader.py", f"read {SITE}/gunicorn/http/unreader.py",
            f"get_data {SITE}/gunicorn/http/message.py", f"run {SITE}/gunicorn/workers/sync.py")),
    "gunicorn, a slow upload": (
        ("body", "gunicorn"),
        stack(
            f"recv_into {LIB}/ssl.py",
            f"chunk {SITE}/gunicorn/http/unreader.py", f"read {SITE}/gunicorn/http/unreader.py",
            f"read {SITE}/gunicorn/http/body.py", "upload /srv/shop/shop.py")),
    "gunicorn, a slow download": (
        ("response", "gunicorn"),
        stack(f"write {SITE}/gunicorn/util.py", f"write {SITE}/gunicorn/http/wsgi.py")),
    "werkzeug, a slow upload": (
        ("body", "werkzeug"),
        stack(
            f"readinto {LIB}/socket.py", f"readinto {SITE}/werkzeug/wsgi.py",
            "upload /srv/shop/shop.py")),
    "werkzeug, a silent connection": (
        ("head", "http.server"),
        stack(f"readinto {LIB}/socket.py", f"handle_one_request {LIB}/http/server.py")),
    "http.server, half a head": (
        ("head", "http.server"),
        stack(
            f"readinto {LIB}/socket.py", f"_read_headers {LIB}/http/client.py",
            f"parse_headers {LIB}/http/client.py", f"parse_request {LIB}/http/server.py")),
    "waitress, a slow download": (
        ("response", "waitress"),
        stack(
            f"wait {LIB}/threading.py",
            f"_flush_outbufs_below_high_watermark {SITE}/waitress/channel.py")),
}  # fmt: skip

NO_WAITS = {
    "an answer of another service": stack(
        f"readinto {LIB}/socket.py", f"_read_status {LIB}/http/client.py",
        f"urlopen {LIB}/urllib/request.py", "pay /srv/shop/shop.py",
        f"handle {SITE}/gunicorn/workers/sync.py"),
    "a database": stack(
        f"recv_into {LIB}/socket.py", f"_read_bytes {SITE}/pymysql/connections.py",
        f"read {SITE}/gunicorn/http/body.py"),
    "a lock": stack(f"wait {LIB}/threading.py", "transfer /srv/shop/shop.py"),
    "the application itself": stack("spin /srv/shop/shop.py", f"run {SITE}/gunicorn/util.py"),
    "a file of the application that is named alike": stack(
        "chunk /srv/shop/notgunicorn/http/unreader.py"),
    "nothing": [],
}  # fmt: skip


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_for_a_client_is_told_with_its_part(name: str) -> None:
    (part, server), calls = WAITS[name]
    found = client_wait(calls)
    assert found is not None
    assert (found.part, found.server) == (part, server)
    assert loop_wait(calls) is None


@pytest.mark.parametrize("name", NO_WAITS)
def test_other_waits_are_not_the_clients(name: str) -> None:
    assert client_wait(NO_WAITS[name]) is None


def test_an_event_loop_that_has_nothing_to_do_is_told_by_its_name() -> None:
    asyncio = stack(
        f"select {LIB}/selectors.py", f"_run_once {LIB}/asyncio/base_events.py",
        f"run_forever {LIB}/asyncio/base_events.py")  # fmt: skip
    assert loop_wait(asyncio) == "asyncio"
    assert loop_wait(stack(f"run {SITE}/gevent/hub.py")) == "gevent"
    assert loop_wait(stack(f"run {LIB}/asyncio/runners.py")) == "uvloop"
    busy = stack("spin /srv/shop/shop.py", f"_run_once {LIB}/asyncio/base_events.py")
    assert loop_wait(busy) is None


FAULT = f"""Fatal Python error: Aborted

Current thread 0x00007f1e2c3d4740 (most recent call first):
  File "{SITE}/gunicorn/http/unreader.py", line 64 in chunk
  File "{SITE}/gunicorn/http/unreader.py", line 40 in read
  File "{SITE}/gunicorn/http/message.py", line 240 in get_data
  File "/srv/shop/wsgi.py", line 7 in main

Extension modules: numpy.core (total: 1)
"""


def test_the_traceback_of_a_time_out_says_that_a_client_was_waited_for() -> None:
    fact = client_wait_fact(FAULT, 5)
    assert fact is not None
    assert fact.data == {"part": "head", "server": "gunicorn", "thread": 0x7F1E2C3D4740}
    assert (fact.kind, fact.source, fact.at_ns) == ("client_wait", "faulthandler", 5)
    assert client_wait_fact(FAULT.replace("unreader", "other"), 5) is None


def test_a_traceback_names_the_applications_own_line() -> None:
    fact = traceback_fact(FAULT, 5)
    assert fact is not None
    assert fact.data["own"] == ["main", "/srv/shop/wsgi.py", 7]
    foreign = traceback_fact(FAULT.replace("/srv/shop/", f"{SITE}/shop/"), 5)
    started = traceback_fact(FAULT.replace("/srv/shop/wsgi.py", "/srv/shop/venv/bin/gunicorn"), 5)
    for none in (foreign, started):
        assert none is not None
        assert "own" not in none.data


@given(st.text())
def test_no_words_of_a_fault_do_harm(text: str) -> None:
    for fault in (text, FAULT + text, text + FAULT, FAULT.replace("unreader", text)):
        assert len(crashing_stack(fault)) <= 200
        client_wait_fact(fault, 0)
