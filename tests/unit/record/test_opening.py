"""Whatever is used up when the first request comes: the journal that comes later is a sound one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from standfast.journal.files import FAULT_SUFFIX, SUFFIX
from standfast.journal.format import BEGIN
from standfast.journal.reader import SegmentReader

PROGRAM = """
import os, resource, sys, time
from standfast.wsgi import Recorder
from standfast.journal import identity
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
spare, held = int(sys.argv[2]), []
try:
    while True: held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for _ in range(spare): os.close(held.pop())
recorder = Recorder(lambda environ, start: [b"served"], name="shop", journal=sys.argv[1])
def serve():
    return recorder({"REQUEST_METHOD": "GET", "RAW_URI": "/page"}, lambda *_: None)
served = 50
assert [serve() for _ in range(served)] == [[b"served"]] * served
while held: os.close(held.pop())
until, complete = time.monotonic() + 60, False
while not complete and time.monotonic() < until:
    time.sleep(0.05)
    serve()
    served += 1
    names = [name for *_, files in os.walk(sys.argv[1]) for name in files]
    complete = {name.rpartition(".")[2] for name in names} == {"fault", "journal"}
print(served, identity.start_ticks(os.getpid()), identity.boot_id())
"""


@pytest.mark.parametrize("spare", [0, 1, 2])
def test_descriptors_used_up_at_the_first_request_leave_no_false_journal(
    tmp_path: Path, spare: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(spare)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    served, ticks, boot_id = done.stdout.split()
    (path,) = tmp_path.glob(f"*/*{SUFFIX}")
    assert list(tmp_path.glob(f"*/*{FAULT_SUFFIX}")), "fatal signals are written down as well"
    with SegmentReader(str(path)) as segment:
        assert segment.header is not None
        assert (str(segment.header.start_ticks), segment.header.boot_id) == (ticks, boot_id)
        begun = sum(kind == BEGIN for kind, _, _ in segment.read())
        assert begun and begun + segment.lost() == int(served)
