"""PyTorch tensors on the CPU."""
from __future__ import annotations

from math import prod
from typing import Any, Callable, List, Sequence, Tuple

from .._library import ffi, new
from .array_library import Library
from .array_views import ITEM_BYTES, NAMES, U8, VIEW, VOID, held_buffer, view_fields


class TorchLibrary(Library):
    name = "torch"
    stays = True

    def __init__(self) -> None:
        import torch

        self.torch = torch
        names = [(code, name) for code, name in NAMES.items() if hasattr(torch, name)]
        self.objects = {code: getattr(torch, name) for code, name in names}
        self.codes = {dtype: code for code, dtype in self.objects.items()}
        self.codes[torch.bool] = U8

    def code_of(self, array: Any) -> int:
        code = self.codes.get(array.dtype)
        if code is None:
            raise ValueError(
                f"array: dtype: got {array.dtype}, expected a float32, float16, bfloat16, float64 or integer tensor"
            )
        return code

    def address(self, array: Any) -> int:
        return int(array.data_ptr())  # `array.data = other` exchanges it

    def view(self, array: Any) -> Tuple[Any, Any]:
        if not array.is_cpu:
            raise RuntimeError(f"array: device: got {array.device}, expected cpu: no CUDA module")
        if array.layout is not self.torch.strided:
            raise ValueError(f"array: layout: got {array.layout}, expected a strided tensor")
        if array.is_conj() or array.is_neg():
            array = array.resolve_conj().resolve_neg()
        start = array.data_ptr()
        if start == array.storage_offset() * array.element_size() and array.numel():  # counted from NULL
            raise ValueError("array: memory: got a tensor whose storage was freed, expected one with its values")
        code = self.codes.get(array.dtype) or self.code_of(array)
        return new(VIEW, view_fields(ffi.cast(VOID, start), code, array.shape, array.stride())), array

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        kind = self.objects[dtype]
        n = prod(shape) * ITEM_BYTES[dtype]
        if n == 0:
            drop(None)
            return self.torch.empty(shape, dtype=kind)
        return self.torch.frombuffer(held_buffer(data, n, drop), dtype=kind).view(shape)

    def dtype_code(self, array: Any) -> int:
        return self.code_of(array)

    def dtype_object(self, code: int) -> Any:
        return self.objects[code]

    def cast(self, array: Any, code: int) -> Any:
        return array.to(self.objects[code])  # the graph goes on

    def is_direct(self, arrays: Sequence[Any]) -> bool:
        if not self.torch.is_grad_enabled():
            return True
        for array in arrays:
            if array is not None and array.requires_grad:
                return False
        return True

    def apply(self, operation: Any, arrays: List[Any]) -> Any:
        from .._autodiff_torch import apply

        return apply(operation, arrays)

    def as_bool(self, array: Any) -> Any:
        return array.view(self.torch.bool)

    def concatenate(self, arrays: List[Any]) -> Any:
        return self.torch.cat(arrays)

    def detach(self, array: Any) -> Any:
        return array.detach()
