"""Modules for MLX: sparse in, sparse out; global pools give arrays.

They are `mlx.nn.Module`s. Parameters are float32 and are rounded to the dtype of the features where they are used; norms
compute in float32.
"""
from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn

from ... import _modules as m


class _Base(m.Common, mlx.nn.Module):  # type: ignore[misc]
    _library_name = "mlx"
    _home = __name__

    def __init__(self) -> None:
        mlx.nn.Module.__init__(self)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.forward(*arguments, **options)

    def _new_parameter(self, name: str, array: Any) -> None:
        setattr(self, name, array)

    _new_buffer = _new_parameter

    def _uniform(self, shape: Any, bound: float) -> Any:
        return mx.random.uniform(-bound, bound, shape)

    def _filled(self, shape: Any, value: float) -> Any:
        return mx.full(shape, value, dtype=mx.float32)

    def _freeze(self) -> None:
        self.freeze()

    def unfreeze(self, *arguments: Any, **options: Any) -> Any:
        """As in MLX, but packed weights and running statistics stay frozen."""
        super().unfreeze(*arguments, **options)
        if isinstance(self, m.Packed):
            self.freeze(recurse=False)
        elif isinstance(self, m.BatchNorm):
            self._freeze_statistics()
        return self

    def _freeze_statistics(self) -> None:
        self.freeze(recurse=False, keys=["running_mean", "running_var"])

    def _extra_repr(self) -> str:
        return self._describe() if hasattr(self, "_describe") else ""


class Conv3d(m.Conv3d, _Base):  # type: ignore[misc]
    __doc__ = m.Conv3d.__doc__


class SubmConv3d(m.SubmConv3d, _Base):  # type: ignore[misc]
    __doc__ = m.SubmConv3d.__doc__


class NormalizedSubmConv3d(m.NormalizedSubmConv3d, SubmConv3d):  # type: ignore[misc]
    __doc__ = m.NormalizedSubmConv3d.__doc__


class ConvTranspose3d(m.ConvTranspose3d, _Base):  # type: ignore[misc]
    __doc__ = m.ConvTranspose3d.__doc__


class NormalizedConvTranspose3d(m.NormalizedConvTranspose3d, ConvTranspose3d):  # type: ignore[misc]
    __doc__ = m.NormalizedConvTranspose3d.__doc__


class GenerativeConvTranspose3d(m.GenerativeConvTranspose3d, _Base):  # type: ignore[misc]
    __doc__ = m.GenerativeConvTranspose3d.__doc__


class NormalizedGenerativeConvTranspose3d(m.NormalizedGenerativeConvTranspose3d, GenerativeConvTranspose3d):  # type: ignore[misc]
    __doc__ = m.NormalizedGenerativeConvTranspose3d.__doc__


class QuantizedConv3d(m.QuantizedConv3d, _Base):  # type: ignore[misc]
    __doc__ = m.QuantizedConv3d.__doc__


class QuantizedSubmConv3d(m.QuantizedSubmConv3d, _Base):  # type: ignore[misc]
    __doc__ = m.QuantizedSubmConv3d.__doc__


class QuantizedConvTranspose3d(m.QuantizedConvTranspose3d, _Base):  # type: ignore[misc]
    __doc__ = m.QuantizedConvTranspose3d.__doc__


class QuantizedGenerativeConvTranspose3d(m.QuantizedGenerativeConvTranspose3d, _Base):  # type: ignore[misc]
    __doc__ = m.QuantizedGenerativeConvTranspose3d.__doc__


class Linear(m.Linear, _Base, mlx.nn.Linear):  # type: ignore[misc]
    __doc__ = m.Linear.__doc__


class QuantizedLinear(m.QuantizedLinear, _Base):  # type: ignore[misc]
    __doc__ = m.QuantizedLinear.__doc__


class ReLU(m.ReLU, _Base):  # type: ignore[misc]
    __doc__ = m.ReLU.__doc__


