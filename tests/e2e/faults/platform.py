"""Faults of the platform: what the machine or its neighbours do."""

from __future__ import annotations

from .places import (
    beside_a_glutton,
    crowd,
    database,
    few_processes,
    fills,
    glutton,
    protects,
    restarts,
    small_disk,
    waits_for_database,
)
from .stage import Fault, asks

FAULTS = (
    Fault("a neighbour that eats the memory", "platform_memory", None, glutton,
          place=beside_a_glutton),
    Fault("a neighbour that eats the memory, under gevent", "platform_memory", None, glutton,
          "gevent", place=beside_a_glutton),
    Fault("a neighbour that eats the memory, under uvicorn", "platform_memory", None, glutton,
          "uvicorn", place=beside_a_glutton),
    Fault("a disk without room", "platform_disk_full", None,
          asks("/mapped?{folder}/disk", before=fills), place=small_disk),
    Fault("a disk without room, under gevent", "platform_disk_full", None,
          asks("/mapped?{folder}/disk", before=fills), "gevent", place=small_disk),
    Fault("a disk that may not be written to", "platform_disk_read_only", None,
          asks("/log?{folder}/disk", before=protects), place=small_disk),
    Fault("a disk that may not be written to, under uvicorn", "platform_disk_read_only", None,
          asks("/log?{folder}/disk", before=protects), "uvicorn, WSGI", place=small_disk),
    Fault("no more processes, others have them all", "platform_no_processes", None,
          asks("/threads?3", before=crowd), place=few_processes),
    Fault("the database stopped", "platform_database_down", None, waits_for_database, "sync",
          place=database),
    Fault("the database stopped, under UvicornWorker", "platform_database_down", None,
          waits_for_database, "UvicornWorker, short time-out", place=database),
    Fault("the database stopped, and nothing times out", "platform_database_down", None,
          waits_for_database, place=database, settings={"hang_s": 4.0}),
    Fault("the host was started again", "platform_host_restart", None, restarts),
)  # fmt: skip
