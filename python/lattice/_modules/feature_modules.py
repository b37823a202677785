"""Modules that work on each row: linear, activations, dropout and norms."""
from __future__ import annotations

import math
import sys
from typing import Any, Optional

from .. import ops
from ..core.sparse import SparseTensor
from .module_base import Common


class Linear(Common):
    """`x @ W.T + bias` of the features; weight and bias start uniform in +-1/sqrt(input_dims)."""

    weight: Any

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True) -> None:
        super().__init__()
        bound = math.sqrt(1.0 / max(input_dims, 1))
        self._new_parameter("weight", self._uniform((output_dims, input_dims), bound))
        if bias:
            self._new_parameter("bias", self._uniform((output_dims,), bound))

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self._amp(self._check(x))
        return ops.linear(x, self._cast(self.weight, x), self._cast(self._bias(), x))

    def to_quantized(
        self, group_size: Optional[int] = None, bits: Optional[int] = None, mode: str = "affine", quantize_input: bool = False
    ) -> Any:
        """The module with its weight packed (bits 4 by default)."""
        if quantize_input:
            raise ValueError("to_quantized: quantize_input is not supported: got True, expected False")
        quantized = sys.modules[type(self)._home].QuantizedLinear  # type: ignore[attr-defined]
        return quantized.from_linear(self, group_size=group_size, bits=4 if bits is None else bits, mode=mode)


class ReLU(Common):
    """`max(x, 0)`."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.relu(self._check(x))


class Sigmoid(Common):
    """`1 / (1 + exp(-x))`."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.sigmoid(self._check(x))


class SiLU(Common):
    """`x * sigmoid(x)`."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.silu(self._check(x))


class Tanh(Common):
    """Hyperbolic tangent."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.tanh(self._check(x))


class GELU(Common):
    """Gaussian error linear unit: approx "none" or "precise" (erf), "tanh", "fast"."""

    def __init__(self, approx: str = "none") -> None:
        super().__init__()
        self.approx = approx

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.gelu(self._check(x), approximate=self.approx)


class LeakyReLU(Common):
    """`x >= 0 ? x : x * negative_slope`."""

    def __init__(self, negative_slope: float = 1e-2) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.leaky_relu(self._check(x), negative_slope=self.negative_slope)


class Softplus(Common):
    """`log(1 + exp(x))`, x itself above 20."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.softplus(self._check(x))


class Dropout(Common):
    """Drops elements with probability p while training."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p must be in [0, 1): got {p}")
        self.p = p

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.dropout(self._check(x), p=self.p, training=self.training)


class BatchNorm(Common):
    """Batch norm over all rows: population statistics; running statistics float32, with the biased variance."""

    running_mean: Any
    running_var: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = int(num_features), eps, momentum
        self.track_running_stats = track_running_stats
        if affine:
            self._new_parameter("weight", self._filled((num_features,), 1.0))
            self._new_parameter("bias", self._filled((num_features,), 0.0))
        if track_running_stats:
            self._new_buffer("running_mean", self._filled((num_features,), 0.0))
            self._new_buffer("running_var", self._filled((num_features,), 1.0))
            self._freeze_statistics()

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        weight, bias = getattr(self, "weight", None), self._bias()
        mean = var = None
        if self.track_running_stats:
            if self.training:
                self._update(x)
            else:
                mean, var = self.running_mean, self.running_var
        return self._rounded(ops.batch_norm(x, weight=weight, bias=bias, mean=mean, var=var, eps=self.eps), x)

    def _update(self, x: SparseTensor) -> None:
        from ..ops.features import update_running

        mean, var = update_running(x, self.running_mean, self.running_var, self.momentum)
        self._set_statistics(mean, var)

    def _set_statistics(self, mean: Any, var: Any) -> None:
        self.running_mean, self.running_var = mean, var


class LayerNorm(Common):
    """Layer norm of each row."""

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.dims, self.eps = int(dims), eps
        if affine:
            self._new_parameter("weight", self._filled((dims,), 1.0))
            if bias:
                self._new_parameter("bias", self._filled((dims,), 0.0))

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        weight = getattr(self, "weight", None)
        return self._rounded(ops.layer_norm(x, weight=weight, bias=self._bias(), eps=self.eps), x)


class RMSNorm(Common):
    """`x / sqrt(mean(x^2) + eps) * weight` of each row."""

    weight: Any

    def __init__(self, dims: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.dims, self.eps = int(dims), eps
        self._new_parameter("weight", self._filled((dims,), 1.0))

    def forward(self, x: SparseTensor) -> SparseTensor:
        return self._rounded(ops.rms_norm(self._check(x), weight=self.weight, eps=self.eps), x)


class InstanceNorm(Common):
    """Norm of each batch item and channel."""

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        super().__init__()
        self.num_features, self.eps = int(num_features), eps
        if affine:
            self._new_parameter("weight", self._filled((num_features,), 1.0))
            self._new_parameter("bias", self._filled((num_features,), 0.0))

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        weight = getattr(self, "weight", None)
        return self._rounded(ops.instance_norm(x, weight=weight, bias=self._bias(), eps=self.eps), x)


class GroupNorm(Common):
    """Norm of each batch item and run of channels."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.num_groups, self.num_channels, self.eps = int(num_groups), int(num_channels), eps
        if affine:
            self._new_parameter("weight", self._filled((num_channels,), 1.0))
            self._new_parameter("bias", self._filled((num_channels,), 0.0))

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        weight = getattr(self, "weight", None)
        return self._rounded(ops.group_norm(x, self.num_groups, weight=weight, bias=self._bias(), eps=self.eps), x)
