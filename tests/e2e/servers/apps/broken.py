"""An application that cannot be loaded: at once, or after SHOP_LOADS_S seconds."""

from __future__ import annotations

import os
import time

time.sleep(float(os.environ.get("SHOP_LOADS_S", "0")))
raise RuntimeError("the shop has no stock list")
