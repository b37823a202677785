"""Anything with the buffer protocol."""
from __future__ import annotations

from typing import Any, Callable, Tuple

from .._library import ffi
from .array_library import Library
from .array_views import F16, F32, F64, I16, I32, I64, ITEM_BYTES, LETTERS, NAMES, U8, U32, held_buffer, make_view

_FORMATS = {
    "f": F32, "e": F16, "d": F64, "i": I32, "l": I64, "q": I64, "B": U8, "?": U8, "I": U32, "h": I16,
}  # fmt: skip


class BufferLibrary(Library):
    """Anything with the buffer protocol; results are memoryviews. Used where no array library is there."""

    name = "buffer"

    def view(self, array: Any) -> Tuple[Any, Any]:
        memory: Any = memoryview(array)
        code = _FORMATS.get(memory.format.lstrip("@="))
        if code is None or ITEM_BYTES[code] != memory.itemsize:
            raise ValueError(f"array: buffer format: got {memory.format!r}, expected a float or integer one")
        if not memory.c_contiguous:
            memory = memoryview(memory.tobytes()).cast("B").cast(memory.format, memory.shape)
        data = ffi.from_buffer(memory)
        return make_view(data, code, memory.shape), (data, memory)

    def shape(self, array: Any) -> Tuple[int, ...]:
        memory: Any = memoryview(array)
        return tuple(memory.shape)

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        import ctypes

        n = ITEM_BYTES[dtype]
        for length in shape:
            n *= length
        if n == 0:
            drop(None)
            kind: Any = {F32: ctypes.c_float, F64: ctypes.c_double, I64: ctypes.c_int64}.get(dtype, ctypes.c_int32)
            for length in reversed(shape):
                kind = kind * length
            return memoryview(kind())
        letter: Any = LETTERS[dtype]
        memory = memoryview(held_buffer(data, n, drop)).cast("B").cast(letter, shape)
        return memory if writable else memory.toreadonly()

    def dtype_object(self, code: int) -> Any:
        return NAMES[code]
