"""Modules for NumPy, for inference: sparse in, sparse out; global pools give arrays.

Parameters are float32 NumPy arrays and are rounded to the dtype of the features where they are used. There are no
gradients; `eval()` and `train()` switch batch norm and dropout.
"""
from __future__ import annotations

from typing import Any, Dict, Iterator, Tuple

import numpy as np

from ... import _modules as m


class Module(m.Common):
    """Base of the modules: attributes that are arrays are its state, attributes that are modules its children."""

    _library_name = "numpy"
    _home = __name__
    training = True

    def __init__(self) -> None:
        pass

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.forward(*arguments, **options)  # type: ignore[attr-defined]

    def _children(self) -> Iterator[Tuple[str, "Module"]]:
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                for place, item in enumerate(value):
                    if isinstance(item, Module):
                        yield f"{name}.{place}", item

    def train(self, mode: bool = True) -> "Module":
        """Switches this module and its children to training (batch norm takes and updates statistics)."""
        self.training = mode
        for _, child in self._children():
            child.train(mode)
        return self

    def eval(self) -> "Module":
        """Switches to inference."""
        return self.train(False)

    def state_dict(self, prefix: str = "") -> Dict[str, Any]:
        """Every array by its dotted name."""
        found = {prefix + name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        for name, child in self._children():
            found.update(child.state_dict(f"{prefix}{name}."))
        return found

    def load_state_dict(self, state: Dict[str, Any], prefix: str = "") -> None:
        """Takes arrays by their dotted names. ValueError for one that is missing or has another shape."""
        for name, value in list(vars(self).items()):
            if isinstance(value, np.ndarray):
                if prefix + name not in state:
                    raise ValueError(f"load_state_dict: missing array: expected {prefix + name}")
                new = np.asarray(state[prefix + name])
                if new.shape != value.shape:
                    raise ValueError(f"load_state_dict: shape of {prefix + name}: got {new.shape}, expected {value.shape}")
                setattr(self, name, new.astype(value.dtype))
        for name, child in self._children():
            child.load_state_dict(state, f"{prefix}{name}.")

    def _new_parameter(self, name: str, array: Any) -> None:
        setattr(self, name, array)

    _new_buffer = _new_parameter

    def _uniform(self, shape: Any, bound: float) -> Any:
        return np.random.uniform(-bound, bound, shape).astype(np.float32)

    def _filled(self, shape: Any, value: float) -> Any:
        return np.full(shape, value, np.float32)

    def __repr__(self) -> str:
        extra = self.extra_repr() if hasattr(self, "extra_repr") else ""
        return f"{type(self).__name__}({extra})"


_Base = Module


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


class Linear(m.Linear, _Base):  # type: ignore[misc]
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
    "Linear", "MaxPool3d", "Module", "NormalizedConvTranspose3d", "NormalizedGenerativeConvTranspose3d",
    "NormalizedSubmConv3d", "Pool3d", "PoolTranspose3d", "QuantizedConv3d", "QuantizedConvTranspose3d",
    "QuantizedGenerativeConvTranspose3d", "QuantizedLinear", "QuantizedSubmConv3d", "RMSNorm", "ReLU", "SiLU",
    "Sigmoid", "Softplus", "SubmConv3d", "SumPool3d", "Tanh", "TrilinearUpsample3d",
]  # fmt: skip
