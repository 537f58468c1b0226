"""`standfast serve` as a command."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

from tests.e2e.servers.serving import BIN, environment
from tests.unit.watch.journals import House


def test_the_address_that_is_printed_is_there_at_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    command = [f"{BIN}/standfast", "serve", "--store", house.url, "--bind", "127.0.0.1:0"]
    with subprocess.Popen(
        command, env=environment(), cwd=tmp_path, stdout=subprocess.PIPE
    ) as shown:
        try:
            assert shown.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", shown.stdout.readline().decode())
            assert found is not None
            socket.create_connection(("127.0.0.1", int(found[1])), 5).close()
        finally:
            shown.kill()
