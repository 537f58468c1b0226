"""A flood of tries to sign in, on a real server: argon2 takes 64 MiB and a processor for each."""

from __future__ import annotations

import itertools
import os
import re
import socket
import threading
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from standfast.store import people
from standfast.web.site import SESSION_COOKIE
from tests.e2e.web.dashboard import PASSWORD, Dashboard, seal, serve, sign_in
from tests.unit.watch.journals import House, dead, wait_until

#: From so many addresses, each of which tries with so many connections at once.
ADDRESSES = 40
OF_EACH = 4
HASH_KIB = 64 * 1024
#: An owner at a browser that is not known may have to wait, but not as long as this, in seconds.
LONGEST_S = 60


def peak_kib(shown: Dashboard) -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{shown.pid}/status").read_text())
    assert found is not None
    return int(found[1])


class Flood:
    """Wrong passwords for ever other names, from all addresses, until told to stop."""

    def __init__(self, shown: Dashboard) -> None:
        self.answers: list[int] = []
        self._at = urlsplit(shown.url)
        form = shown.client().get("signin")
        self._form = {"seal": seal(form), "password": "x", "next": ""}
        self._cookie = {"Cookie": form.headers["set-cookie"].partition(";")[0]}
        self._connections: list[HTTPConnection] = []
        self._stop = threading.Event()

    def __enter__(self) -> Flood:
        for number in range(ADDRESSES * OF_EACH):
            source = (f"127.0.5.{number % ADDRESSES + 1}", 0)
            connection = HTTPConnection(
                self._at.hostname or "", self._at.port, source_address=source
            )
            connection.connect()
            self._connections.append(connection)
            threading.Thread(target=self._try, args=(connection, number), daemon=True).start()
        return self

    def _try(self, connection: HTTPConnection, number: int) -> None:
        kind = {"Content-Type": "application/x-www-form-urlencoded", **self._cookie}
        for tries in itertools.count():
            body = urlencode({**self._form, "name": f"any{number}.{tries}"})
            try:
                connection.request("POST", "/signin", body, kind)
                answer = connection.getresponse()
                answer.read()
            except OSError:
                return
            self.answers.append(answer.status)
            # Refusals cost a server little, but a machine that tries as fast as it can much.
            if self._stop.wait(0.5 if answer.status == 429 else 0):
                return

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for connection in self._connections:
            if connection.sock:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)


def test_a_flood_of_tries_costs_few_hashes_at_once_and_owners_get_in(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.journal(dead(pid=10)).begin("/")
    house.drain()
    people.add_person(house.engine, "vic", PASSWORD, ("shop",), admin=False)
    with serve(house) as shown:
        known, unknown = shown.client("127.0.0.2"), shown.client("127.0.0.3")
        unknown.timeout = LONGEST_S
        assert sign_in(known, "vic").status_code == 303
        before_kib = peak_kib(shown)
        with Flood(shown) as flood:
            wait_until(lambda: 403 in flood.answers, 60)
            page = known.get("apps/1/crashes")
            assert page.status_code == 200
            del known.cookies[SESSION_COOKIE]
            assert sign_in(known, "vic").status_code == 303
            before = flood.answers.count(403)
            assert sign_in(unknown, "vic").status_code == 303
            assert flood.answers.count(403) - before <= ADDRESSES + 5
            assert set(flood.answers) <= {403, 429}
        hashes = 1 + max(1, (os.cpu_count() or 1) // 2)
        assert peak_kib(shown) - before_kib < hashes * HASH_KIB + 64 * 1024
