"""A real `standfast serve` over a store that a real watcher filled from journals.

What the journals hold is what a hostile client and a hostile application can put there.
"""

from __future__ import annotations

import html
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from standfast.journal.files import FAULT_SUFFIX, app_folder
from standfast.store import people
from standfast.store.tables import application, incident, request, worker
from standfast.watch import Settings
from standfast.web.site import VISIT_COOKIE
from tests.e2e.servers.serving import BIN, PATIENCE_S, environment
from tests.unit.watch.journals import House, Journal, dead, living, wait_until

PASSWORD = "correct horse battery staple"
#: Who may see what; root sees all.
PEOPLE = {"ada": ("shop",), "eve": ("bank",), "root": None}
#: An application may call itself so: as a file name it would end the header that it stands in.
STRANGE_APP = 'strange"\r\nSet-Cookie: taken=1;<b>\u202e'
#: What belongs to eve's application only, and may show on no page of ada's.
SECRET = "secret-of-the-bank"

#: URIs, user agents and the like that must not act anywhere, as the recorder writes them.
HOSTILE = (
    b"<script>document.title='taken'</script>",
    b'"><img src=x onerror=alert(1)>',
    b"'onmouseover='alert(1)",
    b"{{7*7}}{% raw %}${7*7}",
    b'=HYPERLINK("http://x.test","click")',
    b"+1+cmd|' /C calc'!A0",
    b"-2+3",
    b"@SUM(A1:A9)",
    b"\t=1+1",
    b"\r\n=1+1",
    "\uff1d1+1".encode(),
    b"event: message\r\rdata: taken\r\n\r\ndata: taken\n\n",
    "line\u2028data: taken\u2029\u0085end".encode(),
    "\u202egnp.exe\u2066\u200b\ufeff\u00ad".encode(),
    b"\x00\x07\x1b]0;taken\x07\x1b[31m",
    b"\xff\xfe\x80 not utf-8 \xed\xa0\x80 \xc3",
    b"A" * 8000,
    "\U0001f469\u200d\U0001f467 e\u0301 \u05d0\u05d1".encode(),
    b"]]></style></title></textarea><style>*{display:none}</style>",
    b'a,b;c"d"\n\'e',
)


@dataclass
class Dashboard:
    """A server that answers at ``url``. ``clients`` are closed when it ends."""

    url: str
    log: Path
    house: House
    pid: int
    clients: dict[str, httpx.Client] = field(default_factory=dict)

    def client(self, address: str = "127.0.0.1") -> httpx.Client:
        """Somebody who has not signed in, at one of the addresses of this machine."""
        transport = httpx.HTTPTransport(local_address=address)
        made = httpx.Client(base_url=self.url, transport=transport, timeout=120)
        self.clients[f"stranger {len(self.clients)}"] = made
        return made

    def signed_in(self, name: str) -> httpx.Client:
        """Who has signed in through the form: once, and stays so."""
        if name not in self.clients:
            client = self.client()
            answer = sign_in(client, name)
            assert answer.status_code == 303, answer.text
            self.clients[name] = client
        return self.clients[name]

    def app(self, name: str) -> int:
        """The number of an application."""
        return int(self.house.row(application, name=name).id)

    def incident(self, app: str) -> int:
        """The number of an application's first incident."""
        return int(self.house.rows(incident, application_id=self.app(app))[0].id)

    def request(self, app: str, outcome: str) -> str:
        """The name of an application's first request of this outcome."""
        row = self.house.rows(request, application_id=self.app(app), outcome=outcome)[0]
        return f"{self.house.row(worker, id=row.worker_id).uid}-{row.seq}"

    def paths(self, app: str) -> list[str]:
        """The addresses of all pages and lists about an application."""
        names = [self.request(app, outcome) for outcome in ("unfinished", "open", "slow", "failed")]
        lists = ("crashes", "slow", "errors", "inflight", "suspects")
        return [
            f"/apps/{self.app(app)}{path}"
            for path in (
                "", *(f"/{name}" for name in lists), "/shares", "/report.html",
                f"/crashes/{self.incident(app)}",
                *(f"/requests/{name}" for name in names),
                *(f"/{name}.{kind}" for name in lists for kind in ("json", "csv")),
            )
        ]  # fmt: skip


