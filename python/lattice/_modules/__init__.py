"""What the modules of every framework have in common: their arguments, parameters and the operation they call.

Each class here is mixed with a framework's own base class (`lattice.torch.nn`, `lattice.mlx.nn`, `lattice.numpy.nn`), which
provides `_new_parameter`, `_new_buffer`, `_uniform`, `_filled`, `_cast` and `_amp`.
"""
from __future__ import annotations

from .convolution_modules import (
    Conv3d,
    ConvTranspose3d,
    Convolution,
    GenerativeConvTranspose3d,
    Normalized,
    NormalizedConvTranspose3d,
    NormalizedGenerativeConvTranspose3d,
    NormalizedSubmConv3d,
    SubmConv3d,
)
from .feature_modules import (
    BatchNorm,
    Dropout,
    GELU,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    RMSNorm,
    ReLU,
    SiLU,
    Sigmoid,
    Softplus,
    Tanh,
)
from .module_base import Common
from .packed_modules import (
    Packed,
    PackedConvolution,
    QuantizedConv3d,
    QuantizedConvTranspose3d,
    QuantizedGenerativeConvTranspose3d,
    QuantizedLinear,
    QuantizedSubmConv3d,
)
from .pooling_modules import (
    FixedPool,
    GlobalAvgPool,
    GlobalMaxPool,
    GlobalSumPool,
    Pool3d,
    PoolTranspose3d,
    TrilinearUpsample3d,
)

__all__ = [
    "BatchNorm", "Common", "Conv3d", "ConvTranspose3d", "Convolution", "Dropout", "FixedPool", "GELU",
    "GenerativeConvTranspose3d", "GlobalAvgPool", "GlobalMaxPool", "GlobalSumPool", "GroupNorm", "InstanceNorm",
    "LayerNorm", "LeakyReLU", "Linear", "Normalized", "NormalizedConvTranspose3d",
    "NormalizedGenerativeConvTranspose3d", "NormalizedSubmConv3d", "Packed", "PackedConvolution", "Pool3d",
    "PoolTranspose3d", "QuantizedConv3d", "QuantizedConvTranspose3d", "QuantizedGenerativeConvTranspose3d",
    "QuantizedLinear", "QuantizedSubmConv3d", "RMSNorm", "ReLU", "SiLU", "Sigmoid", "Softplus", "SubmConv3d", "Tanh",
    "TrilinearUpsample3d",
]  # fmt: skip
