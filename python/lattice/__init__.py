"""Lattice: sparse 3-D tensors and sparse convolution networks on point clouds and voxels."""
from ._library import lib as _lib  # noqa: F401
from ._version import __version__

__all__ = ["__version__"]
