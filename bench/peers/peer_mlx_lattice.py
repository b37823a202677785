"""mlx-lattice on the CPU, where it installs."""
import importlib.metadata

import mlx.core as mx
import mlx_lattice
import numpy as np
from mlx_lattice import ops


def name():
    return "mlx-lattice " + importlib.metadata.version("mlx-lattice")


def start(threads):
    del threads  # MLX takes the environment's
    mx.set_default_device(mx.cpu)
    mx.random.seed(0)


class Convolution:
    how = "its own"

    def __init__(self, item, rows, x=None, weight=None):
        if item["op"] == "relation":
            raise ValueError("maps are built with the first layer alone")
        self.item, self.edges = item, None
        self.rows = mx.array(np.concatenate([np.zeros((len(rows), 1), np.int32), rows.astype(np.int32)], 1))
        size = item["k"]
        shape = (item["cout"], size, size, size, item["cin"])
        self.weight = mx.random.normal(shape) if weight is None else mx.array(weight)
        self.feats = mx.random.uniform(-1, 1, (len(rows), item["cin"])) if x is None else mx.array(x)
        self.x = mlx_lattice.SparseTensor(self.rows, self.feats)  # its set keeps the relation after the first run
        mx.eval(self.weight, self.feats)
        self.run()

    def run(self):
        if self.item.get("s", 1) == 1:
            y = ops.subm_conv3d(self.x, self.weight)
        else:
            y = ops.conv3d(self.x, self.weight, kernel_size=self.item["k"], stride=self.item["s"])
        mx.eval(y.feats)
        return y


def open_problem(item, rows):
    if item["op"] == "network" or item["scene"] == "random":
        raise ValueError("not written for mlx-lattice")
    return Convolution(item, rows)


def check(rows, x, weight):
    item = {"op": "subm_conv3d", "k": 3, "cin": x.shape[1], "cout": weight.shape[2]}
    dense = np.ascontiguousarray(weight.transpose(2, 0, 1)).reshape(weight.shape[2], 3, 3, 3, x.shape[1])
    return [np.array(Convolution(item, rows, x, dense).run().feats)]
