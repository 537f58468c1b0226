"""``standfast demo``: a real shop with a real bug, and what standfast says about it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from standfast.demo.customers import Customers
from standfast.demo.stage import STANDFAST, free_port, open_shop, start_dashboard, typed
from standfast.errors import StandfastError, UsageError

#: How long the dashboard stays, in seconds.
_DASHBOARD_S = 3600


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="a shop with a bug, real traffic, and which request kills it",
        description="Starts a small shop behind gunicorn, lets customers in for a while, and "
        "shows which requests brought its workers down. Everything runs on this machine.",
    )
    parser.add_argument(
        "--seconds", type=float, default=20, metavar="S", help="opening time (default: 20)"
    )
    parser.add_argument(
        "--no-serve", action="store_true", help="do not leave the dashboard running at the end"
    )
    parser.add_argument("--seed", type=int, default=1, help="another mix of customers")


def run(arguments: argparse.Namespace) -> int:
    """Runs the shop, then the report."""
    if not 1 <= arguments.seconds <= 600:
        raise UsageError("--seconds should be from 1 to 600.")
    if find_spec("flask") is None or find_spec("gunicorn") is None:
        raise StandfastError(
            "the demo needs Flask and gunicorn: run `make demo` in a checkout, or install"
            " standfast[demo]"
        )
    folder = Path(tempfile.mkdtemp(prefix="standfast-demo-"))
    port = free_port()
    print("A small shop (Flask, SQLite) opens behind gunicorn: 3 workers of 4 threads.")
    print("It knows nothing of standfast. Somewhere in it is a bug that kills workers.\n")
    sys.stdout.flush()
    with open_shop(folder, port):
        customers = Customers(port, arguments.seed)
        customers.start(arguments.seconds)
        _show_progress(customers, arguments.seconds)
        customers.wait()
    places = ["--journal", str(folder / "journal"), "--store", str(folder / "store.db")]
    drained = subprocess.run([*STANDFAST, "watch", "--once", *places], capture_output=True)
    if drained.returncode:
        sys.stderr.buffer.write(drained.stderr)
        return 1
    print(
        f"\n{customers.sent:,} requests were sent; {customers.broken} got no answer because a"
        " worker died.\nThis is what standfast wrote down before each worker died:\n",
        flush=True,
    )
    status = subprocess.run([*STANDFAST, "report", "crashes", "--limit", "3", *places]).returncode
    if status == 0:
        print("No worker died this time. Try again with another --seed, or more --seconds.")
        return 1
    print(f"\n{_who_counting_blames(places)}\n", flush=True)
    subprocess.run([*STANDFAST, "report", "suspects", "--limit", "4", *places])
    print("\nAnd whose fault it was, from the evidence of every death:\n", flush=True)
    subprocess.run([*STANDFAST, "report", "verdict", *places])
    print("\nTry next, on what the demo left behind:")
    for command in ("report incident 1", "report verdict --html verdict.html", "report slow"):
        print(
            f"  {typed()} {command} \\\n    "
            + " ".join(places[:2])
            + " \\\n    "
            + " ".join(places[2:])
        )
    if not arguments.no_serve:
        _leave_dashboard(folder)
    return 0 if status == 1 else status


def _leave_dashboard(folder: Path) -> None:
    """Starts the dashboard, which outlives the demo, and says how to get in and how to end it."""
    store = str(folder / "store.db")
    made = subprocess.run(
        [*STANDFAST, "user", "add", "demo", "--app", "shop", "--generate", "--store", store],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    address, pid = start_dashboard(folder, _DASHBOARD_S)
    print(
        f"\nThe page that the shop's owner reads, for {_DASHBOARD_S // 60} minutes from now:\n\n"
        f"  {address}   name: demo   password: {made.stdout.strip().rpartition(' ')[2]}\n\n"
        f"To end it earlier: kill {pid}"
    )


def _who_counting_blames(places: list[str]) -> str:
    """What the plain list of unfinished requests suggests, in words."""
    told = subprocess.run(
        [*STANDFAST, "report", "crashes", "--json", *places], capture_output=True, text=True
    )
    crashes = json.loads(told.stdout)
    counts = Counter(one["route"] for crash in crashes for one in crash["requests"])
    if not counts:
        return "No request was in flight when the workers died."
    (first, most), *_ = counts.most_common(1)
    return (
        f"Counting, {first} comes first: {most} of {counts.total()} unfinished requests in"
        f" {len(crashes)} incidents.\nWeighed by how long each was in flight at all times, it"
        " looks like this:"
    )


def _show_progress(customers: Customers, seconds: float) -> None:
    """Says each second how far it is: on one line of a terminal, else every five seconds."""
    terminal = sys.stdout.isatty()
    began = time.monotonic()
    step = 1.0 if terminal else 5.0
    shown = 0.0
    while (passed := time.monotonic() - began) < seconds:
        if passed >= shown:
            shown += step
            line = f"{passed:3.0f} of {seconds:.0f} s: {customers.sent:,} requests,"
            line += f" {customers.broken} without an answer"
            print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", flush=True)
        time.sleep(0.1)
    if terminal:
        print("\r\x1b[K", end="")
