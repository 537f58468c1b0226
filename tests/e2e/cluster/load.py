"""Writes to one server without pause, and remembers what was acknowledged."""

from __future__ import annotations

import subprocess
import threading
import time

from .machines import Machine

#: Others use this machine too.
_PAUSE_S = 0.01


class Load:
    """A client that inserts rows, each with words of its own, until it is told to end; where its
    server is gone it tries again. ``acknowledged`` are the words of all that were said to be in."""

    def __init__(self, machine: Machine, table: str, client: str = "mariadb") -> None:
        self.acknowledged: list[str] = []
        self._machine = machine
        self._table = table
        self._client = client
        self._ended = threading.Event()
        self._count = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.is_set():
            client = subprocess.Popen(
                self._machine.remote.command(
                    f"{self._client} --batch --skip-column-names --unbuffered"
                ),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                self._write(client)
            except BrokenPipeError:
                pass
            finally:
                client.kill()
                client.communicate()
            time.sleep(0.05)

    def _write(self, client: subprocess.Popen[bytes]) -> None:
        assert client.stdin is not None and client.stdout is not None
        while not self._ended.is_set():
            self._count += 1
            words = f"{self._machine.server.name}-{self._count}"
            client.stdin.write(
                f"INSERT INTO {self._table} (words) VALUES ('{words}'); SELECT 'in';\n".encode()
            )
            client.stdin.flush()
            if client.stdout.readline() != b"in\n":
                return
            self.acknowledged.append(words)
            time.sleep(_PAUSE_S)
