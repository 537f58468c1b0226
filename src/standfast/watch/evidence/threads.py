"""Stacks as structure: what each thread of a process was doing, bounded and told in its own lines.

The texts are the application's and not to be trusted; what is too much is left out, and said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from standfast.store.evidence import TEXT_LIMIT

#: So many threads are kept, and so many frames from the innermost outwards: of those that matter,
#: and of the others. All together take so many bytes of JSON at most.
MOST_THREADS = 64
MOST_FRAMES = 40
_FRAMES_OF_OTHERS = 10
_DATA_LIMIT = 48 * 1024
_NAME_LIMIT = 120
_ID_LIMIT = 2**63 - 1
#: The frame through which the recorder calls an application whose requests share a thread, named
#: after the request's slot (see ``journal.format.REQUEST_SLOTS``).
_SLOT = re.compile(r"(?:^|\.)standfast_request_(\d{1,4})$")


class Frame(NamedTuple):
    """One call: the function, its file, the same in short, and the line that is being run."""

    function: str
    file: str
    short: str
    line: int


class Thread(NamedTuple):
    """One thread, its frames from the innermost outwards.

    ``ident`` is what threading.get_ident() gives, ``tid`` the operating system's number.
    ``slots`` are those of the recorder's frames for requests, the innermost first: found in the
    whole stack, also where the frames that are kept do not reach so far. ``left_out`` counts frames
    that are not kept.
    """

    ident: int
    tid: int
    name: str
    active: bool
    gil: bool
    frames: tuple[Frame, ...]
    slots: tuple[int, ...] = ()
    left_out: int = 0


def parse(said: bytes) -> list[Thread]:
    """The threads in what ``py-spy dump --json`` says; empty where it makes no sense."""
    try:
        found: Any = json.loads(said)
    except (ValueError, RecursionError):
        return []
    threads = [_thread(one) for one in _dicts(found)]
    return [thread for thread in threads if thread.frames]


def chosen(threads: Sequence[Thread], wanted: Collection[int]) -> list[Thread]:
    """The threads to keep: those of these idents first, then those that serve a request, then those
    that run, then the others, of which fewer frames are kept."""

    def rank(thread: Thread) -> tuple[bool, bool, bool]:
        return thread.ident not in wanted, not thread.slots, not (thread.gil or thread.active)

    kept: list[Thread] = []
    size = 0
    for thread in sorted(threads, key=rank)[:MOST_THREADS]:
        if not (thread.ident in wanted or thread.slots):
            thread = _shortened(thread)
        size += len(json.dumps(_data(thread)))
        if size > _DATA_LIMIT:
            break
        kept.append(thread)
    return kept


def text_of(threads: Sequence[Thread], total: int) -> str:
    """The stacks as py-spy prints them: each thread's innermost call first."""
    blocks = []
    for thread in threads:
        state = "active" if thread.active else "idle"
        state += "+gil" if thread.gil else ""
        lines = [f'Thread 0x{thread.ident:X} ({state}): "{thread.name}"']
        lines += [f"    {one.function} ({one.short}:{one.line})" for one in thread.frames]
        if thread.left_out:
            lines.append(f"    … {thread.left_out} more frames")
        blocks.append("\n".join(lines))
    # Each thread has its share: the last one is as good as the first.
    share = TEXT_LIMIT // max(len(blocks), 1) - 2
    text = "\n".join(block[:share] for block in blocks)
    if total > len(threads):
        text += f"\n… {total - len(threads)} more threads"
    return text[:TEXT_LIMIT]


def data_of(threads: Sequence[Thread], total: int) -> dict[str, Any]:
    """The same for a fact's data, as docs/verdicts.md describes it."""
    kept: dict[str, Any] = {"threads": [_data(thread) for thread in threads]}
    if total > len(threads):
        kept["threads_left_out"] = total - len(threads)
    return kept


def _data(thread: Thread) -> dict[str, Any]:
    return {
        "thread": thread.ident,
        "tid": thread.tid,
        "name": thread.name,
        "active": thread.active,
        "gil": thread.gil,
        "slots": list(thread.slots),
        "frames": [[one.function, one.file, one.line] for one in thread.frames],
    }


def _shortened(thread: Thread) -> Thread:
    more = len(thread.frames) - _FRAMES_OF_OTHERS
    if more <= 0:
        return thread
    frames = thread.frames[:_FRAMES_OF_OTHERS]
    return thread._replace(frames=frames, left_out=thread.left_out + more)


def _thread(one: dict[str, Any]) -> Thread:
    frames = _dicts(one.get("frames"))
    found = [_SLOT.search(str(frame.get("name"))[-_NAME_LIMIT:]) for frame in frames]
    return Thread(
        _number(one.get("thread_id")),
        _number(one.get("os_thread_id")),
        _text(one.get("thread_name")),
        one.get("active") is True,
        one.get("owns_gil") is True,
        tuple(_frame(frame) for frame in frames[:MOST_FRAMES]),
        tuple(int(slot[1]) for slot in found if slot)[:MOST_FRAMES],
        max(len(frames) - MOST_FRAMES, 0),
    )


def _frame(frame: dict[str, Any]) -> Frame:
    # Since Python 3.11 the name has those of class and function around it; faulthandler has not.
    function = _text(frame.get("name")).rpartition(".")[2]
    file = _text(frame.get("filename"))
    short = _text(frame.get("short_filename")) or file
    return Frame(function, file, short, _number(frame.get("line")))


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def _number(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= _ID_LIMIT else 0


def _text(value: Any) -> str:
    """The end of a text, which says more of a path than its beginning; on one line."""
    text = value[-_NAME_LIMIT:] if isinstance(value, str) else ""
    return "".join([c if c.isprintable() else ascii(c)[1:-1] for c in text])