def sign_in(
    client: httpx.Client, name: str, password: str = PASSWORD, wanted: str = "", **headers: str
) -> httpx.Response:
    """Fetches the form, fills it in and sends it; ``headers`` go with both."""
    shown = client.get("signin", headers=headers)
    fields = {"name": name, "password": password, "seal": seal(shown), "next": wanted}
    # By hand, as the path that a proxy has taken away stands in it.
    visit = re.search(rf"{VISIT_COOKIE}=[^;]+", shown.headers.get("set-cookie", ""))
    if visit:
        headers["Cookie"] = visit[0]
    return client.post("signin", data=fields, headers=headers)


def seal(shown: httpx.Response) -> str:
    """The seal of the first form on a page."""
    found = re.search(r'name="seal" value="([^"]*)"', shown.text)
    assert found is not None, shown.text
    return html.unescape(found[1])


def token(shown: httpx.Response) -> str:
    """The token of the first link on the page of shares."""
    found = re.search(r'href="[^"]*/shared/([^"]+)"', shown.text)
    assert found is not None, shown.text
    return html.unescape(found[1])


def fill(place: Path) -> House:
    """A store with three applications in which everything that can be shown is hostile."""
    house = House(place, Settings(slow_s=1.0, keep_ordinary_s=1e9))
    for at, (app, mark) in enumerate((("shop", ""), ("bank", SECRET), (STRANGE_APP, ""))):
        alive = house.journal(living(app))
        for hostile in HOSTILE:
            fail(alive, hostile + mark.encode())
            alive.end(begin(alive, hostile + mark.encode()), duration_s=3.0)
        alive.request(f"/fine/{mark}")
        begin(alive, b"in flight" + HOSTILE[0] + mark.encode())
        gone = house.journal(dead(app, pid=4242 + at))
        for hostile in HOSTILE[:6]:
            fail(gone, hostile + mark.encode())
        begin(gone, HOSTILE[0] + mark.encode())
        begin(gone, HOSTILE[4] + mark.encode())
        fault = b"Fatal Python error: Segmentation fault\n\n" + b"\n".join(HOSTILE) + mark.encode()
        beside = Path(app_folder(str(house.folder), app), gone.uid + FAULT_SUFFIX)
        beside.write_bytes(fault)
    house.drain()
    people.add_person(house.engine, "root", PASSWORD, (), admin=True)
    for name, apps in PEOPLE.items():
        if apps is not None:
            people.add_person(house.engine, name, PASSWORD, apps, admin=False)
    return house


def begin(journal: Journal, hostile: bytes) -> int:
    """A request of which every text is hostile."""
    journal.now_ns += 1_000_000
    flat = hostile.replace(b"\0", b"")
    # NUL parts the texts; only the last of them can hold one.
    texts = (flat, flat[:20], b"/" + flat + b"?" + flat, flat, flat, hostile)
    return journal.begin_raw(b"\0".join(texts), journal.now_ns)


def fail(journal: Journal, hostile: bytes) -> None:
    """A request that ends in an error of which every part is hostile."""
    seq = begin(journal, hostile)
    error = b'Traceback (most recent call last):\n  File "%b", line 1, in %b\n%b: %b'
    journal.end(seq, 500, error=error % (hostile, hostile, hostile, hostile))


@contextmanager
def serve(house: House, *options: str) -> Iterator[Dashboard]:
    """`standfast serve` over this store, until the test has ended."""
    log = Path(house.url).with_name(f"serve-{len(options)}.log")
    words = [f"{BIN}/standfast", "serve", "--store", house.url, "--bind", "127.0.0.1:0", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, env=environment(), cwd=log.parent, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    shown: Dashboard | None = None
    try:
        address = re.compile(r"at (http://\S+/)\n")
        wait_until(
            lambda: address.search(log.read_text()) or process.poll() is not None, PATIENCE_S
        )
        found = address.search(log.read_text())
        assert found is not None, log.read_text()
        shown = Dashboard(found[1], log, house, process.pid)
        yield shown
    finally:
        for client in shown.clients.values() if shown else ():
            client.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
