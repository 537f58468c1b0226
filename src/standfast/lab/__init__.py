"""Whole Debian servers on this machine: what a site is tried out on before it is trusted.

Each is booted by systemd-nspawn from a copy-on-write layer over one common base, in a network
namespace of its own; a bridge between them is the internet.
"""

from __future__ import annotations

from .laboratory import Lab
from .plan import LabPlan, LabServer

__all__ = ["Lab", "LabPlan", "LabServer"]
