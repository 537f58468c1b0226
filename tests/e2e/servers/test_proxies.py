"""Behind real proxies: Apache before gunicorn, one or two of them, by TCP and a Unix socket."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from standfast.store.tables import request
from tests.e2e.servers.serving import PATIENCE_S, free_port, serving, wait_until_it_answers
from tests.e2e.watched import until, watched
from tests.tools import need
from tests.unit.watch.journals import House

CLIENT, INNER, OUTER = "127.0.0.9", "127.0.0.5", "127.0.0.6"
FORGED = "203.0.113.7"
_APACHE = """
ServerName proxy.test
Listen 127.0.0.1:{port}
PidFile {folder}/httpd.pid
ErrorLog {folder}/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule remoteip_module /usr/lib/apache2/modules/mod_remoteip.so
ProxyPass / {backend}
{more}
"""
_REMOTE_IP = f"RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy {OUTER}\n"


@contextmanager
def apache(folder: Path, backend: str, own: str, more: str = "") -> Iterator[int]:
    """The port of a proxy that asks ``backend`` from the address ``own``."""
    need("apache2")
    folder.mkdir()
    port = free_port()
    source = "" if backend.startswith("unix:") else f"ProxySourceAddress {own}\n"
    config = folder / "httpd.conf"
    config.write_text(_APACHE.format(port=port, folder=folder, backend=backend, more=source + more))
    command = ["apache2", "-X", "-d", str(folder), "-f", str(config)]
    log = folder / "said.log"
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    with (
        log.open("wb") as said,
        subprocess.Popen(command, env=env, stdout=said, stderr=said) as process,
    ):
        try:
            wait_until_it_answers(process, port, log)
            yield port
        finally:
            process.kill()


def ask(port: int, path: str, address: str = CLIENT, forwarded: str = "") -> None:
    """A request to a port of this machine, from an address of it."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, PATIENCE_S, source_address=(address, 0)
    )
    connection.request("GET", path, headers={"X-Forwarded-For": forwarded} if forwarded else {})
    assert connection.getresponse().status == 500
    connection.close()


@contextmanager
def behind(folder: Path, **settings: Any) -> Iterator[tuple[dict[str, int], House]]:
    """The ports of an application and of the proxies before it, by name, and its store."""
    socket = folder / "app.sock"
    binds = ("-b", "127.0.0.1:{port}", "-b", f"unix:{socket}")
    with ExitStack() as stack:
        server = stack.enter_context(serving("gunicorn", *binds, "shop_wsgi:app"))
        ports = {"app": server.port}

        def add(name: str, backend: str, own: str, more: str = "") -> None:
            ports[name] = stack.enter_context(apache(folder / name, backend, own, more))

        add("inner", f"http://127.0.0.1:{server.port}/", INNER)
        add("outer", f"http://127.0.0.1:{ports['inner']}/", OUTER)
        add("remoteip", f"http://127.0.0.1:{server.port}/", INNER, _REMOTE_IP)
        add("before-remoteip", f"http://127.0.0.1:{ports['remoteip']}/", OUTER)
        add("by-socket", f"unix:{socket}|http://shop.test/", INNER)
        yield ports, stack.enter_context(watched(server, **settings))


def clients(house: House, number: int) -> dict[str, tuple[str, str | None]]:
    """The client of each request, and its peer where that is another, by its query."""
    until(house, lambda: len(house.rows(request)) == number)
    return {row.uri.partition("?")[2]: (row.client, row.peer) for row in house.rows(request)}


def test_the_client_is_who_asked_the_first_proxy_and_nobody_can_say_that_it_is_another(
    tmp_path: Path,
) -> None:
    with behind(tmp_path, trusted_proxies=(INNER, OUTER, "unix")) as (ports, house):
        for name, port in ports.items():
            ask(port, f"/boom?{name}", CLIENT)
            ask(port, f"/boom?{name}-forged", CLIENT, f"{FORGED}, {INNER}")
        found = clients(house, 2 * len(ports))
    assert found == {
        "app": (CLIENT, None),
        "app-forged": (CLIENT, None),
        "inner": (CLIENT, INNER),
        "inner-forged": (CLIENT, INNER),
        "outer": (CLIENT, INNER),
        "outer-forged": (CLIENT, INNER),
        "remoteip": (CLIENT, INNER),
        "remoteip-forged": (CLIENT, INNER),
        "before-remoteip": (CLIENT, INNER),
        "before-remoteip-forged": (CLIENT, INNER),
        "by-socket": (CLIENT, ""),
        "by-socket-forged": (CLIENT, ""),
    }


def test_no_more_proxies_are_believed_than_there_are_said_to_be(tmp_path: Path) -> None:
    """Who asks from a trusted address past the outer proxy is the client, whatever it says."""
    with behind(tmp_path, trusted_proxies=("127.0.0.0/8",), proxy_hops=2) as (ports, house):
        ask(ports["outer"], "/boom?outer", CLIENT, FORGED)
        ask(ports["inner"], "/boom?inner", CLIENT)
        found = clients(house, 2)
    assert found == {"outer": (CLIENT, INNER), "inner": (CLIENT, INNER)}


def test_where_no_proxy_is_trusted_the_peer_is_the_client(tmp_path: Path) -> None:
    with behind(tmp_path) as (ports, house):
        ask(ports["outer"], "/boom?outer", CLIENT)
        found = clients(house, 1)
    assert found == {"outer": (INNER, None)}
