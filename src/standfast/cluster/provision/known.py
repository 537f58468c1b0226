"""What is only known once servers exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..steps import Step


@dataclass(frozen=True)
class Known:
    """What was learnt from the servers. On the first pass little of it is there; what needs the
    rest is then left as it is, not made without it."""

    #: By name of server: the public half of the pair in ``servers.KEY``, as in its file ``.pub``.
    public_keys: Mapping[str, str] = field(default_factory=dict)
    #: By name of server: the public halves of its sshd's own keys, each as in its file ``.pub``.
    host_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: The memory of the server that is asked about.
    memory_bytes: int = 0
    #: Of the site's authority; nothing where it is not known.
    fingerprint: str = ""
    #: What the database wants of the server that is asked about.
    database_steps: tuple[Step, ...] = ()
