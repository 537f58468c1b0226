"""A server joins anew: what it has is saved, emptied, and replaced by a copy of another server's.

For a server whose history cannot go on: its missing writes are in nobody's log, or its own log was
reset. What is kept whatever is interrupted:

- Nothing is taken from the server before the whole of it is in a file here.
- From the moment when the file is begun nobody but root writes to the server, so the file lacks
  nothing that was acknowledged.
- Where the file could not be written the server takes writes again, if it did before. Once it is
  written none are taken any more, whether or not it is known that the server bears the mark of one
  that is being filled (``JOINING_DATABASE``): ``heal`` and ``apply`` finish the job.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from standfast.errors import StandfastError

from ..inventory import Site
from ..remote import Remote, RemoteError, complaint
from . import dump, sql
from .observe import JOINING_DATABASE, Observed, Remotes, Seen, observe
from .secrets import Vault
from .settle import Check, settle, unchecked

Say = Callable[[str], None]
_PIECE = 1 << 18
_SAY_EVERY_S = 2.0
#: The last line of a dump that came to its end.
_END = b"-- Dump completed"
_STILL = ("SET GLOBAL read_only = ON", "SET GLOBAL event_scheduler = OFF", "STOP ALL SLAVES")
_AGAIN = ("SET GLOBAL event_scheduler = ON", "START ALL SLAVES")
_MARK = ("SET SESSION sql_log_bin = 0", f"CREATE DATABASE IF NOT EXISTS {JOINING_DATABASE}")


def own_writes(observed: Observed, name: str) -> int:
    """How many transactions a server has logged that no other server is known to have."""
    seen = observed.seen
    others = [one.position for other, one in seen.items() if other != name]
    return sum(
        max(sequence - max((one.get(domain, 0) for one in others), default=0), 0)
        for domain, sequence in seen[name].position.items()
    )


def refusal(site: Site, observed: Observed, name: str) -> str | None:
    """Why a server cannot join anew now; None where it can."""
    seen = observed.seen
    away = [server.name for server in site.servers if server.name not in seen]
    if name in away:
        return f"{name}: its database does not answer: {observed.servers[name]}"
    if away:
        return (
            f"{', '.join(away)} cannot be asked, and may know writes of {name} that no other has:"
            " bring it up, or take it out of the inventory, first"
        )
    number = site.server(name).number
    if (seen[name].server_id, seen[name].domain) != (number, number):
        return (
            f"{name}: MariaDB calls itself number {seen[name].server_id} (domain"
            f" {seen[name].domain}) and not {number}: put that back in its options, and restart it"
        )
    if seen[name].joining:
        return f"{name}: a copy to it was interrupted; `standfast cluster heal` finishes it"
    sources = [one for other, one in seen.items() if other != name and _is_whole(one)]
    if not sources:
        return f"no other server holds the site's data: there is nothing that {name} could be given"
    return None


def rejoin(
    site: Site,
    remotes: Remotes,
    vault: Vault,
    name: str,
    file: Path,
    say: Say,
    check: Check = unchecked,
) -> list[str]:
    """Saves a server's databases to ``file`` (mode 600, gzip), and lets it join anew; returns what
    was done, in words.

    Raises StandfastError where it cannot be, or the file cannot be written: the server is then as
    it was. Raises what ``check`` raises; then the server is left as it is, and `apply` has it take
    writes again. What comes later may raise what ``settle`` raises; run again, it finishes it.
    """
    observed = observe(site, remotes)
    if (why := refusal(site, observed, name)) is not None:
        raise StandfastError(why)
    remote = remotes[name]
    if isinstance(remote, RemoteError):
        raise remote
    check(name)
    try:
        sql.ask(remote, *_STILL)
        _save(remote, file, name, say)
        check(name)
    except BaseException:  # Ctrl-C too: the server is not left without writes
        took_writes = not observed.seen[name].read_only
        # Where another run changes it now, what it is left as is that run's affair.
        with contextlib.suppress(StandfastError):
            check(name)
            sql.ask(remote, *["SET GLOBAL read_only = OFF"] * took_writes, *_AGAIN)
        raise
    sql.ask(remote, *_MARK)
    saved = f"{name}: all that it held is in {file}"
    say(saved)
    return [saved, *settle(site, remotes, vault, say, check=check)]


def _is_whole(one: Seen) -> bool:
    return one.holds_data and not one.joining and not one.went_back


def _save(remote: Remote, file: Path, name: str, say: Say) -> None:
    """The whole dump, on the disk. Raises StandfastError; what was written of it then goes."""
    try:
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise StandfastError(f"{file} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(number, "wb") as raw:
            _dump_to(remote, gzip.GzipFile(fileobj=raw, mode="wb"), name, say)
            raw.flush()
            os.fsync(raw.fileno())
    except BaseException as error:  # Ctrl-C too: no half file is taken for a whole one
        file.unlink()
        if isinstance(error, OSError):
            raise StandfastError(f"{file} cannot be written: {error.strerror}") from None
        raise


def _dump_to(remote: Remote, packed: gzip.GzipFile, name: str, say: Say) -> None:
    dumping = remote.start(dump.command(dump.databases(remote)))
    assert dumping.stdout is not None and dumping.stderr is not None  # noqa: S101 - both are pipes
    end, sent, said_at = b"", 0, time.monotonic()
    complaints: deque[bytes] = deque(maxlen=20)
    listener = threading.Thread(target=complaints.extend, args=(dumping.stderr,), daemon=True)
    listener.start()
    try:
        with packed:
            while piece := dumping.stdout.read1(_PIECE):  # type: ignore[attr-defined]
                packed.write(piece)
                end = (end + piece)[-1000:]
                sent += len(piece)
                if time.monotonic() - said_at > _SAY_EVERY_S:
                    said_at = time.monotonic()
                    say(f"{name}: {sent / (1 << 20):,.1f} MiB saved")
        listener.join(60)
        if dumping.wait(60) != 0 or _END not in end:
            why = complaint(b"".join(complaints)) or "no reason given"
            raise StandfastError(f"the dump of {name} ended early: {why}")
    finally:
        if dumping.poll() is None:
            dumping.kill()
        dumping.wait()
