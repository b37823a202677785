"""Lattice for PyTorch: `nn` has the modules."""
from . import nn

__all__ = ["nn"]
