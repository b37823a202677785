"""The modules of the framework that `lattice.use` chose: NumPy's unless told otherwise."""
from __future__ import annotations

import importlib
from typing import Any, List

_FRAMEWORKS = ("mlx", "torch", "numpy")
_chosen = "numpy"


def _module() -> Any:
    return importlib.import_module(f"lattice.{_chosen}.nn")


def _use(name: str) -> None:
    global _chosen
    if name not in _FRAMEWORKS:
        raise ValueError(f"use: framework: got {name!r}, expected 'mlx', 'torch' or 'numpy'")
    try:
        importlib.import_module(f"lattice.{name}.nn")
    except ImportError as error:
        raise RuntimeError(f"use: {name} cannot be imported: {error}") from error
    _chosen = name


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return _module().__all__
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(_module(), name)


def __dir__() -> List[str]:
    return list(_module().__all__)
