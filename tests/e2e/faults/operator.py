"""What the operator does: stops, reloads, kills, and settings that cut requests off."""

from __future__ import annotations

import os
import signal

from .places import memory_limit
from .stage import Fault, Stage, signals, signals_master


def recycles(stage: Stage) -> None:
    """The worker has served as many requests as it may, and one of them is slow."""
    stage.steady()
    stage.ask("/sleep?30")
    stage.begun("/sleep?30")
    for _ in range(4):
        stage.server.get("/plain")


def kills_after_a_child_was_killed(stage: Stage) -> None:
    """The kernel killed a process that the request had started; later somebody kills the
    worker."""
    stage.steady()
    stage.ask("/child?400")
    pid = stage.begun("/child?400")
    stage.watch(4.0)
    os.kill(pid, signal.SIGKILL)


FAULTS = (
    Fault("SIGTERM from a deploy", "operator_stop", None, signals_master(signal.SIGTERM),
          "gthread, short stop"),
    Fault("SIGTERM from a deploy, under gevent", "operator_stop", None,
          signals_master(signal.SIGTERM), "gevent, recycling"),
    Fault("SIGTERM, ten seconds later SIGKILL", "operator_stop", None,
          signals_master(signal.SIGTERM, signal.SIGKILL, apart_s=3.0), "uvicorn"),
    Fault("SIGTERM to uWSGI", "operator_stop", None, signals_master(signal.SIGTERM),
          "uWSGI, short mercy"),
    Fault("a reload that cuts requests off", "operator_reload", None,
          signals_master(signal.SIGHUP), "gthread, short stop"),
    Fault("a reload of gevent that cuts requests off", "operator_reload", None,
          signals_master(signal.SIGHUP), "gevent, recycling"),
    Fault("a reload of uWSGI that cuts requests off", "operator_reload", None,
          signals_master(signal.SIGHUP), "uWSGI, short mercy",
          # Its log says that the worker had to go, and not why.
          also=("operator_stop",)),
    Fault("a worker recycled while a request runs", "operator_reload", None, recycles,
          "gevent, recycling"),
    Fault("SIGKILL by an operator", "operator_kill", None, signals(signal.SIGKILL)),
    Fault("SIGKILL by an operator, under sync", "operator_kill", None, signals(signal.SIGKILL),
          "sync, no time-out"),
    Fault("SIGKILL by an operator, under gevent", "operator_kill", None, signals(signal.SIGKILL),
          "gevent"),
    Fault("SIGKILL by an operator, under uvicorn", "operator_kill", None,
          signals(signal.SIGKILL), "uvicorn"),
    Fault("SIGKILL by an operator, under UvicornWorker", "operator_kill", None,
          signals(signal.SIGKILL), "UvicornWorker"),
    Fault("SIGKILL by an operator, under waitress", "operator_kill", None,
          signals(signal.SIGKILL), "waitress"),
    Fault("SIGKILL by an operator, a child had been killed", "operator_kill", None,
          kills_after_a_child_was_killed, place=memory_limit),
)  # fmt: skip