class Sigmoid(m.Sigmoid, _Base):  # type: ignore[misc]
    __doc__ = m.Sigmoid.__doc__


class SiLU(m.SiLU, _Base):  # type: ignore[misc]
    __doc__ = m.SiLU.__doc__


class Tanh(m.Tanh, _Base):  # type: ignore[misc]
    __doc__ = m.Tanh.__doc__


class GELU(m.GELU, _Base):  # type: ignore[misc]
    __doc__ = m.GELU.__doc__


class LeakyReLU(m.LeakyReLU, _Base):  # type: ignore[misc]
    __doc__ = m.LeakyReLU.__doc__


class Softplus(m.Softplus, _Base):  # type: ignore[misc]
    __doc__ = m.Softplus.__doc__


class Dropout(m.Dropout, _Base):  # type: ignore[misc]
    __doc__ = m.Dropout.__doc__


class BatchNorm(m.BatchNorm, _Base):  # type: ignore[misc]
    __doc__ = m.BatchNorm.__doc__


class LayerNorm(m.LayerNorm, _Base):  # type: ignore[misc]
    __doc__ = m.LayerNorm.__doc__


class RMSNorm(m.RMSNorm, _Base):  # type: ignore[misc]
    __doc__ = m.RMSNorm.__doc__


class InstanceNorm(m.InstanceNorm, _Base):  # type: ignore[misc]
    __doc__ = m.InstanceNorm.__doc__


class GroupNorm(m.GroupNorm, _Base):  # type: ignore[misc]
    __doc__ = m.GroupNorm.__doc__


class Pool3d(m.Pool3d, _Base):  # type: ignore[misc]
    __doc__ = m.Pool3d.__doc__


class SumPool3d(m.FixedPool, Pool3d):  # type: ignore[misc]
    """Pool3d with mode "sum"."""

    _mode = "sum"


class MaxPool3d(m.FixedPool, Pool3d):  # type: ignore[misc]
    """Pool3d with mode "max"."""

    _mode = "max"


class AvgPool3d(m.FixedPool, Pool3d):  # type: ignore[misc]
    """Pool3d with mode "avg"."""

    _mode = "avg"


class PoolTranspose3d(m.PoolTranspose3d, _Base):  # type: ignore[misc]
    __doc__ = m.PoolTranspose3d.__doc__


class TrilinearUpsample3d(m.TrilinearUpsample3d, _Base):  # type: ignore[misc]
    __doc__ = m.TrilinearUpsample3d.__doc__


class GlobalSumPool(m.GlobalSumPool, _Base):  # type: ignore[misc]
    __doc__ = m.GlobalSumPool.__doc__


class GlobalAvgPool(m.GlobalAvgPool, _Base):  # type: ignore[misc]
    __doc__ = m.GlobalAvgPool.__doc__


class GlobalMaxPool(m.GlobalMaxPool, _Base):  # type: ignore[misc]
    __doc__ = m.GlobalMaxPool.__doc__


__all__ = [
    "AvgPool3d", "BatchNorm", "Conv3d", "ConvTranspose3d", "Dropout", "GELU", "GenerativeConvTranspose3d",
    "GlobalAvgPool", "GlobalMaxPool", "GlobalSumPool", "GroupNorm", "InstanceNorm", "LayerNorm", "LeakyReLU",
    "Linear", "MaxPool3d", "NormalizedConvTranspose3d", "NormalizedGenerativeConvTranspose3d", "NormalizedSubmConv3d",
    "Pool3d", "PoolTranspose3d", "QuantizedConv3d", "QuantizedConvTranspose3d", "QuantizedGenerativeConvTranspose3d",
    "QuantizedLinear", "QuantizedSubmConv3d", "RMSNorm", "ReLU", "SiLU", "Sigmoid", "Softplus", "SubmConv3d",
    "SumPool3d", "Tanh", "TrilinearUpsample3d",
]  # fmt: skip
