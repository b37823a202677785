#!/usr/bin/env python3
"""What Python costs: microseconds of each operation beyond C, and a whole network against the same calls without Python.

usage: python bench/python.py [--rows N] [--channels C] [--repeat R] [--threads T] [numpy|torch|mlx ...]

The first table runs operations on one row, where C itself takes one to four microseconds: all of it is counted as Python's.
The network is 20 times submanifold convolution, batch norm, ReLU; "C" are the same 60 calls on handles that exist already.
Both are timed in short runs, in turns, and the least time of each counts: what other programs do to a shared machine only
ever adds.
"""
import argparse
import importlib
import random
import time

GOAL_US, GOAL_RATIO = 25, 1.1


def least_us(functions, repeat, inner=1):
    """The least time of each function over `repeat` rounds that run them in turns."""
    best = [float("inf")] * len(functions)
    for _ in range(repeat):
        for i, function in enumerate(functions):
            start = time.perf_counter()
            for _ in range(inner):
                function()
            best[i] = min(best[i], (time.perf_counter() - start) / inner * 1e6)
    return best


def verdict(value, goal):
    return "" if value <= goal else f"  over the goal of {goal}"


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
    for function in rows.values():
        function()
    for what, best in zip(rows, least_us(list(rows.values()), 15 * repeat, 20)):
        print(f"{name:6} {what:20} {best:8.1f} us{verdict(best, GOAL_US)}", flush=True)


def network(name, n, channels, repeat):
    """The ratio of a network of 60 operations to the same calls of C alone."""
    from lattice import ops
    from lattice._library import check, context, ffi, lib, options
    from lattice.core.sparse import c_tensor
    from lattice.ops.convolution import _weight

    import lattice

    random.seed(0)
    ints, floats = maker(name)
    cells = random.sample(range(64**3), n)
    coords = ints([[0, c // 4096, c // 64 % 64, c % 64] for c in cells])
    x = lattice.SparseTensor(coords, floats([[random.random() for _ in range(channels)] for _ in range(n)]))
    weight = floats([random.uniform(-0.05, 0.05) for _ in range(channels * 27 * channels)]).reshape(channels, 3, 3, 3, channels)
    scale = floats([1.0] * channels)

    layers = [
        lambda h: ops.subm_conv3d(h, weight),
        lambda h: ops.batch_norm(h, weight=scale, bias=scale),
        ops.relu,
    ] * 20

    def python(times):
        h = x
        for i, layer in enumerate(layers):
            start = time.perf_counter()
            h = layer(h)
            times[i] = min(times[i], time.perf_counter() - start)

    tensor, keep = c_tensor(x, x.feats)
    weight_view, keep_weight = x._library.view(weight)
    scale_view, keep_scale = x._library.view(scale)
    c_weight, conv = _weight(weight_view, None), options("lat_conv3d_opts", kernel_size=(3, 3, 3))
    norm, out = options("lat_norm_opts", weight=scale_view, bias=scale_view), ffi.new("lat_tensor **")
    ctx = context()
    calls = [
        lambda h: lib.lat_subm_conv3d(ctx, h, c_weight, ffi.NULL, conv, out),
        lambda h: lib.lat_batch_norm(ctx, h, norm, out),
        lambda h: lib.lat_relu(ctx, h, out),
    ] * 20

    def c(times):
        h = lib.lat_tensor_retain(tensor)
        for i, call in enumerate(calls):
            start = time.perf_counter()
            check(call(h))
            lib.lat_tensor_release(h)
            h = out[0]
            times[i] = min(times[i], time.perf_counter() - start)
        lib.lat_tensor_release(h)

    # The least time of each of the 60 steps, in turns: 60 ms in a row are never left alone on a busy machine, 2 ms are.
    found = [[float("inf")] * len(layers) for _ in (python, c)]
    for _ in range(repeat):
        for run, times in zip((python, c), found):
            run(times)
    slow, fast = (1000 * sum(times) for times in found)
    del keep, keep_weight, keep_scale
    print(
        f"{name:6} network of 60 operations, {n} rows, {channels} channels: {slow:.1f} ms, "
        f"C {fast:.1f} ms, ratio {slow / fast:.3f}{verdict(slow / fast, GOAL_RATIO)}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", nargs="*", default=["numpy"])
    parser.add_argument("--rows", type=int, default=10000)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import lattice

    lattice.set_options(threads=options.threads)
    for name in options.libraries:
        overheads(name, options.repeat)
        network(name, options.rows, options.channels, options.repeat)


if __name__ == "__main__":
    main()
