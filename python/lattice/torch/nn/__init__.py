"""Modules for PyTorch: sparse in, sparse out; global pools give tensors.

They are `torch.nn.Module`s: state_dict, `.to()`, deepcopy, pickle, autocast. Parameters are float32 and are rounded to the
dtype of the features where they are used; norms compute in float32.
"""
from __future__ import annotations

from typing import Any

import torch

from ... import _modules as m
from ...core.sparse import SparseTensor


class _Base(m.Common, torch.nn.Module):  # type: ignore[misc]
    _library_name = "torch"
    _home = __name__

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def _new_parameter(self, name: str, array: Any) -> None:
        self.register_parameter(name, torch.nn.Parameter(array))

    def _new_buffer(self, name: str, array: Any) -> None:
        # Arrays over memory of the library are copied: a buffer may be written.
        self.register_buffer(name, array.clone())

    def _uniform(self, shape: Any, bound: float) -> Any:
        return torch.empty(shape).uniform_(-bound, bound)

    def _filled(self, shape: Any, value: float) -> Any:
        return torch.full(shape, value)

    @staticmethod
    def _value(parameter: Any) -> Any:
        return None if parameter is None else parameter.detach()

    def _amp(self, x: SparseTensor) -> SparseTensor:
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            if x.feats.dtype != dtype:
                return x.replace(feats=x.feats.to(dtype))
        return x

    def __getstate__(self) -> Any:
        # PyTorch pickles no uint32: packed words travel as their bit patterns.
        state = dict(self.__dict__)
        state["_buffers"] = {
            name: value.view(torch.int32) if value is not None and value.dtype == torch.uint32 else value
            for name, value in self._buffers.items()
        }
        return state

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        if isinstance(self, m.Packed):
            self._buffers["weight"] = self._buffers["weight"].view(torch.uint32)

    def _set_statistics(self, mean: Any, var: Any) -> None:
        with torch.no_grad():
            self.running_mean.copy_(mean)
            self.running_var.copy_(var)


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


class SyncBatchNorm(BatchNorm):
    """BatchNorm whose statistics, while training, are those of the rows of all processes of a group.

    Without `torch.distributed`, in a group of one and in evaluation it is BatchNorm. `convert(module)` exchanges every
    BatchNorm inside a module.
    """

    process_group: Any = None

    def forward(self, x: SparseTensor) -> SparseTensor:
        import torch.distributed as dist

        shared = dist.is_available() and dist.is_initialized() and dist.get_world_size(self.process_group) > 1
        if not (self.training and shared):
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce

        feats = self._check(x).feats.float()
        count = feats.new_tensor([float(feats.shape[0])])
        dist.all_reduce(count, group=self.process_group)
        rows = count.clamp(min=1)
        # The deviations are summed around the common mean: sums of squares would lose digits.
        mean = all_reduce(feats.sum(0), group=self.process_group or dist.group.WORLD) / rows
        var = all_reduce(((feats - mean) ** 2).sum(0), group=self.process_group or dist.group.WORLD) / rows
        if self.track_running_stats:
            keep = 1 - self.momentum
            self._set_statistics(
                keep * self.running_mean + self.momentum * mean.detach(), keep * self.running_var + self.momentum * var.detach()
            )
        y = (feats - mean) / (var + self.eps).sqrt()
        weight = getattr(self, "weight", None)
        if weight is not None:
            y = y * weight.float() + self._bias().float()
        return x.replace(feats=y.to(x.feats.dtype))

    @classmethod
    def convert(cls, module: torch.nn.Module, process_group: Any = None) -> torch.nn.Module:
        """The module with a SyncBatchNorm in place of every BatchNorm; parameters and statistics are the same objects."""
        if type(module) is BatchNorm:
            affine = getattr(module, "weight", None) is not None
            made = cls(module.num_features, module.eps, module.momentum, affine, module.track_running_stats)
            made._parameters, made._buffers, made.training = module._parameters, module._buffers, module.training
            made.process_group = process_group
            return made
        for name, child in list(module.named_children()):
            setattr(module, name, cls.convert(child, process_group))
        return module


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
    "SumPool3d", "SyncBatchNorm", "Tanh", "TrilinearUpsample3d",
]  # fmt: skip
