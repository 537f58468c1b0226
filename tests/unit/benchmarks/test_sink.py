"""The sink understands what the peers send."""

from __future__ import annotations

import gzip
import http.client
import zlib
from collections.abc import Iterator

import pytest

from benchmarks.sink import Sink, sink


@pytest.fixture
def taken() -> Iterator[Sink]:
    with sink(keep=True) as made:
        yield made


def _post(to: Sink, body: object, **headers: str) -> int:
    connection = http.client.HTTPConnection(to.url.removeprefix("http://"), timeout=10.0)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/intake", body=body, headers=sent)  # type: ignore[arg-type]
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_bodies_are_kept_unpacked(taken: Sink) -> None:
    assert _post(taken, b"plain") == 200
    assert _post(taken, gzip.compress(b"zipped"), Content_Encoding="gzip") == 200
    assert _post(taken, zlib.compress(b"deflated"), Content_Encoding="deflate") == 200
    assert _post(taken, iter([b"in ", b"chunks"])) == 200

    assert taken.bodies == [b"plain", b"zipped", b"deflated", b"in chunks"]


def test_a_body_that_is_not_what_it_says_is_kept_as_it_came(taken: Sink) -> None:
    assert _post(taken, b"no gzip", Content_Encoding="gzip") == 200

    assert taken.bodies == [b"no gzip"]
