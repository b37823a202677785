"""Stands in for other packages: programs written for them run with their imports unchanged."""
from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_SUBMODULES = {
    "core": "lattice.core",
    "core.coords": "lattice.core.coords",
    "core.relations": "lattice.core.relations",
    "ops": "lattice.ops",
    "ops.coords": "lattice.ops.coords",
    "artifact": "lattice.artifact",
    "nn": "lattice.mlx.nn",
}


class _Package(ModuleType):
    """The package: its nn is imported when it is asked for, since it needs MLX."""

    def __getattr__(self, name: str) -> Any:
        if name == "nn":
            return _nn(self.__name__)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _nn(package: str) -> ModuleType:
    module = importlib.import_module("lattice.mlx.nn")
    sys.modules[package + ".nn"] = module
    return module


def install(name: str = "mlx_lattice") -> ModuleType:
    """Registers this package and its submodules as `mlx_lattice`; `mlx_lattice.nn` is the MLX one.

    ValueError for another name, RuntimeError when the package of that name is loaded already.
    """
    if name != "mlx_lattice":
        raise ValueError(f"install: package: got {name!r}, expected 'mlx_lattice'")
    loaded = sys.modules.get(name)
    if isinstance(loaded, _Package):
        return loaded
    if loaded is not None:
        raise RuntimeError(f"install: {name} is loaded already from {getattr(loaded, '__file__', 'somewhere')}")
    import lattice

    package = _Package(name, lattice.__doc__)
    package.__path__ = []
    for attribute in lattice.__all__:
        if attribute not in ("nn", "compat"):
            setattr(package, attribute, getattr(lattice, attribute))
    package.__all__ = [a for a in lattice.__all__ if a != "compat"]  # type: ignore[attr-defined]
    sys.modules[name] = package
    for inner, ours in _SUBMODULES.items():
        if inner != "nn":
            sys.modules[f"{name}.{inner}"] = importlib.import_module(ours)
    try:
        _nn(name)
    except ImportError:
        pass  # asked for later, the import says what is missing
    return package


__all__ = ["install"]
