"""NumPy arrays."""
from __future__ import annotations

from math import prod
from typing import Any, Callable, List, Tuple

from .._library import ffi, new
from .array_library import Library
from .array_views import BF16, ITEM_BYTES, NAMES, U8, VIEW, VOID, held_buffer, make_view, view_fields


class NumpyLibrary(Library):
    name = "numpy"
    stays = True

    def __init__(self) -> None:
        import numpy

        self.numpy = numpy
        self.ndarray = numpy.ndarray
        names = [(code, name) for code, name in NAMES.items() if code != BF16]
        self.objects = {code: numpy.dtype(name) for code, name in names}
        self.codes = {dtype: code for code, dtype in self.objects.items()}
        self.codes[numpy.dtype("bool")] = U8

    def code_of(self, dtype: Any) -> int:
        code = self.codes.get(dtype)
        if code is None:
            if dtype.name == "bfloat16":  # ml_dtypes adds it
                self.codes[dtype], self.objects[BF16] = BF16, dtype
                return BF16
            native = dtype.newbyteorder("=")
            if native in self.codes and native != dtype:
                raise ValueError(f"array: byte order: got {dtype}, expected the machine's own")
            raise ValueError(
                f"array: dtype: got {dtype}, expected a float32, float16, bfloat16, float64 or integer array"
            )
        return code

    def view(self, array: Any) -> Tuple[Any, Any]:
        code = self.codes.get(array.dtype) or self.code_of(array.dtype)
        if code != BF16 and array.flags.c_contiguous:
            data = ffi.from_buffer(array)
            return new(VIEW, view_fields(data, code, array.shape)), data
        data = ffi.cast(VOID, array.__array_interface__["data"][0])
        size = array.itemsize
        if any(step % size for step in array.strides):
            array = array.copy()  # a field of a record array
            return self.view(array)
        return make_view(data, code, array.shape, [step // size for step in array.strides]), array

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        kind = self.objects.get(dtype) or self.dtype_object(dtype)
        n = prod(shape) * ITEM_BYTES[dtype]
        if n == 0:
            drop(None)
            return self.numpy.empty(shape, kind)
        array = self.ndarray(shape, kind, held_buffer(data, n, drop))
        if not writable:
            array.flags.writeable = False
        return array

    def dtype_code(self, array: Any) -> int:
        return self.codes.get(array.dtype) or self.code_of(array.dtype)

    def dtype_object(self, code: int) -> Any:
        if code == BF16 and BF16 not in self.objects:
            try:
                import ml_dtypes
            except ImportError:
                raise RuntimeError("numpy: bfloat16 needs the package ml_dtypes") from None
            self.code_of(self.numpy.dtype(ml_dtypes.bfloat16))
        return self.objects[code]

    def as_bool(self, array: Any) -> Any:
        return array.view(self.numpy.bool_)

    def concatenate(self, arrays: List[Any]) -> Any:
        return self.numpy.concatenate(arrays)

    def parse_dtype(self, dtype: Any) -> int:
        try:
            return self.code_of(self.numpy.dtype(dtype))
        except TypeError:
            return super().parse_dtype(dtype)
