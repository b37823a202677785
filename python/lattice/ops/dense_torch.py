"""from_dense in PyTorch's graph."""
from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from .._arrays import library_of
from .._library import check, context, ffi, lib


class _GatherCells(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, dense: Any, feats: Any, tensor: Any, opts: Any, keep: Any) -> Any:  # type: ignore[override]
        ctx.parts = (tensor, opts, keep)
        ctx.like = dense.detach()
        return feats

    @staticmethod
    @once_differentiable  # type: ignore[misc,untyped-decorator]
    def backward(ctx: Any, grad: Any) -> Any:  # type: ignore[override]
        of = library_of(grad)
        tensor, opts, _ = ctx.parts
        like, keep = of.view(ctx.like)
        grad = grad.contiguous()
        view, keep_grad = of.view(grad)
        out = ffi.new("lat_array **")
        check(lib.lat_from_dense_backward(context(), like, tensor, view, opts, out))
        del keep, keep_grad
        return of.take(out[0]), None, None, None, None


def gather_cells(dense: Any, feats: Any, tensor: Any, opts: Any, keep: Any) -> Any:
    return _GatherCells.apply(dense, feats, tensor, opts, keep)
