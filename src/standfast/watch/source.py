"""What is known of the worker whose records are being taken in."""

from __future__ import annotations

from dataclasses import dataclass, field

from .proxies import Proxies
from .routes import Routes


@dataclass
class Source:
    """What a batch needs to know of the worker whose records it takes.

    ``open`` has the requests that began within this batch and have not closed, ``kept_open`` is
    about how many of earlier batches have rows, ``left_out`` how many have none (see ``crowd``).
    ``answered`` are the numbers that stood in the places for answers when these were last read.
    ``progress`` has the ages at which requests last had sent a part of their response, in
    nanoseconds: those that did so last, at the end.
    """

    worker_id: int
    application_id: int
    http: Routes
    websocket: Routes
    slow_ns: int
    last_seen_ns: int
    kept_open: int = 0
    left_out: int = 0
    open: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)
    progress: dict[int, int] = field(default_factory=dict)
    #: None where no proxy is trusted, and so every peer is the client.
    proxies: Proxies | None = None
