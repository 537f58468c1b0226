"""An HTTP server on 127.0.0.1 that takes whatever a peer exports and asks nothing back."""

from __future__ import annotations

import contextlib
import gzip
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: What ddtrace asks for before it sends: the paths that an agent has.
_INFO = b'{"version": "7.60.0", "endpoints": ["/v0.4/traces", "/v0.5/traces", "/telemetry/proxy/"]}'


class Sink:
    """Takes requests, and keeps their bodies, unpacked, if it is told to."""

    def __init__(self, keep: bool) -> None:
        self.bodies: list[bytes] = []
        self._keep = keep
        sink = self

        class Handler(_Handler):
            def take(self, body: bytes) -> None:
                sink.take(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, body: bytes) -> None:
        """Called for each request, in a thread of its own."""
        if self._keep:
            self.bodies.append(body)

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def sink(*, keep: bool) -> Iterator[Sink]:
    """A sink for as long as the block lasts."""
    made = Sink(keep)
    try:
        yield made
    finally:
        made.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def take(self, body: bytes) -> None:
        raise NotImplementedError

    def do_POST(self) -> None:
        body = self._body()
        with contextlib.suppress(OSError, EOFError, zlib.error):
            body = _unpacked(body, self.headers.get("Content-Encoding", ""))
        self.take(body)
        self._answer(b"{}")

    do_PUT = do_POST  # noqa: N815

    def do_GET(self) -> None:
        self._answer(_INFO if self.path == "/info" else b"{}")

    def handle(self) -> None:
        # The peers' processes die on purpose, in the middle of anything.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    return body
