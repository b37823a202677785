"""A handful of array functions with one meaning in NumPy, PyTorch and MLX, for operations composed of them."""
from __future__ import annotations

from typing import Any, Dict, Sequence

from ._arrays import Library


class NumpyMath:
    """The vocabulary. Floating-point work happens in float32; `like` rounds to the dtype of an array."""

    def __init__(self, of: Library) -> None:
        import numpy

        self.np: Any = numpy

    def f32(self, x: Any) -> Any:
        return x.astype(self.np.float32)

    def like(self, x: Any, ref: Any) -> Any:
        return x.astype(ref.dtype)

    def promoted(self, x: Any, *arrays: Any) -> Any:
        """x in the one dtype of the arrays, in float32 where they differ."""
        kinds = {a.dtype for a in arrays if a is not None}
        return self.like(x, arrays[0]) if len(kinds) == 1 else self.f32(x)

    def indices(self, rows: Any) -> Any:
        return rows

    def take(self, x: Any, rows: Any, fill: float = 0.0) -> Any:
        """`x[rows]` along axis 0; a row number equal to len(x), or negative, gives `fill`."""
        n = x.shape[0]
        padded = self.concat([x, self.full((1, *x.shape[1:]), fill, x)], 0)
        rows = self.indices(rows)
        return padded[self.where(rows < 0, n, rows)]

    def full(self, shape: Any, value: float, like: Any) -> Any:
        return self.np.full(shape, value, dtype=like.dtype)

    def vector(self, values: Sequence[float], like: Any) -> Any:
        return self.np.array(values, dtype=self.np.float32)

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return self.np.concatenate(arrays, axis=axis)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        return self.np.where(condition, a, b)

    def sum(self, x: Any, axis: int, keep: bool = False) -> Any:
        return self.np.sum(x, axis=axis, keepdims=keep)

    def max(self, x: Any, axis: int) -> Any:
        return self.np.max(x, axis=axis)

    def maximum(self, a: Any, b: Any) -> Any:
        return self.np.maximum(a, b)

    def minimum(self, a: Any, b: Any) -> Any:
        return self.np.minimum(a, b)

    def sqrt(self, x: Any) -> Any:
        return self.np.sqrt(x)

    def exp(self, x: Any) -> Any:
        return self.np.exp(x)

    def log1p(self, x: Any) -> Any:
        return self.np.log1p(x)

    def tanh(self, x: Any) -> Any:
        return self.np.tanh(x)

    def permute(self, x: Any, axes: Sequence[int]) -> Any:
        return self.np.transpose(x, axes)

    def scatter(self, n: int, places: Any, values: Any, fill: int) -> Any:
        """An int32 vector of length n that is `fill` but for `values` at `places`."""
        out = self.np.full((n,), fill, dtype=self.np.int32)
        out[places] = values
        return out


class TorchMath(NumpyMath):
    def __init__(self, of: Library) -> None:
        import torch

        self.np = torch

    def f32(self, x: Any) -> Any:
        return x.to(self.np.float32)

    def like(self, x: Any, ref: Any) -> Any:
        return x.to(ref.dtype)

    def indices(self, rows: Any) -> Any:
        return rows.long()

    def vector(self, values: Sequence[float], like: Any) -> Any:
        return self.np.tensor(values, dtype=self.np.float32)

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return self.np.cat(list(arrays), dim=axis)

    def sum(self, x: Any, axis: int, keep: bool = False) -> Any:
        return self.np.sum(x, dim=axis, keepdim=keep)

    def max(self, x: Any, axis: int) -> Any:
        return self.np.amax(x, dim=axis)

    def erf(self, x: Any) -> Any:
        return self.np.erf(x)

    def sigmoid(self, x: Any) -> Any:
        return self.np.sigmoid(x)

    def permute(self, x: Any, axes: Sequence[int]) -> Any:
        return x.permute(*axes)

    def scatter(self, n: int, places: Any, values: Any, fill: int) -> Any:
        out = self.np.full((n,), fill, dtype=self.np.int64)
        out[places.long()] = values.long()
        return out


class MlxMath(NumpyMath):
    def __init__(self, of: Library) -> None:
        import mlx.core as mx

        self.np = mx

    def erf(self, x: Any) -> Any:
        return self.np.erf(x)

    def sigmoid(self, x: Any) -> Any:
        return self.np.sigmoid(x)


_found: Dict[str, NumpyMath] = {}
_CLASSES = {"numpy": NumpyMath, "torch": TorchMath, "mlx": MlxMath}


def math_of(of: Library) -> Any:
    math = _found.get(of.name)
    if math is None:
        if of.name not in _CLASSES:
            raise TypeError(f"{of.name}: this operation needs NumPy, PyTorch or MLX arrays")
        math = _found[of.name] = _CLASSES[of.name](of)
    return math
