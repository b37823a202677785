"""A submanifold convolution in binary64, to hold others against."""
from __future__ import annotations

import math
from typing import Dict, List, Optional, Sequence, Tuple

from .kernel_rows import IntOrTriple, centered_kernel_offsets

Rows = Sequence[Sequence[float]]


def submanifold_conv3d_f32_to_f64(
    coordinates: Sequence[Sequence[int]],
    features: Rows,
    weight: Sequence[Rows],
    *,
    kernel_size: IntOrTriple,
    dilation: IntOrTriple = 1,
    bias: Optional[Sequence[float]] = None,
) -> Tuple[Tuple[float, ...], ...]:
    """Submanifold convolution of rows `(batch, x, y, z)`; every output element is one exact sum, rounded once to binary64.

    features: `[N][C_in]`. weight: `[K][C_in][C_out]`. bias: `[C_out]`.
    ValueError for coordinates that are not unique, shapes that do not fit, an even kernel size.
    """
    op = "submanifold_conv3d_f32_to_f64"
    rows: Dict[Tuple[int, ...], int] = {tuple(int(v) for v in c): row for row, c in enumerate(coordinates)}
    if len(rows) != len(coordinates):
        raise ValueError(f"{op}: coordinates must be unique: got {len(coordinates)} rows, {len(rows)} different ones")
    if any(len(c) != 4 for c in rows) or len(features) != len(coordinates):
        raise ValueError(f"{op}: expected rows (batch, x, y, z) and as many features: got {len(features)} features")
    offsets = centered_kernel_offsets(kernel_size, dilation)
    if len(weight) != len(offsets):
        raise ValueError(f"{op}: weight kernel rows must match the convolution kernel: got {len(weight)}, expected {len(offsets)}")
    channels = len(features[0]) if features else len(weight[0])
    if any(len(row) != channels for row in features) or any(len(tap) != channels for tap in weight):
        raise ValueError(f"{op}: weight input channels must match the features: expected {channels}")
    width = len(weight[0][0]) if channels else len(bias or ())
    out: List[Tuple[float, ...]] = []
    for b, x, y, z in rows:
        taps = [(rows.get((b, x + dx, y + dy, z + dz)), w) for (dx, dy, dz), w in zip(offsets, weight)]
        sums = []
        for channel in range(width):
            terms = [float(features[row][i]) * float(w[i][channel]) for row, w in taps if row is not None for i in range(channels)]
            sums.append(math.fsum(terms + ([float(bias[channel])] if bias is not None else [])))
        out.append(tuple(sums))
    return tuple(out)
