"""``standfast watch``: from the journals into the store."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from types import FrameType

from standfast.cli import options


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "watch",
        help="read the journals into the store",
        description="Tails every journal under the folder, sees workers die, and writes what it "
        "learns into the store. One per host; it may be stopped and started at any time.",
    )
    parser.add_argument("--once", action="store_true", help="store what there is, then end")
    options.add_settings(parser, "journal", "store")


def run(arguments: argparse.Namespace) -> int:
    """Watches until it is told to stop; with --once until all is stored."""
    from standfast.watch import Settings, watch

    chosen = options.settings(arguments)
    signal.signal(signal.SIGTERM, _stop)
    meter = _Meter()
    for log in chosen.server_logs:
        if not os.access(log, os.R_OK):
            meter.warn(f"server_logs: {log!r} cannot be read as this user; watching without it")
    if not arguments.once:
        print(f"standfast watch: {chosen.journal} -> {chosen.store}", file=sys.stderr, flush=True)
    try:
        watcher = watch(
            chosen.journal,
            chosen.store,
            once=arguments.once,
            settings=Settings(
                slow_s=chosen.slow_s,
                slow_s_by_app=chosen.slow_s_by_app,
                keep_ordinary_s=chosen.keep_ordinary_s,
                keep_slow_s=chosen.keep_slow_s,
                keep_failed_s=chosen.keep_failed_s,
                keep_incidents_s=chosen.keep_incidents_s,
                keep_minutes_s=chosen.keep_minutes_s,
                keep_hours_s=chosen.keep_hours_s,
                keep_days_s=chosen.keep_days_s,
                server_logs=chosen.server_logs,
                hang_s=chosen.hang_s,
                sample_s=chosen.sample_s,
                database=chosen.database,
                trusted_proxies=chosen.trusted_proxies,
                proxy_hops=chosen.proxy_hops,
                truncate_clients=chosen.truncate_clients,
            ),
            warn=meter.warn,
            progress=meter.show if arguments.once else None,
        )
    except KeyboardInterrupt:
        return 0
    finally:
        meter.clear()
    print(f"standfast watch: {watcher.requests:,} requests stored", file=sys.stderr)
    return 0


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Meter:
    """One line on stderr that says how far a long drain has come."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 1.0
        self._shown = False
        self._terminal = sys.stderr.isatty()

    def show(self, requests: int, done: int, total: int) -> None:
        """Says how far it is, about every second, after the first."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (1.0 if self._terminal else 10.0)
        line = f"standfast watch: {requests:,} requests stored"
        if done:  # of a long journal nothing is read to its end for a while
            line += f", {100 * done // total} % of the journals read"
        if self._terminal:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            self._shown = True
        else:
            print(line, file=sys.stderr, flush=True)

    def warn(self, words: str) -> None:
        """Says something that is not as it should be."""
        self.clear()
        print(f"standfast watch: {words}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line away again."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
