"""Local pools, upsampling and global pools."""
from __future__ import annotations

from typing import Any, Optional

from .. import ops
from ..core.sparse import SparseTensor
from ..core.types import IntOrTriple, KernelSpec, positive_triple
from .module_base import Common


class Pool3d(Common):
    """Local pool; mode "sum", "max" or "avg"."""

    def __init__(
        self,
        *,
        mode: str = "sum",
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.spec = KernelSpec(kernel_size, stride, padding, dilation)

    def forward(self, x: SparseTensor) -> SparseTensor:
        s = self.spec
        return ops.pool3d(
            self._check(x), mode=self.mode, kernel_size=s.size, stride=s.stride, padding=s.padding, dilation=s.dilation
        )


class FixedPool(Common):
    """A Pool3d whose mode is fixed; stands before a framework's Pool3d."""

    _mode = "sum"

    def __init__(
        self,
        *,
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> None:
        super().__init__(  # type: ignore[call-arg]
            mode=self._mode, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation
        )


class PoolTranspose3d(Common):
    """Average of all coarse contributors; call `(x, target=None)`."""

    def __init__(
        self,
        *,
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> None:
        super().__init__()
        self.spec = KernelSpec(kernel_size, stride, padding, dilation)

    def forward(self, x: SparseTensor, target: Optional[SparseTensor] = None) -> SparseTensor:
        s = self.spec
        return ops.pool_transpose3d(
            self._check(x), target, kernel_size=s.size, stride=s.stride, padding=s.padding, dilation=s.dilation
        )


class TrilinearUpsample3d(Common):
    """Trilinear upsampling; call `(x, target=None)`."""

    def __init__(self, *, stride: IntOrTriple = 2) -> None:
        super().__init__()
        self.stride = positive_triple(stride, "stride")

    def forward(self, x: SparseTensor, target: Optional[SparseTensor] = None) -> SparseTensor:
        return ops.trilinear_upsample3d(self._check(x), target, stride=self.stride)


class GlobalSumPool(Common):
    """Sum of the rows of each batch item: a dense `(B, C)` array."""

    def forward(self, x: SparseTensor) -> Any:
        return ops.global_sum_pool(self._check(x))


class GlobalAvgPool(Common):
    """Average of the rows of each batch item: a dense `(B, C)` array."""

    def forward(self, x: SparseTensor) -> Any:
        return ops.global_avg_pool(self._check(x))


class GlobalMaxPool(Common):
    """Maximum of the rows of each batch item: a dense `(B, C)` array."""

    def forward(self, x: SparseTensor) -> Any:
        return ops.global_max_pool(self._check(x))
