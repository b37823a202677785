#!/usr/bin/env python3
"""What Python costs: microseconds of each operation beyond C, and a whole network against the same calls without Python.

usage: python bench/python.py [--rows N] [--channels C] [--repeat R] [numpy|torch|mlx ...]

The first table runs operations on one row, where C itself takes some microseconds: all of it is counted as Python's, in
CPU time, which other programs on the machine disturb less. The
network is 20 times submanifold convolution, batch norm, ReLU; "C" are the same 60 calls on handles that exist already.
"""
import argparse
import importlib
import os
import statistics
import time


def median_us(function, repeat, inner, clock=time.perf_counter):
    times = []
    for _ in range(repeat):
        start = clock()
        for _ in range(inner):
            function()
        times.append((clock() - start) / inner * 1e6)
    return statistics.median(times)


def maker(name):
    """Array constructors of one library: from nested lists of int or of float."""
    if name == "numpy":
        import numpy as np

        return lambda v: np.array(v, np.int32), lambda v: np.array(v, np.float32)
    if name == "torch":
        import torch

        return lambda v: torch.tensor(v, dtype=torch.int32), lambda v: torch.tensor(v, dtype=torch.float32)
    mx = importlib.import_module("mlx.core")
    return lambda v: mx.array(v, dtype=mx.int32), lambda v: mx.array(v, dtype=mx.float32)


def overheads(name, repeat):
    import lattice
    from lattice import ops

    ints, floats = maker(name)
    coords = ints([[0, 0, 0, 0]])
    x = lattice.SparseTensor(coords, floats([[1.0, 2.0]]))
    declared = lattice.SparseTensor(coords, floats([[1.0, 2.0]]), batch_counts=(1,))
    weight, bias = floats([[[[[1.0, 1.0]]] * 3] * 3] * 3).reshape(1, 3, 3, 3, 2), floats([1.0])
    dense, scale = floats([[1.0, 1.0]]), floats([1.0, 1.0])
    rows = {
        "relu": lambda: ops.relu(x),
        "relu, batch counts": lambda: ops.relu(declared),
        "linear": lambda: ops.linear(x, dense, bias),
        "layer_norm": lambda: ops.layer_norm(x, weight=scale, bias=scale),
        "batch_norm": lambda: ops.batch_norm(x, weight=scale, bias=scale, mean=scale, var=scale),
        "subm_conv3d": lambda: ops.subm_conv3d(x, weight, bias),
        "conv3d, stride 2": lambda: ops.conv3d(x, weight, bias, stride=2),
        "max_pool3d": lambda: ops.max_pool3d(x),
        "sparse_add": lambda: ops.sparse_add(x, x),
        "global_avg_pool": lambda: ops.global_avg_pool(x),
        "SparseTensor()": lambda: lattice.SparseTensor(coords, x.feats),
    }
    for what, function in rows.items():
        function()
        print(f"{name:6} {what:20} {median_us(function, repeat, 200, time.process_time):8.1f} us")


def network(name, n, channels, repeat):
    """The ratio of a network of 60 operations to the same calls of C alone."""
    import random

    import lattice
    from lattice import ops
    from lattice._library import check, context, ffi, lib, options
    from lattice.core.sparse import c_tensor
    from lattice.ops.convolution import _weight

    random.seed(0)
    ints, floats = maker(name)
    cells = random.sample(range(64**3), n)
    coords = ints([[0, c // 4096, c // 64 % 64, c % 64] for c in cells])
    x = lattice.SparseTensor(coords, floats([[random.random() for _ in range(channels)] for _ in range(n)]))
    weight = floats([random.uniform(-0.05, 0.05) for _ in range(channels * 27 * channels)]).reshape(channels, 3, 3, 3, channels)
    scale = floats([1.0] * channels)

    def python():
        h = x
        for _ in range(20):
            h = ops.relu(ops.batch_norm(ops.subm_conv3d(h, weight), weight=scale, bias=scale))
        return h

    tensor, keep = c_tensor(x, x.feats)
    weight_view, keep_weight = x._library.view(weight)
    scale_view, keep_scale = x._library.view(scale)
    c_weight, conv = _weight(weight_view, None), options("lat_conv3d_opts", kernel_size=(3, 3, 3))
    norm, out = options("lat_norm_opts", weight=scale_view, bias=scale_view), ffi.new("lat_tensor **")

    def c():
        ctx, h = context(), lib.lat_tensor_retain(tensor)
        for _ in range(20):
            for step in (
                lambda: lib.lat_subm_conv3d(ctx, h, c_weight, ffi.NULL, conv, out),
                lambda: lib.lat_batch_norm(ctx, h, norm, out),
                lambda: lib.lat_relu(ctx, h, out),
            ):
                check(step())
                lib.lat_tensor_release(h)
                h = out[0]
        lib.lat_tensor_release(h)

    python(), c()
    ratios, slow, fast = [], [], []
    for _ in range(repeat):  # in turns, so that a busy machine disturbs both
        slow.append(median_us(python, 1, 1))
        fast.append(median_us(c, 1, 1))
        ratios.append(slow[-1] / fast[-1])
    del keep, keep_weight, keep_scale
    print(
        f"{name:6} network of 60 operations, {n} rows, {channels} channels: {statistics.median(slow) / 1000:.1f} ms, "
        f"C {statistics.median(fast) / 1000:.1f} ms, ratio {statistics.median(ratios):.3f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", nargs="*", default=["numpy"])
    parser.add_argument("--rows", type=int, default=10000)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    for name in options.libraries:
        overheads(name, options.repeat)
        network(name, options.rows, options.channels, options.repeat)


if __name__ == "__main__":
    main()
