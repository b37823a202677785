"""The walkthrough with the array library of your choice: python quickstart.py [numpy|torch|mlx]."""
import importlib
import sys

import lattice
from lattice import SparseTensor, ops


def arrays(name):
    """How the library makes arrays: from a list of int32 or float32, and one filled with ones in float16."""
    if name == "torch":
        import torch

        return (
            lambda v: torch.tensor(v, dtype=torch.int32),
            lambda v: torch.tensor(v, dtype=torch.float32),
            lambda *shape: torch.ones(shape, dtype=torch.float16),
        )
    if name == "mlx":
        mx = importlib.import_module("mlx.core")
        return (
            lambda v: mx.array(v, dtype=mx.int32),
            lambda v: mx.array(v, dtype=mx.float32),
            lambda *shape: mx.ones(shape, dtype=mx.float16),
        )
    import numpy as np

    return lambda v: np.array(v, np.int32), lambda v: np.array(v, np.float32), lambda *shape: np.ones(shape, np.float16)


def main(name="numpy"):
    ints, floats, ones = arrays(name)
    lattice.use(name)
    coords = ints([[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 2, 1, 0]])
    x = SparseTensor(coords, ones(4, 16), batch_counts=(4,))
    print(x)

    y = ops.conv3d(x, ones(32, 3, 3, 3, 16), kernel_size=3)
    print("a convolution, first channel:", [float(v) for v in y.feats[:, 0]])

    h = x
    for layer in (lattice.nn.Conv3d(16, 32), lattice.nn.BatchNorm(32), lattice.nn.ReLU(), lattice.nn.SubmConv3d(32, 32)):
        h = layer(h)
    print("after a block:", h)

    pooled = ops.max_pool3d(h.astype("float32"), kernel_size=3, stride=2)
    print("pooled:", pooled, "and a row for each batch item:", tuple(ops.global_avg_pool(pooled).shape))

    points = floats([[0.05, 0.05, 0.05], [0.12, 0.08, 0.05], [1.10, 0.95, 0.80]])
    voxels = ops.voxelize(points, points, voxel_size=0.1)
    print("voxels:", [[int(v) for v in row] for row in voxels.coords])
    print("and back at the points:", tuple(ops.devoxelize(points, voxels, voxel_size=0.1).shape))

    neighbors = ops.radius_relation(x, radius=2.0)
    print(neighbors, tuple(ops.gather_neighbor_features(x, neighbors).shape))


if __name__ == "__main__":
    main(*sys.argv[1:])
