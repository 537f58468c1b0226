"""An application that crashes in C while it is loaded."""

import ctypes

ctypes.string_at(0)
