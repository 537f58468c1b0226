"""What the recorders of both kinds write of secrets outside the query: in the host, in the path."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from standfast import asgi, wsgi

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.S3cretS3cret"
CASES = [
    ("/", "u:S3cret@127.0.0.1", b"***@127.0.0.1"),
    ("/http:/user:S3cret@127.0.0.1/", "shop.example", b"/http:/***@127.0.0.1/"),
    ("http://user:S3cret@127.0.0.1/", "shop.example", b"http://***@127.0.0.1/"),
    ("/reset/MQ/c5s2b1-0a1b2c3d4e5f60718293S3cret1/", "shop.example", b"/reset/MQ/***/"),
    (f"/sso/{JWT}", "shop.example", b"/sso/***"),
]


def _bytes(journal: Path) -> bytes:
    return b"".join(path.read_bytes() for path in journal.glob("*/*.journal"))


@pytest.mark.parametrize(("uri", "host", "kept"), CASES)
def test_wsgi_writes_no_secret_of_a_host_or_a_path(
    tmp_path: Path, uri: str, host: str, kept: bytes
) -> None:
    recorder = wsgi.Recorder(lambda environ, start: [], name="hooks", journal=str(tmp_path))
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": uri, "HTTP_HOST": host}
    recorder(environ, lambda *_: None)
    data = _bytes(tmp_path)
    assert kept in data
    assert b"S3cret" not in data


@pytest.mark.parametrize(("uri", "host", "kept"), CASES)
def test_asgi_writes_no_secret_of_a_host_or_a_path(
    tmp_path: Path, uri: str, host: str, kept: bytes
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def nothing(message: Any = None) -> Any:
        pass

    recorder = asgi.Recorder(app, name="hooks", journal=str(tmp_path))
    scope = {
        "type": "http",
        "method": "GET",
        "path": uri,
        "raw_path": uri.encode(),
        "headers": [(b"host", host.encode())],
    }
    asyncio.run(recorder(scope, nothing, nothing))
    data = _bytes(tmp_path)
    assert kept in data
    assert b"S3cret" not in data
