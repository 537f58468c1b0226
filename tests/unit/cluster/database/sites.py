"""Sites and servers as the tests of this folder imagine them."""

from __future__ import annotations

from typing import Any

from standfast.cluster.inventory import Site

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEAYsaiHyGMbnoNxPKPNr7kcRmS9eQlj7R9SPtDiZ2ra ada"
NAMES = ("one", "two", "three", "four", "five")


def site(topology: str = "ring", count: int = 3, **database: Any) -> Site:
    """A site of so many servers."""
    return Site.model_validate({
        "name": "shop", "domain": "shop.example", "master": "one",
        "admins": [{"name": "ada", "keys": [KEY], "addresses": ["192.0.2.1/32"]}],
        "servers": [
            {"name": name, "address": f"192.0.2.{10 + number}", "location": name}
            for number, name in enumerate(NAMES[:count], 1)
        ],
        "database": {"topology": topology, **database},
    })  # fmt: skip
