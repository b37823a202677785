"""Operations under MLX's function transformations.

With values the C library computes, behind mx.custom_function. Without them (mx.compile, mx.vmap) the operation is composed
of MLX's own operations over the relation's constant index arrays.
"""
from __future__ import annotations

from typing import Any, List

import mlx.core as mx


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _traced(arrays: Any) -> bool:
    try:
        mx.eval(*arrays)
    except ValueError as error:
        if "eval" not in str(error):
            raise
        return True
    return False


def apply(of: Any, operation: Any, arrays: List[Any]) -> Any:
    if _traced(arrays):
        return operation.composed(*arrays)
    function = mx.custom_function(lambda *inputs: operation.forward(*inputs))

    def vjp(primals: Any, cotangent: Any, output: Any) -> Any:
        inputs, (grad,) = _tuple(primals), _tuple(cotangent)
        if operation.c_backward is None or _traced([*inputs, grad]):
            _, grads = mx.vjp(operation.composed, list(inputs), [grad])
        else:
            found = operation.backward(grad, inputs, [True] * len(inputs))
            grads = [
                mx.zeros_like(a) if g is None else g.reshape(a.shape).astype(a.dtype) for a, g in zip(inputs, found)
            ]
        return grads[0] if len(inputs) == 1 else tuple(grads)

    def jvp(primals: Any, tangents: Any) -> Any:
        inputs, directions = _tuple(primals), list(_tuple(tangents))
        if operation.c_jvp is not None and not _traced([a for a in (*inputs, *directions) if a is not None]):
            return operation.jvp(inputs, directions)
        filled = [mx.zeros_like(a) if t is None else t for a, t in zip(inputs, directions)]
        _, result = mx.jvp(operation.composed, list(inputs), filled)
        return result[0]

    function.vjp(vjp)
    function.jvp(jvp)
    return function(*arrays)
