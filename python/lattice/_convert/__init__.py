"""Checkpoints of other libraries as Lattice artifacts (docs/converting.md). Needs the standard library alone.

`library_runner` is the exception: it replays with the package's own library, for `lattice.convert`.
"""

from __future__ import annotations

from .checkpoint_converter import Conversion, command_runner, convert, read_checkpoint
from .torch_checkpoint import Refused, Tensor, read_torch_checkpoint

__all__ = ["Conversion", "Refused", "Tensor", "command_runner", "convert", "read_checkpoint", "read_torch_checkpoint"]
