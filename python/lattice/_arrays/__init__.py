"""Arrays of other libraries: in without copying where the memory allows, out in the caller's own library.

A `Library` knows one array library. Nothing here imports one: a library is found through the type of an array that a
caller hands over, so that `import lattice` needs none of them.
"""
from __future__ import annotations

from .array_library import Library
from .array_views import (
    BF16,
    CODES,
    F16,
    F32,
    F64,
    FLOATS,
    I16,
    I32,
    I64,
    ITEM_BYTES,
    MAX_RANK,
    NAMES,
    U32,
    U8,
    held_buffer,
    is_contiguous,
    make_view,
    own,
    view_bytes,
    view_shape,
)
from .library_finder import Views, as_array, common_library, library, library_of

__all__ = [
    "BF16", "CODES", "F16", "F32", "F64", "FLOATS", "I16", "I32", "I64", "ITEM_BYTES", "Library", "MAX_RANK",
    "NAMES", "U32", "U8", "Views", "as_array", "common_library", "held_buffer", "is_contiguous", "library",
    "library_of", "make_view", "own", "view_bytes", "view_shape",
]  # fmt: skip
