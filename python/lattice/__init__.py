"""Lattice: sparse 3-D tensors and sparse convolution networks on point clouds and voxels.

`SparseTensor` holds coordinates and features in arrays of NumPy, PyTorch or MLX; `lattice.ops` has the operations,
`lattice.numpy.nn`, `lattice.torch.nn` and `lattice.mlx.nn` the modules, `lattice.core` coordinate sets and relations.
"""
from __future__ import annotations

from typing import Any, Dict

from . import core, ops
from ._library import close, set_options
from ._version import __version__
from .core import (
    QuantizedWeight,
    SparseTensor,
    SparseTensorComponents,
    dequantize_weight,
    quantize_weight,
)
from . import artifact, compat, nn
from .checkpoints import convert
from .point_files import PointCloud, explain, plot, read_points, write_points

__all__ = [
    "PointCloud", "QuantizedWeight", "SparseTensor", "SparseTensorComponents", "__version__", "artifact",
    "backend_info", "close", "compat", "convert", "core", "dequantize_weight", "explain", "nn", "ops", "plot", "quantize_weight",
    "read_points", "set_options", "use", "write_points",
]  # fmt: skip


def backend_info() -> Dict[str, Any]:
    """`{"version": ..., "capabilities": {"cpu": True, "metal": False, "mlir": bool}}`."""
    mlir = artifact.native_artifact_execution_available()
    return {"version": __version__, "capabilities": {"cpu": True, "metal": False, "mlir": mlir}}


def use(framework: str) -> None:
    """Chooses the framework of `lattice.nn`: "mlx", "torch" or "numpy" (the default)."""
    nn._use(framework)
