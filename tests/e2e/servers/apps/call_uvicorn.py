"""A program that starts uvicorn by itself, on the port that it is given."""

from __future__ import annotations

import sys

import uvicorn
from shop_asgi import app  # type: ignore[import-not-found]

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]))
