"""Where an error comes from: its kind and the line of the application's own code.

Errors are grouped by this. The text is the application's, and may be anything: it is only
searched, never trusted.
"""

from __future__ import annotations

import re

#: A place has at most so many characters.
PLACE_LIMIT = 160
_TRACEBACK = "Traceback (most recent call last):"
#: What stands before each line of an exception within a group, at any depth.
_IN_GROUP = r"(?:[ |]{0,60}\| )?"
_FRAME = re.compile(
    rf'^{_IN_GROUP} {{2,6}}File "([^"\n]{{1,1000}})", line (\d{{1,9}}), in ([^\n]{{1,200}})$', re.M
)
#: A class within a function is called ``function.<locals>.Class``.
_KIND = re.compile(rf"^{_IN_GROUP}([^\W\d](?:[\w.]|<locals>){{0,120}})(?::|$)", re.M)
#: Code that the application uses, but that is not its own.
_FOREIGN = re.compile(r"(?:^|/)(?:site-packages|dist-packages|lib(?:64)?/python\d[^/]*)/|^<frozen ")
_LONGEST = 128 * 1024


def place(error: str) -> str | None:
    """The place of an error that was recorded, ``ValueError at shop.py:42 in label``.

    Of several errors, of an exception with causes and of a group the last tells. The frame is
    the innermost of the application's own code, or of all where none is. None for a text without
    anything.
    """
    text = error[-_LONGEST:]
    start = text.rfind(_TRACEBACK)
    last = text[start:] if start >= 0 else text
    frames = _FRAME.findall(last)
    if not frames:
        line = next((line.strip() for line in text.splitlines() if line.strip()), "")
        return _bounded(line) or None
    file, number, function = next(
        (frame for frame in reversed(frames) if not _FOREIGN.search(frame[0])), frames[-1]
    )
    kind = _KIND.search(last[last.rfind(f'File "{frames[-1][0]}"') :])
    where = f"{_short(file)}:{number} in {function.strip()}"
    return _bounded(f"{kind[1]} at {where}" if kind else where)


def _short(file: str) -> str:
    """The last two parts of a path: files called views.py are many."""
    return "/".join(file.rsplit("/", 2)[-2:])


def _bounded(text: str) -> str:
    most = text[: PLACE_LIMIT + 1]
    shown = "".join([one if one.isprintable() else ascii(one)[1:-1] for one in most])
    return shown if len(shown) <= PLACE_LIMIT else f"{shown[: PLACE_LIMIT - 1]}…"
