"""The file that ``standfast cluster init`` writes: a site of three servers that fits the lab."""

from __future__ import annotations

import json

_TEMPLATE = """\
# The site. As it stands it fits the lab, whole servers on this machine:
#   sudo standfast lab up && standfast cluster apply && standfast cluster verify
# What each key means, and what else there is: docs/site.md

name = "shop"                   # of this site; its secrets are kept in shop.secrets/
domain = "shop.example"         # what visitors type
master = "ie"                   # the server that takes uploads
{identity}
[[admins]]
name = "{admin}"
keys = [{key}]
# SSH, FTP and the database are open to these addresses alone (and to the servers).
addresses = ["10.88.0.1"]

# number: which keys of the database are a server's own, by their last digit. Never change it.
# The first login is as root on port 22 (first_user, first_port); afterwards as an admin on
# ssh_port.
[[servers]]
name = "ie"
address = "10.88.0.11"
location = "Ireland"
number = 1
ssh_port = 2222

[[servers]]
name = "nl"
address = "10.88.0.12"
location = "Netherlands"
number = 2
ssh_port = 2222

[[servers]]
name = "us"
address = "10.88.0.13"
location = "United States"
number = 3
ssh_port = 2222

[database]
topology = "mesh"               # each from every other; or "ring", each from the one before it
databases = ["shop"]
# buffer_pool_mib = 1024        # a quarter of the server's memory where it is not said

# [files]
# root = "/var/www/site"        # what the web server serves

# [zone]
# ttl_s = 60                    # how long a name may be remembered
"""


def template(admin: str, key: str, identity: str | None = None) -> str:
    """The file's text, for an admin with this public key. ``identity`` is the file of the private
    key, where ``ssh`` would not find it by itself."""
    said = f'identity = "{identity}"         # the private key to log in with\n' if identity else ""
    # What JSON writes as a text is one in TOML too; the comment of a key may hold anything.
    quoted = json.dumps(key, ensure_ascii=False)
    return _TEMPLATE.format(admin=admin, key=quoted, identity=said)
