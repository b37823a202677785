"""Operations in PyTorch's graph."""
from __future__ import annotations

from typing import Any, List, Sequence

import torch
from torch.autograd.function import once_differentiable


class _Apply(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, operation: Any, *arrays: Any) -> Any:  # type: ignore[override]
        ctx.operation = operation
        ctx.save_for_backward(*arrays)
        return operation.forward(*arrays)

    @staticmethod
    @once_differentiable  # type: ignore[misc,untyped-decorator]
    def backward(ctx: Any, grad: Any) -> Any:  # type: ignore[override]
        arrays = ctx.saved_tensors
        needs = ctx.needs_input_grad[1:]
        operation = ctx.operation
        if operation.c_backward is not None:
            found = operation.backward(grad, arrays, needs)
        else:
            found = _by_formula(operation, arrays, grad, needs)
        grads: List[Any] = []
        for array, need, value in zip(arrays, needs, found):
            if not need or value is None:
                grads.append(None)
            else:
                grads.append(value.view(array.shape).to(array.dtype))
        return (None, *grads)


def _by_formula(operation: Any, arrays: Sequence[Any], grad: Any, needs: Sequence[bool]) -> List[Any]:
    with torch.enable_grad():
        inputs = [a.detach().requires_grad_(bool(need)) for a, need in zip(arrays, needs)]
        result = operation.composed(*inputs)
        wanted = [a for a in inputs if a.requires_grad]
        found = iter(torch.autograd.grad(result, wanted, grad.to(result.dtype), allow_unused=True))
    return [next(found) if a.requires_grad else None for a in inputs]


def apply(operation: Any, arrays: List[Any]) -> Any:
    return _Apply.apply(operation, *arrays)
