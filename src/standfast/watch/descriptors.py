"""How many files each part of the watcher may keep open, of those that the process may have."""

from __future__ import annotations

import resource


def share(part: float, most: int) -> int:
    """A part of the limit (``ulimit -n``), at most ``most``. All parts together are less than
    one: what opens a file for a moment needs one too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(min(int(soft * part), most), 1)
