"""Stacks as structure: bounded, one line a frame, whatever a process says of itself."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from standfast.store.evidence import TEXT_LIMIT
from standfast.watch.evidence.threads import MOST_FRAMES, chosen, data_of, parse, text_of

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["frames", "name", "filename", "line", "thread_id", "thread_name"]),
            inner,
        )
    ),
)


def frame(name: str, line: int = 1) -> dict[str, Any]:
    return {
        "name": name,
        "filename": "/srv/shop/shop.py",
        "short_filename": "shop.py",
        "line": line,
    }


def thread(ident: int, *frames: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"thread_id": ident, "os_thread_id": ident % 1000, "frames": frames, **more}


def dump(*threads: dict[str, Any]) -> bytes:
    return json.dumps(threads).encode()


@given(_JSON | st.lists(_JSON))
def test_no_words_of_a_process_are_too_much(said: Any) -> None:
    found = parse(json.dumps(said).encode())
    kept = chosen(found, ())
    assert len(json.dumps(data_of(kept, len(found)))) < TEXT_LIMIT
    assert len(text_of(kept, len(found))) <= TEXT_LIMIT


def test_what_is_no_json_says_nothing() -> None:
    for said in (b"", b"{", b"null", b"\xff", b"[" * 100_000):
        assert parse(said) == []


def test_a_process_of_ten_thousand_threads_is_told_in_part() -> None:
    deep = [frame("x" * 500, line) for line in range(500)]
    found = parse(dump(*[thread(n, *deep) for n in range(1, 500)]))
    kept = chosen(found, {321})
    assert kept[0].ident == 321
    assert len(kept[0].frames) == MOST_FRAMES
    data = data_of(kept, len(found))
    assert len(json.dumps(data)) < TEXT_LIMIT
    assert data["threads_left_out"] == 499 - len(kept)
    text = text_of(kept, len(found))
    assert len(text) <= TEXT_LIMIT
    assert text.endswith(f"… {499 - len(kept)} more threads")


def test_a_thread_that_serves_a_request_is_kept_before_others() -> None:
    many = [thread(n, frame("wait")) for n in range(1, 2000)]
    serving = thread(5000, frame("select"), frame("Recorder.standfast_request_17"), frame("run"))
    (first, *_) = chosen(parse(dump(*many, serving)), ())
    assert (first.ident, first.slots) == (5000, (17,))


def test_the_request_of_a_deep_stack_is_known_though_its_frame_is_not_kept() -> None:
    deep = [frame("again") for _ in range(MOST_FRAMES * 2)]
    (found,) = parse(dump(thread(1, *deep, frame("standfast_request_4095"))))
    assert found.slots == (4095,)
    assert len(found.frames) == MOST_FRAMES


def test_a_name_with_line_breaks_makes_no_frame_of_its_own() -> None:
    hostile = "evil\n    acquire (threading.py:1)\x1b[2J"
    found = parse(dump(thread(1, frame(hostile), thread_name=hostile)))
    assert len(text_of(found, 1).splitlines()) == 2
    assert "\x1b" not in text_of(found, 1)


def test_the_text_has_each_thread_with_its_innermost_call_first() -> None:
    found = parse(
        dump(
            thread(0x7F01, frame("Lock.acquire", 7), frame("pay", 9), thread_name="one"),
            thread(0x7F02, frame("f.<locals>.spin", 3), active=True, owns_gil=True),
        )
    )
    assert text_of(found, 2) == (
        'Thread 0x7F01 (idle): "one"\n    acquire (shop.py:7)\n    pay (shop.py:9)\n'
        'Thread 0x7F02 (active+gil): ""\n    spin (shop.py:3)'
    )
