"""The proof of a conversion: what the library computes from its own numbers, against what Lattice computes from the artifact.

The reference is dense: it walks every cell of a box and every tap of the kernel in double precision, along the library's
axes, and takes each weight where the library itself would: it knows nothing of the conversion's strides and orders.
"""

from __future__ import annotations

import array
import itertools
import math
import random
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from .checkpoint_layouts import Triple
from .network_layers import Layer
from .torch_checkpoint import Refused, Tensor

Row = List[float]
Coord = Tuple[int, int, int, int]  # batch, then the library's axes
Runner = Callable[[str, Dict[str, Tuple[Tuple[int, ...], "array.array[Any]"]]], Mapping[str, Tensor]]

BOX = (5, 4, 3)
MOST_PRODUCTS = 3_000_000  # of a whole network in the slow reference


class Cloud(NamedTuple):
    """A sparse tensor along the library's axes: logical coordinates and their feature rows."""

    rows: Dict[Coord, Row]
    stride: Triple


def golden_cloud(channels: int, seed: int = 5, per_row: int = 3, box: Triple = BOX, far: bool = False) -> Cloud:
    """About half of the cells of a small box in two batch items; small integers in a few channels of each row."""
    source = random.Random(seed)
    rows: Dict[Coord, Row] = {}
    next_channel = 0
    cells = [(b, i, j, k) for b in range(2) for i, j, k in itertools.product(*(range(size) for size in box))]
    source.shuffle(cells)
    for cell in cells[: len(cells) // (4 if far else 2)]:
        row = [0.0] * channels
        for _ in range(min(per_row, channels)):
            row[next_channel % channels] = float(source.choice((-3, -2, -1, 1, 2, 3)))
            next_channel += 1
        rows[cell] = row
    return Cloud(rows, (1, 1, 1))


def library_taps(library: str, kernel: Triple) -> Iterator[Triple]:
    """The taps in the order in which the library counts them."""
    k0, k1, k2 = kernel
    if library == "minkowski" or (library == "torchsparse" and (k0 * k1 * k2) % 2 == 1):
        for c in range(k2):
            for b in range(k1):
                for a in range(k0):
                    yield (a, b, c)
    else:
        yield from itertools.product(range(k0), range(k1), range(k2))


def weight_rows(library: str, layer: Layer) -> Callable[[int, int], Sequence[float]]:
    """The function (tap, input channel) -> weights of all outputs, read from the checkpoint's own numbers."""
    taps, ci, co, raw = math.prod(layer.kernel), layer.c_in, layer.c_out, layer.raw
    if layer.step.channelwise:  # (taps, C): each channel sees itself
        return lambda tap, channel: [raw[tap * co + out] if out == channel else 0.0 for out in range(co)]
    if library == "spconv2":  # (C_out, taps, C_in)
        return lambda tap, channel: raw[tap * ci + channel :: taps * ci]
    if library == "spconv2-rskc":  # (taps, C_out, C_in)
        return lambda tap, channel: raw[tap * co * ci + channel : (tap + 1) * co * ci : ci]
    return lambda tap, channel: raw[(tap * ci + channel) * co : (tap * ci + channel + 1) * co]


def _add(out: Row, tap: int, row: Row, weights: Callable[[int, int], Sequence[float]]) -> None:
    for channel, value in enumerate(row):
        if value:
            for index, weight in enumerate(weights(tap, channel)):
                out[index] += value * weight


def _forward_support(layer: Layer, taps: Sequence[Triple], x: Cloud) -> List[Coord]:
    """The outputs, found by asking every cell of a box that holds them all."""
    if layer.step.kind == "subm":
        return list(x.rows)
    if layer.support == "floor":
        s0, s1, s2 = layer.stride
        return list({(b, i // s0, j // s1, k // s2): None for b, i, j, k in x.rows})
    ranges = []
    for axis in range(3):
        values = [c[axis + 1] for c in x.rows]
        spread = layer.dilation[axis] * layer.kernel[axis]
        low = (min(values) + layer.begin[axis] - spread) // layer.stride[axis] - 1
        high = (max(values) + layer.begin[axis]) // layer.stride[axis] + 1
        if layer.bounds:
            reach = layer.dilation[axis] * (layer.kernel[axis] - 1)
            last = (layer.bounds[axis] + 2 * layer.begin[axis] - reach - 1) // layer.stride[axis]
            low, high = max(low, 0), min(high, last)
        ranges.append(range(low, high + 1))
    batches = sorted({c[0] for c in x.rows})
    cells = [(b, i, j, k) for b in batches for i, j, k in itertools.product(*ranges)]
    return [cell for cell in cells if any(_source(layer, cell, digits) in x.rows for digits in taps)]


def _source(layer: Layer, out: Coord, digits: Triple) -> Coord:
    """The fine cell that a tap of a coarse cell looks at."""
    a, b, c = (out[i + 1] * layer.stride[i] - layer.begin[i] + digits[i] * layer.dilation[i] for i in range(3))
    return (out[0], a, b, c)


def reference_convolution(library: str, layer: Layer, x: Cloud, target: Cloud) -> Cloud:
    taps, weights = layer.positions or list(library_taps(library, layer.kernel)), weight_rows(library, layer)
    kind = layer.step.kind
    rows: Dict[Coord, Row] = {}
    if kind in ("subm", "conv"):
        for out in _forward_support(layer, taps, x):
            rows[out] = [0.0] * layer.c_out
            for tap, digits in enumerate(taps):
                row = x.rows.get(_source(layer, out, digits))
                if row is not None:
                    _add(rows[out], tap, row, weights)
        stride = tuple(have * step for have, step in zip(x.stride, layer.stride))
    else:  # the fine cells take from the coarse ones: the same taps, read backwards
        rows = {cell: [0.0] * layer.c_out for cell in target.rows} if kind == "inverse" else {}
        for coarse, row in x.rows.items():
            for tap, digits in enumerate(taps):
                fine = _source(layer, coarse, digits)
                if kind == "transpose" and fine not in rows:
                    rows[fine] = [0.0] * layer.c_out
                if fine in rows:
                    _add(rows[fine], tap, row, weights)
        stride = (
            target.stride if kind == "inverse" else tuple(have // step for have, step in zip(x.stride, layer.stride))
        )
    if "bias" in layer.params:
        bias = layer.params["bias"][1]
        rows = {cell: [value + add for value, add in zip(row, bias)] for cell, row in rows.items()}
    return Cloud(rows, stride)  # type: ignore[arg-type]


def _norm(layer: Layer, row: Row) -> Row:
    weight, bias = layer.params["weight"][1], layer.params["bias"][1]
    if layer.step.kind == "batch_norm":
        mean, var = layer.params["running_mean"][1], layer.params["running_var"][1]
        return [(v - m) / math.sqrt(s + layer.step.eps) * w + b for v, m, s, w, b in zip(row, mean, var, weight, bias)]
    centre = sum(row) / len(row)
    spread = math.sqrt(sum((v - centre) ** 2 for v in row) / len(row) + layer.step.eps)
    return [(v - centre) / spread * w + b for v, w, b in zip(row, weight, bias)]


def _linear(layer: Layer, row: Row) -> Row:
    weight, bias = layer.params["weight"][1], layer.params["bias"][1] if "bias" in layer.params else [0.0] * layer.c_out
    return [
        b + sum(w * v for w, v in zip(weight[o * layer.c_in : (o + 1) * layer.c_in], row)) for o, b in enumerate(bias)
    ]


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value >= 0 else math.exp(value) / (1.0 + math.exp(value))


def reference_bev(layer: Layer, sources: Sequence[Cloud]) -> Cloud:
    """Every row at its place in steps of the first cloud, all of one column along the axis summed."""
    first, axis = sources[0], layer.step.axis
    rows: Dict[Coord, Row] = {}
    for cloud in sources:
        for cell, row in cloud.rows.items():
            place = [cell[i + 1] * (cloud.stride[i] // first.stride[i]) for i in range(3)]
            place[axis] = 0
            key = (cell[0], place[0], place[1], place[2])
            rows[key] = [a + b for a, b in zip(rows.get(key, [0.0] * len(row)), row)]
    stride = list(first.stride)
    stride[axis] *= layer.height
    return Cloud(rows, (stride[0], stride[1], stride[2]))


def reference_layer(library: str, layer: Layer, sources: Sequence[Cloud], target: Cloud) -> Cloud:
    kind, x = layer.step.kind, sources[0]
    if kind in ("subm", "conv", "inverse", "transpose"):
        return reference_convolution(library, layer, x, target)
    if kind == "bev":
        return reference_bev(layer, sources)
    if kind == "to_dense":
        return x
    by_value = {
        "relu": lambda v: max(v, 0.0),
        "leaky_relu": lambda v: v if v > 0 else v * layer.step.slope,
        "sigmoid": _sigmoid,
        "silu": lambda v: v * _sigmoid(v),
        "tanh": math.tanh,
    }
    rows: Dict[Coord, Row] = {}
    for cell, row in x.rows.items():
        if kind in by_value:
            rows[cell] = [by_value[kind](value) for value in row]
        elif kind == "linear":
            rows[cell] = _linear(layer, row)
        elif kind == "add":
            rows[cell] = [a + b for a, b in zip(row, sources[1].rows[cell])]
        elif kind == "cat":
            rows[cell] = [value for source in sources for value in source.rows[cell]]
        else:
            rows[cell] = _norm(layer, row)
    return x._replace(rows=rows)


def reference_network(library: str, layers: Sequence[Layer], input_name: str, x: Cloud) -> Cloud:
    values = {input_name: x}
    made = {layer.step.name: layer for layer in layers}
    for layer in layers:
        target = values[made[layer.step.of].sources[0]] if layer.step.kind == "inverse" else x
        values[layer.step.name] = reference_layer(library, layer, [values[source] for source in layer.sources], target)
    return values[layers[-1].step.name]


def products(layers: Sequence[Layer]) -> int:
    """About how many products the reference of a whole network takes."""
    rows = BOX[0] * BOX[1] * BOX[2]
    return sum(
        rows * math.prod(layer.kernel) * layer.c_in * layer.c_out // 2
        for layer in layers
        if layer.layout or layer.step.kind == "linear"
    )


def arrays_of(name: str, cloud: Cloud) -> Dict[str, Tuple[Tuple[int, ...], "array.array[Any]"]]:
    """The three arrays of a sparse input: physical coordinates in the library's column order, features, count."""
    coords, features = array.array("i"), array.array("f")
    for cell, row in cloud.rows.items():
        coords.extend((cell[0], *(cell[axis + 1] * cloud.stride[axis] for axis in range(3))))
        features.extend(row)
    n = len(cloud.rows)
    return {
        f"{name}_coords": ((n, 4), coords),
        f"{name}_features": ((n, len(features) // n if n else 0), features),
        f"{name}_active": ((1,), array.array("i", [n])),
    }


def cloud_of(results: Mapping[str, Tensor], name: str, zyx: bool) -> Cloud:
    """A sparse output of `lattice run`, its columns put in the library's order."""
    for part in ("coords", "features", "stride"):
        if f"{name}.{part}" not in results:
            raise Refused(f"replay: the run gave no {name}.{part}")
    coords, features = results[f"{name}.coords"].values(), results[f"{name}.features"]
    channels, values, steps = features.shape[1], features.values(), list(results[f"{name}.stride"].values())
    rows: Dict[Coord, Row] = {}
    for index in range(features.shape[0]):
        batch, *cell = coords[4 * index : 4 * index + 4]
        cell = [value // step for value, step in zip(cell, steps)]
        a, b, c = reversed(cell) if zyx else cell
        rows[(batch, a, b, c)] = list(values[index * channels : (index + 1) * channels])
    if len(rows) != features.shape[0]:
        raise Refused(f"replay: {features.shape[0] - len(rows)} outputs lie on cells of other outputs")
    a, b, c = reversed(steps) if zyx else steps
    return Cloud(rows, (a, b, c))


def dense_cloud(results: Mapping[str, Tensor], name: str, layer: Layer, expected: Cloud) -> Cloud:
    """A dense output as rows: those that are expected, and every other cell that is not zero."""
    if name not in results:
        raise Refused(f"replay: the run gave no {name}")
    tensor, cells, fold, channels = results[name], layer.cells, layer.step.axis, layer.c_in
    assert cells is not None
    kept = [axis for axis in range(3) if axis != fold]
    depth = cells[fold] if fold >= 0 else 1
    items = 1 + max((cell[0] for cell in expected.rows), default=-1)
    shape = (items, channels * depth, *(cells[axis] for axis in kept))
    if tensor.shape != shape:
        raise Refused(f"replay: {name} has the shape {tensor.shape}, expected {shape}")
    values, rows = tensor.values(), {}
    for item, *cell in itertools.product(range(items), *(range(size) for size in cells)):
        row = []
        for channel in range(channels):
            at = item * channels * depth + channel * depth + (cell[fold] if fold >= 0 else 0)
            for axis in kept:
                at = at * cells[axis] + cell[axis]
            row.append(values[at])
        key = (item, cell[0], cell[1], cell[2])
        if key in expected.rows or any(row):
            rows[key] = row
    return Cloud(rows, expected.stride)


def compare(what: str, got: Cloud, expected: Cloud, tolerance: float) -> float:
    """Largest error over the largest expected value. Raises Refused above `tolerance`."""
    missing, extra = set(expected.rows) - set(got.rows), set(got.rows) - set(expected.rows)
    if missing or extra:
        some = sorted(missing or extra)[0]
        raise Refused(
            f"{what}: replay has other outputs than the library: {len(missing)} missing, {len(extra)} too many "
            f"(such as {some}): axis order or support rule is wrong"
        )
    scale = max((abs(value) for row in expected.rows.values() for value in row), default=0.0) or 1.0
    worst, where = 0.0, None
    for cell, row in expected.rows.items():
        if len(row) != len(got.rows[cell]):
            raise Refused(f"{what}: replay has {len(got.rows[cell])} channels, expected {len(row)}")
        for value, other in zip(row, got.rows[cell]):
            error = abs(value - other) / scale
            if not error <= worst:  # a NaN is worse than anything
                worst, where = error, cell
    if not worst <= tolerance:
        raise Refused(
            f"{what}: replay differs from the library by {worst:.3g} of the largest value at {where}, tolerance {tolerance:g}: "
            "tap order, layout or axis order is wrong"
        )
    return worst
