"""Settings of this machine's kernel that labs need; the last lab that goes puts them back."""

from __future__ import annotations

from pathlib import Path

from .plan import LABS

_SETTINGS = {
    # The way of the servers to the internet, for packages.
    Path("/proc/sys/net/ipv4/ip_forward"): 1,
    # The systemd of each server takes a dozen, all count as root's, and there are 128 by default:
    # the tenth server would not boot, and say nothing.
    Path("/proc/sys/fs/inotify/max_user_instances"): 2048,
}


def set_up() -> None:
    """Raises what is lower than a lab needs, and remembers what it was."""
    for setting, least in _SETTINGS.items():
        value = setting.read_text()
        if int(value) < least:
            before = LABS / setting.name
            if not before.exists():
                before.write_text(value)
            setting.write_text(f"{least}\n")


def put_back() -> None:
    """What was before the first lab came up."""
    for setting in _SETTINGS:
        before = LABS / setting.name
        if before.exists():
            setting.write_text(before.read_text())
            before.unlink()
