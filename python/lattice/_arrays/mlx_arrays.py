"""MLX arrays."""
from __future__ import annotations

from typing import Any, Callable, List, Sequence, Tuple

from .._library import ffi
from .array_library import Library
from .array_views import BF16, F16, ITEM_BYTES, LETTERS, NAMES, U8, held_buffer, make_view


class MlxLibrary(Library):
    name = "mlx"

    def __init__(self) -> None:
        import mlx.core as mx

        self.mx = mx
        names = [(code, name) for code, name in NAMES.items() if hasattr(mx, name)]
        self.objects = {code: getattr(mx, name) for code, name in names}
        self.codes = {dtype: code for code, dtype in self.objects.items()}
        self.codes[mx.bool_] = U8

    def code_of(self, array: Any) -> int:
        code = self.codes.get(array.dtype)
        if code is None:
            raise ValueError(
                f"array: dtype: got {array.dtype}, expected a float32, float16, bfloat16 or integer array"
            )
        return code

    def is_traced(self, array: Any) -> bool:
        """Whether the array has no value because mx.compile or mx.vmap looks at it."""
        try:
            self.mx.eval(array)
        except ValueError as error:
            if "eval" not in str(error):
                raise
            return True
        return False

    def view(self, array: Any) -> Tuple[Any, Any]:
        code = self.code_of(array)
        try:
            memory = memoryview(array)  # evaluates
        except (ValueError, RuntimeError, BufferError) as error:
            if "eval" in str(error):
                raise RuntimeError(
                    "array: an array without a value: under mx.compile coordinates and indices must be constants"
                ) from None
            raise
        if not memory.c_contiguous:
            array = self.mx.contiguous(array)
            memory = memoryview(array)
        data = ffi.from_buffer(memory)
        return make_view(data, code, array.shape), (data, array)

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        mx = self.mx
        n = ITEM_BYTES[dtype]
        for length in shape:
            n *= length
        if n == 0 or dtype not in self.objects:
            drop(None)
            return mx.zeros(shape, dtype=self.objects.get(dtype, mx.float32))
        # MLX keeps its arrays in memory of its own: this is the one copy. Halves travel as their bit patterns.
        letter: Any = LETTERS[dtype]
        memory = memoryview(held_buffer(data, n, drop)).cast("B")
        array = mx.array(memory.cast(letter, shape) if len(shape) else memory.cast(letter))
        if dtype in (F16, BF16):
            array = array.view(self.objects[dtype])
        return array if len(shape) else array.reshape(())

    def dtype_code(self, array: Any) -> int:
        return self.code_of(array)

    def dtype_object(self, code: int) -> Any:
        return self.objects[code]

    def cast(self, array: Any, code: int) -> Any:
        return array if self.codes.get(array.dtype) == code else array.astype(self.objects[code])

    def is_direct(self, arrays: Sequence[Any]) -> bool:
        return False  # a transformation may be looking on

    def apply(self, operation: Any, arrays: List[Any]) -> Any:
        from .._autodiff_mlx import apply

        return apply(self, operation, arrays)

    def as_bool(self, array: Any) -> Any:
        return array.astype(self.mx.bool_)

    def concatenate(self, arrays: List[Any]) -> Any:
        return self.mx.concatenate(arrays)

    def detach(self, array: Any) -> Any:
        return self.mx.stop_gradient(array)
