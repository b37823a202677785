"""What an array library can do for this package: `Library` is the common part of those that follow."""
from __future__ import annotations

from typing import Any, Callable, List, Sequence, Tuple

from .._library import check, context, ffi, lib
from .array_views import CODES, I32, I64, view_shape


class Library:
    """One array library. `name` is how messages call it."""

    name = "array"
    stays = False  # whether an array's memory stays where it is, as `address` tells

    def view(self, array: Any) -> Tuple[Any, Any]:
        """A borrowed `lat_array_view *` of an array and an object that keeps its memory alive."""
        raise NotImplementedError

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        """An array of this library over C memory."""
        raise NotImplementedError

    def dtype_code(self, array: Any) -> int:
        """The element type as C names it."""
        return int(self.view(array)[0].dtype)

    def dtype_object(self, code: int) -> Any:
        """The library's own object for an element type."""
        raise NotImplementedError

    def cast(self, array: Any, code: int) -> Any:
        """The array with another element type; the same object when it has it already."""
        if self.dtype_code(array) == code:
            return array
        view, keep = self.view(array)
        out = ffi.new("lat_array **")
        check(lib.lat_array_cast(context(), view, code, out))
        del keep
        return self.take(out[0])

    def shape(self, array: Any) -> Tuple[int, ...]:
        return tuple(array.shape)

    def address(self, array: Any) -> int:
        """Where the memory of an array of a library with `stays` lies; 0 where that cannot change."""
        return 0

    def rows(self, array: Any, start: int, end: int) -> Any:
        """Rows start to end of an array."""
        return array[start:end]

    def parse_dtype(self, dtype: Any) -> int:
        """The C name of a dtype object or of a name like "float16"."""
        name = str(dtype).rsplit(".", 1)[-1]
        if name not in CODES:
            raise ValueError(f"dtype: unknown element type: got {dtype!r}, expected one of {', '.join(CODES)}")
        return CODES[name]

    def take(self, handle: Any) -> Any:
        """The array of a `lat_array *` whose reference is taken over. Shares its memory."""
        view = lib.lat_array_as_view(handle)
        release = lib.lat_array_release
        return self.over(view.data, view.dtype, view_shape(view), lambda _: release(handle), True)

    def borrow(self, view: Any, owner: Any) -> Any:
        """A read-only array over memory that `owner` keeps alive."""
        return self.over(view.data, view.dtype, view_shape(view), _Holder(owner), False)

    def integers(self, values: Sequence[int], code: int = I32) -> Any:
        """A vector of whole numbers."""
        n = len(values)
        data = ffi.new({I32: "int32_t[]", I64: "int64_t[]"}[code], list(values))
        return self.over(data, code, (n,), _Holder(data), True)

    def is_direct(self, arrays: Sequence[Any]) -> bool:
        """Whether an operation on the arrays is a call of C and nothing else: no graph, no tracing."""
        return True

    def apply(self, operation: Any, arrays: List[Any]) -> Any:
        """Runs one operation; libraries that differentiate put it into their graph."""
        return operation.forward(*arrays)

    def as_bool(self, array: Any) -> Any:
        """Bytes that are 0 or 1 as the library's booleans."""
        return array

    def concatenate(self, arrays: List[Any]) -> Any:
        """Rows of several arrays."""
        raise TypeError(f"{self.name}: concatenation needs NumPy, PyTorch or MLX arrays")

    def detach(self, array: Any) -> Any:
        """The array without its history of derivatives."""
        return array


class _Holder:
    """A destructor that does nothing but hold an object until it runs."""

    __slots__ = ("owner",)

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def __call__(self, _: Any) -> None:
        self.owner = None
