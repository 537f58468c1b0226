"""A site of real databases under load, with one fault after another, and what became of each write.

``python -m benchmarks.drill --seconds 180 --topology mesh`` prints a table. The servers are
processes of this machine, so a cut is a link that is stopped, and a power cut a SIGKILL.
"""

from __future__ import annotations
