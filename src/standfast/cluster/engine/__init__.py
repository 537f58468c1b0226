"""Makes servers be what their steps say."""

from .change import HIDDEN, Change, EngineError
from .port import Engine, OpenEngine
from .pyinfra_engine import PyinfraEngine

__all__ = ["HIDDEN", "Change", "Engine", "EngineError", "OpenEngine", "PyinfraEngine"]
