"""Which array library an array is of."""
from __future__ import annotations

import sys
from typing import Any, Callable, Dict, List

from .._library import NULL
from .array_library import Library
from .buffer_arrays import BufferLibrary
from .dlpack_arrays import DlpackLibrary
from .mlx_arrays import MlxLibrary
from .numpy_arrays import NumpyLibrary
from .torch_arrays import TorchLibrary

_by_name: Dict[str, Library] = {}
_by_type: Dict[type, Library] = {}
_MAKERS: Dict[str, Callable[[], Library]] = {
    "numpy": NumpyLibrary, "torch": TorchLibrary, "mlx": MlxLibrary, "buffer": BufferLibrary,
}  # fmt: skip
_ARRAY_CLASSES = {"numpy": ("ndarray",), "torch": ("Tensor", "Parameter"), "mlx": ("array",)}


def library(name: str) -> Library:
    """The library called "numpy", "torch", "mlx" or "buffer"; imports it."""
    found = _by_name.get(name)
    if found is None:
        found = _by_name[name] = _MAKERS[name]()
    return found


def _discover(array: Any, what: str) -> Library:
    for base in type(array).__mro__:
        root = (base.__module__ or "").split(".")[0]
        if root in _ARRAY_CLASSES and base.__name__ in _ARRAY_CLASSES[root]:
            return library(root)
    if hasattr(array, "__dlpack__"):
        root = type(array).__module__.split(".")[0].replace("jaxlib", "jax")
        found = _by_name.get(root)
        if found is None:
            found = _by_name[root] = DlpackLibrary(sys.modules[root])
        return found
    try:
        memoryview(array)
    except TypeError:
        pass
    else:
        if not isinstance(array, (bytes, str)):
            return library("buffer")
    expected = "an array (NumPy, PyTorch, MLX, or anything with __dlpack__ or the buffer protocol)"
    raise TypeError(f"{what}: wrong class: got {type(array).__name__}, expected {expected}")


def library_of(array: Any, what: str = "array") -> Library:
    """The library of one array."""
    found = _by_type.get(type(array))
    if found is None:
        found = _discover(array, what)
        _by_type[type(array)] = found
    return found


def common_library(op: str, first: Any, *others: Any) -> Library:
    """The library that all arrays are of; None among `others` is skipped. Two libraries in one call: TypeError."""
    found = library_of(first, op)
    for other in others:
        if other is not None and _by_type.get(type(other)) is not found:
            another = library_of(other, op)
            if another is not found:
                raise TypeError(f"{op}: mixed array libraries: got {another.name}, expected {found.name}")
    return found


class Views:
    """The views of one call's arrays, and what keeps them alive."""

    __slots__ = ("library", "kept")

    def __init__(self, of: Library) -> None:
        self.library = of
        self.kept: List[Any] = []

    def __call__(self, array: Any) -> Any:
        if array is None:
            return NULL
        view, keep = self.library.view(array)
        self.kept.append(keep)
        self.kept.append(view)
        return view


def as_array(value: Any) -> Any:
    """What has only `__array__` becomes a NumPy array; everything else stays."""
    kind = type(value)
    if kind in _by_type or not hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        return value
    import numpy

    return numpy.asarray(value)
