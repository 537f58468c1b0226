"""``python -m standfast``."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the recorder alone installs on older Pythons
    sys.exit("standfast: the command line needs Python 3.11; the recorder itself runs on 3.9")

from standfast.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
