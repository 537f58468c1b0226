"""The customers of the demo's shop: a bounded number of threads that ask for pages."""

from __future__ import annotations

import http.client
import random
import threading
import time
from urllib.parse import quote, urlencode

_NAMES = ("Ada", "Ben", "Chloe", "Dov", "Emil", "Fatima", "Grace", "Hiro", "Ines", "Jan")
#: Longer than the shop's label: these customers crash it.
_LONG_NAMES = (
    "Wolfeschlegelsteinhausenbergerdorff the Elder, third floor",
    "The Honourable Society of Collectors of Porcelain Teapots",
)
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Customers:
    """Threads that visit the shop until the time is over."""

    def __init__(self, port: int, seed: int, count: int = 14) -> None:
        self.sent = 0
        self.broken = 0
        self._port = port
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._visit, args=(random.Random(f"{seed}-{n}"),), daemon=True)  # noqa: S311 - a repeatable mix, no secret
            for n in range(count)
        ]
        self._until = 0.0

    def start(self, seconds: float) -> None:
        """Opens the doors for ``seconds``."""
        self._until = time.monotonic() + seconds
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Waits for the last of them, a few seconds after closing time at most."""
        for thread in self._threads:
            thread.join(max(self._until - time.monotonic(), 0) + 6)

    def _visit(self, chance: random.Random) -> None:
        while time.monotonic() < self._until:
            broken = not self._ask(*_wish(chance))
            with self._lock:
                self.sent += 1
                self.broken += broken
            time.sleep(chance.uniform(0.005, 0.05))

    def _ask(self, method: str, path: str, body: str | None) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        headers = {"User-Agent": _AGENT}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, body, headers)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True


def _wish(chance: random.Random) -> tuple[str, str, str | None]:
    number = chance.randint(1, 200)
    dice = chance.random()
    if dice < 0.25:
        return "GET", "/", None
    if dice < 0.55:
        return "GET", f"/product/{number}", None
    if dice < 0.80:
        return "GET", f"/search?q={chance.choice(('tea', 'cup', 'honey', 'pot'))}&page=1", None
    if dice < 0.90:
        form = {"product": number, "name": chance.choice(_NAMES), "card_no": "4111111111111111"}
        return "POST", "/order", urlencode(form)
    if dice < 0.905:
        return "GET", "/report", None
    long = chance.random() < 0.06
    name = chance.choice(_LONG_NAMES if long else _NAMES)
    return "GET", f"/label/{number}?to={quote(name)}", None
