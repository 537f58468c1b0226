"""Calls an action when a module has been imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Callable, Optional

Action = Callable[[ModuleType], None]


class _Watcher(MetaPathFinder):
    """Finds what is waited for as Python would, and adds the action to its loading."""

    def __init__(self) -> None:
        self.actions: dict[str, Action] = {}

    def find_spec(
        self, name: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        if name not in self.actions:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, self.actions[name])
        return spec


class _Loader(Loader):
    """The module's own loader, followed by the action."""

    def __init__(self, loader: Loader, action: Action) -> None:
        self._loader = loader
        self._action = action

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # What the module sees of its loader is what it would see without us.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _act(self._action, module)


_watcher = _Watcher()


def when_imported(name: str, action: Action) -> None:
    """Calls ``action`` with the module ``name`` once it is imported, or now if it has been."""
    module = sys.modules.get(name)
    if module is not None:
        _act(action, module)
        return
    _watcher.actions[name] = action
    if _watcher not in sys.meta_path:
        sys.meta_path.insert(0, _watcher)


def _act(action: Action, module: ModuleType) -> None:
    try:
        action(module)
    except Exception as error:  # a version of the server that we do not know: it runs unrecorded
        print(f"standfast: cannot record under {module.__name__}: {error!r}", file=sys.stderr)
