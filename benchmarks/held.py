"""Runs in a peer's Python: prints what the peer holds where that is not what it sent.

``python -m benchmarks.held PEER``, in the environment that the peer ran in.
"""

from __future__ import annotations

import sys

from .peers import PEERS

if __name__ == "__main__":
    module = PEERS[sys.argv[1]].load()
    for text in module.held() if hasattr(module, "held") else ():
        print(text)
