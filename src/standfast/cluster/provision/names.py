"""The name service: for the site's own zone, and for nobody's questions about others."""

from __future__ import annotations

from ..steps import File, Step, Unit

OPTIONS = "/etc/bind/named.conf.options"
_UNIT = "named"
_TEXT = """\
// Written by standfast; `standfast cluster apply` writes it anew.
options {
    directory "/var/cache/bind";
    listen-on { any; };
    listen-on-v6 { any; };
    // Who answers questions about other names takes part in attacks on others.
    recursion no;
    allow-transfer { none; };
    version none;
};
"""


def steps() -> list[Step]:
    """What BIND shall be like; zones are not its concern yet."""
    return [
        File(
            OPTIONS, _TEXT, "answers for its own zones alone",
            check="named-checkconf %s", tells=_UNIT,
        ),
        Unit(_UNIT, "the name service"),
    ]  # fmt: skip
