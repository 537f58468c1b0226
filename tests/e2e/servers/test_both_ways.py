"""An application that is wrapped by hand and run under ``standfast run`` is recorded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.servers.serving import serving
from tests.recorded import all_closed, read_until

GUNICORN = "gunicorn -b 127.0.0.1:{port}"
WAYS = {
    "wsgi": f"{GUNICORN} by_hand:wsgi",
    "wsgi-within": f"{GUNICORN} by_hand:wsgi_within",
    "asgi": "uvicorn --port {port} by_hand:asgi",
    "asgi-within": "uvicorn --port {port} by_hand:asgi_within",
    "asgi-worker": f"{GUNICORN} -k uvicorn_worker.UvicornWorker by_hand:asgi",
    "wsgi-through-uvicorn": "uvicorn --interface wsgi --port {port} by_hand:wsgi",
    "wsgi-within-through-uvicorn": "uvicorn --interface wsgi --port {port} by_hand:wsgi_named",
    "wsgi-through-hypercorn": "hypercorn -b 127.0.0.1:{port} wsgi:by_hand:wsgi",
}


@pytest.mark.parametrize("command", WAYS.values(), ids=WAYS)
def test_a_request_is_recorded_once_when_both_ways_are_used(command: str) -> None:
    with serving(*command.split()) as server:
        assert server.get("/") == (200, b"plain")
        assert server.get("/stream") == (200, b"012")
        assert server.get("/boom")[0] == 500
        recorded = read_until(server.journal, all_closed)
    assert [request.begin.uri for request in recorded.requests] == ["/", "/stream", "/boom"]
    ends = [request.end for request in recorded.requests]
    assert [(end.status, end.sent) for end in ends] == [(200, 5), (200, 3), (None, 0)]
    assert ends[2].error.endswith("\nValueError: boom in the shop\n")
    assert len({request.worker.pid for request in recorded.requests}) == 1


def test_a_recorder_by_hand_records_without_standfast_run_too(tmp_path: Path) -> None:
    variables = {"STANDFAST_JOURNAL": str(tmp_path), "STANDFAST_APP": "by-hand"}
    with serving(*WAYS["wsgi"].split(), variables=variables, recorded=False) as server:
        assert server.get("/") == (200, b"plain")
        recorded = read_until(tmp_path, all_closed)
    request = recorded.one("/")
    assert (request.worker.app, request.end.status) == ("by-hand", 200)
