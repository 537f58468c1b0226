"""The people who administer the site: each a user with keys of their own, who may become root."""

from __future__ import annotations

from ..inventory import Admin, Site
from ..steps import Directory, File, Step, User

SUDOERS = "/etc/sudoers.d/standfast"


def steps(site: Site) -> list[Step]:
    """Users, keys and the right to become root. How one got in before goes on working."""
    found: list[Step] = []
    for admin in site.admins:
        found += _person(admin)
    rules = "".join(f"{admin.name} ALL=(ALL:ALL) NOPASSWD: ALL\n" for admin in site.admins)
    found.append(
        File(
            SUDOERS,
            f"# Written by standfast; `standfast cluster apply` writes it anew.\n{rules}",
            "people have keys and no password that could be asked for",
            mode=0o440, check="visudo -cqf %s",
        )
    )  # fmt: skip
    return found


def _person(admin: Admin) -> list[Step]:
    name, home = admin.name, f"/home/{admin.name}"
    keys = "".join(f"{key}\n" for key in admin.keys)
    return [
        User(name, home, "administers the site"),
        Directory(f"{home}/.ssh", "for nobody else to see", name, name, 0o700),
        File(
            f"{home}/.ssh/authorized_keys", keys, "these keys let in, nothing else does",
            name, name, 0o600,
        ),
    ]  # fmt: skip
