"""The people who administer the site: each a user with keys of their own, who may become root."""

from __future__ import annotations

from ..inventory import Admin, Site
from ..steps import Directory, File, Step, User

SUDOERS = "/etc/sudoers.d/standfast"


def steps(site: Site) -> list[Step]:
    """Users, and where their keys lie. Nobody gets in by them alone."""
    found: list[Step] = []
    for admin in site.admins:
        name, home = admin.name, f"/home/{admin.name}"
        found += [
            User(name, home, "administers the site"),
            Directory(f"{home}/.ssh", "for nobody else to see", name, name, 0o700),
        ]
    return found


def ways_in(site: Site) -> list[File]:
    """Keys, and the right to become root: whoever loses these is locked out."""
    rules = "".join(f"{admin.name} ALL=(ALL:ALL) NOPASSWD: ALL\n" for admin in site.admins)
    return [
        *(_keys(admin) for admin in site.admins),
        File(
            SUDOERS,
            f"# Written by standfast; `standfast cluster apply` writes it anew.\n{rules}",
            "people have keys and no password that could be asked for",
            mode=0o440, check="visudo -cqf %s",
        ),
    ]  # fmt: skip


def keys_file(name: str) -> str:
    """Where the keys of an admin lie."""
    return f"/home/{name}/.ssh/authorized_keys"


def _keys(admin: Admin) -> File:
    return File(
        keys_file(admin.name), "".join(f"{key}\n" for key in admin.keys),
        "these keys let in, nothing else does", admin.name, admin.name, 0o600,
    )  # fmt: skip
