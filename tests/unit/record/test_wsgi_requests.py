"""Odd requests: the WSGI recorder writes what can be written, and the application runs anyhow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from standfast.journal.format import FIELD_LIMIT, URI_LIMIT
from standfast.wsgi import Recorder
from tests.recorded import read
from tests.unit.record.wsgi_server import Served, answering


def test_a_uri_of_100_kib_is_cut_and_flagged(tmp_path: Path) -> None:
    one = Served(tmp_path, answering([]), RAW_URI="/page?x=" + "a" * 102_400)
    one.call()
    begin = one.request.begin
    assert begin.cut
    assert begin.uri.startswith("/page?x=aaa") and begin.uri.endswith("a…")
    assert len(begin.uri.encode()) == URI_LIMIT


def test_a_secret_in_a_uri_that_is_cut_is_masked_before_it_is_cut(tmp_path: Path) -> None:
    uri = "/page?x=" + "a" * (URI_LIMIT - 40) + "&password=" + "hunter2" * 10
    one = Served(tmp_path, answering([]), RAW_URI=uri)
    one.call()
    assert one.request.begin.uri.endswith("&password=***")
    assert not one.request.begin.cut


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("HTTP_USER_AGENT", "user_agent"), ("HTTP_HOST", "host"), ("REMOTE_ADDR", "client"),
        ("HTTP_X_FORWARDED_FOR", "forwarded_for"), ("REQUEST_METHOD", "method"),
    ],
)  # fmt: skip
def test_any_other_text_over_its_limit_is_cut_and_flagged(
    tmp_path: Path, name: str, field: str
) -> None:
    one = Served(tmp_path, answering([]), **{name: "a" * 5000})
    one.call()
    begin = one.request.begin
    assert begin.cut
    assert getattr(begin, field) == "a" * (FIELD_LIMIT - 3) + "…"
    assert begin.uri == "/page?x=1"


def test_text_beyond_ascii_is_recorded_as_the_client_sent_it(tmp_path: Path) -> None:
    as_a_server_decodes_it = "Bücher/1.0 …".encode().decode("latin-1")
    uri = "/page/ü".encode().decode("latin-1")
    one = Served(tmp_path, answering([]), HTTP_USER_AGENT=as_a_server_decodes_it, RAW_URI=uri)
    one.call()
    assert (one.request.begin.user_agent, one.request.begin.uri) == ("Bücher/1.0 …", "/page/ü")


def test_bytes_that_are_no_text_are_recorded_escaped(tmp_path: Path) -> None:
    one = Served(tmp_path, answering([]), HTTP_USER_AGENT="a\xff\xfeb")
    one.call()
    assert one.request.begin.user_agent == r"a\xff\xfeb"


def test_a_zero_byte_cannot_pretend_to_be_another_client(tmp_path: Path) -> None:
    environ = {"REMOTE_ADDR": "192.0.2.7", "HTTP_HOST": "a\x00evil", "RAW_URI": "/page\x00b"}
    one = Served(tmp_path, answering([]), **environ)
    assert one.whole() == b""
    (request,) = read(tmp_path).requests
    assert (request.begin.client, request.begin.method) == ("192.0.2.7", "GET")
    assert request.begin.uri.startswith("/page")
    assert request.closed


@pytest.mark.parametrize("value", [7, None, b"bytes", object()])
@pytest.mark.parametrize(
    "name", ["RAW_URI", "REQUEST_METHOD", "HTTP_HOST", "QUERY_STRING", "PATH_INFO"]
)
def test_a_variable_that_is_no_text_keeps_nobody_from_being_served(
    tmp_path: Path, name: str, value: Any
) -> None:
    one = Served(tmp_path, answering([b"served"]))
    one.environ |= {"RAW_URI": ""} | {name: value}
    assert one.whole() == b"served"


def test_an_environ_with_nothing_in_it_is_served(tmp_path: Path) -> None:
    one = Served(tmp_path, answering([b"served"]))
    one.environ = {}
    assert one.whole() == b"served"


def test_what_is_recorded_of_a_request_is_what_the_server_said(tmp_path: Path) -> None:
    environ = {
        "REQUEST_METHOD": "PATCH",
        "REMOTE_ADDR": "2001:db8::7",
        "HTTP_HOST": "shop.example",
        "HTTP_X_FORWARDED_FOR": "198.51.100.7, 203.0.113.9",
        "HTTP_USER_AGENT": "Visitor/1.0",
    }
    one = Served(tmp_path, answering([]), **environ)
    one.call()
    begin = one.request.begin
    assert (begin.kind, begin.method, begin.client) == ("http", "PATCH", "2001:db8::7")
    assert begin.forwarded_for == "198.51.100.7, 203.0.113.9"
    assert (begin.host, begin.user_agent, begin.cut) == ("shop.example", "Visitor/1.0", False)


def test_clients_are_truncated_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDFAST_TRUNCATE_CLIENTS", "1")
    addresses = {"REMOTE_ADDR": "192.0.2.77", "HTTP_X_FORWARDED_FOR": "2001:db8:a:b::1, joe"}
    one = Served(tmp_path, answering([]), **addresses)
    one.call()
    begin = one.request.begin
    assert (begin.client, begin.forwarded_for) == ("192.0.2.0", "2001:db8:a::")
    assert b"192.0.2.77" not in b"".join(path.read_bytes() for path in tmp_path.glob("*/*"))


def test_a_request_within_a_request_is_recorded_as_one_of_its_own(tmp_path: Path) -> None:
    inner = Served(tmp_path, answering([b"inner"]), RAW_URI="/inner")

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"outer " + inner.whole()]

    assert Served(tmp_path, app).whole() == b"outer inner"
    recorded = read(tmp_path)
    assert [request.begin.uri for request in recorded.requests] == ["/page?x=1", "/inner"]
    assert [request.end.sent for request in recorded.requests] == [11, 5]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/é/", "/%E9/"),  # the byte that the client sent
        ("/é/".encode().decode("latin-1"), "/%C3%A9/"),
        ("/漢/", "/%E6%BC%A2/"),  # decoded by the server, against PEP 3333
        ("/\udc80", "/%5Cudc80"),
    ],
)
def test_a_path_of_any_characters_is_recorded(tmp_path: Path, path: str, uri: str) -> None:
    one = Served(tmp_path, answering([]))
    one.environ |= {"RAW_URI": "", "PATH_INFO": path, "QUERY_STRING": ""}
    one.call()
    assert [request.begin.uri for request in read(tmp_path).requests] == [uri]


class Decoding(WSGIRequestHandler):
    """Decodes the path itself, as the server of Radicale does."""

    def get_environ(self) -> Any:
        return super().get_environ() | {"PATH_INFO": unquote(self.path.partition("?")[0])}

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.mark.parametrize("path", ["/%C3%A9/", "/%E6%BC%A2?x=1", "/%E9", "/plain"])
def test_a_server_that_decodes_paths_in_its_own_way_has_them_recorded_as_they_were_sent(
    tmp_path: Path, path: str
) -> None:
    recorder = Recorder(
        lambda environ, start: (start("200 OK", []), [b"x"])[1], name="shop", journal=str(tmp_path)
    )
    with make_server("127.0.0.1", 0, recorder, handler_class=Decoding) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        client = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        client.request("GET", path)
        assert client.getresponse().read() == b"x"
        client.close()
        thread.join()
    assert read(tmp_path).requests[0].begin.uri == path


@pytest.mark.parametrize("name", ["HTTP_USER_AGENT", "HTTP_HOST", "REMOTE_ADDR"])
def test_a_text_that_cannot_be_encoded_is_recorded_escaped(tmp_path: Path, name: str) -> None:
    one = Served(tmp_path, answering([]), **{name: "a\udc80漢"})
    one.call()
    assert "a\\udc80漢" in one.request.begin
