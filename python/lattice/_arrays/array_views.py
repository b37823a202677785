"""How C describes arrays: element types, views of memory, and who owns it."""
from __future__ import annotations

import functools
from typing import Any, Callable, Optional, Sequence, Tuple

from .._library import collect, ffi, lib, new

F32, F16, F64, I32, I64, U8, U32, I16, BF16 = 1, 2, 3, 4, 5, 6, 7, 8, 9
ITEM_BYTES = {F32: 4, F16: 2, F64: 8, I32: 4, I64: 8, U8: 1, U32: 4, I16: 2, BF16: 2}
NAMES = {
    F32: "float32", F16: "float16", F64: "float64", I32: "int32", I64: "int64", U8: "uint8", U32: "uint32",
    I16: "int16", BF16: "bfloat16",
}  # fmt: skip
CODES = {name: code for code, name in NAMES.items()}
FLOATS = (F32, F16, BF16)

LETTERS = {F32: "f", F64: "d", I32: "i", I64: "q", U8: "B", U32: "I", I16: "h", F16: "H", BF16: "H"}

VIEW = ffi.typeof("lat_array_view *")
VOID = ffi.typeof("void *")
MAX_RANK = 6


def make_view(data: Any, dtype: int, shape: Sequence[int], stride: Optional[Sequence[int]] = None) -> Any:
    """A `lat_array_view *`; `stride` is in elements, None means row-major without gaps."""
    return new(VIEW, view_fields(data, dtype, tuple(shape), stride))


def view_fields(data: Any, dtype: int, shape: Tuple[int, ...], stride: Optional[Sequence[int]] = None) -> Tuple[Any, ...]:
    """What a `lat_array_view` is made of, for cffi to fill one in."""
    rank = len(shape)
    if rank > MAX_RANK:
        raise ValueError(f"array: too many axes: got {rank}, expected at most {MAX_RANK}")
    return data, dtype, 0, rank, shape, row_major(shape) if stride is None else stride


@functools.lru_cache(maxsize=1024)
def row_major(shape: Tuple[int, ...]) -> Tuple[int, ...]:
    """Strides in elements of an array without gaps."""
    step, steps = 1, []
    for length in reversed(shape):
        steps.append(step)
        step *= length
    return tuple(steps[::-1])


def view_shape(view: Any) -> Tuple[int, ...]:
    return tuple(view.shape)[: view.rank]


def view_bytes(view: Any) -> int:
    count = ITEM_BYTES[view.dtype]
    for axis in range(view.rank):
        count *= view.shape[axis]
    return count


def is_contiguous(view: Any) -> bool:
    step = 1
    for axis in range(view.rank - 1, -1, -1):
        if view.shape[axis] == 0:
            return True
        if view.shape[axis] != 1 and view.stride[axis] != step:
            return False
        step *= view.shape[axis]
    return True


def held_buffer(data: Any, n_bytes: int, drop: Callable[[Any], None]) -> Any:
    """A Python buffer over C memory; `drop` runs when the last view of it is gone."""
    return ffi.buffer(collect(data, drop), n_bytes)


def own(handle: Any) -> Any:
    """Takes over a reference to a `lat_array *`."""
    return ffi.gc(handle, lib.lat_array_release)
