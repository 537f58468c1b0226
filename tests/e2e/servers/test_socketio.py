"""WebSockets of a real Flask-SocketIO under gunicorn."""

from __future__ import annotations

from websockets.sync.client import connect

from tests.e2e.servers.serving import serving
from tests.recorded import read, read_until


def test_a_websocket_of_flask_socketio_that_ends_is_no_error() -> None:
    command = "gunicorn -b 127.0.0.1:{port} -k gthread --threads 4 hanging_socketio:app"
    with serving(*command.split()) as server:
        address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
        with connect(address, open_timeout=20) as client:
            client.recv(20)
            read_until(server.journal, lambda recorded: len(recorded.requests) == 1)
        read_until(server.journal, lambda recorded: bool(recorded.one("/socket.io").ends))
        request = read(server.journal).one("/socket.io")
        assert request.begin.kind == "websocket"
        end = request.ends[-1]
        assert (end.error, end.aborted) == ("", False)
        assert (end.status or 0) < 500
