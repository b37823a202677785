"""MLX on the CPU: gather - matrix product - scatter-add over the lists of each kernel element. It has no sparse layers of
its own and no way to search keys, so its maps are NumPy's."""
import mlx.core as mx
import numpy as np

from peer_common import count_edges, strided_map, submanifold_map


def name():
    return "MLX " + mx.__version__


def start(threads):
    del threads  # MLX takes the environment's
    mx.set_default_device(mx.cpu)
    mx.random.seed(0)


class Convolution:
    how = "gather, matmul, scatter-add"

    def __init__(self, item, rows, x=None, weight=None):
        self.rows, self.size, self.stride = rows, item["k"], item.get("s", 1)
        self.build_map()
        self.edges = count_edges(self.lists, len(rows))
        if item["op"] == "relation":
            return
        shape = (self.size**3, item["cin"], item["cout"])
        self.weight = mx.random.normal(shape) if weight is None else mx.array(weight)
        self.x = mx.random.uniform(-1, 1, (len(rows), item["cin"])) if x is None else mx.array(x)
        self.pairs = [None if pair is None else tuple(mx.array(side.astype(np.int32)) for side in pair)
                      for pair in self.lists]
        mx.eval(self.weight, self.x, [pair for pair in self.pairs if pair])
        self.forward = mx.compile(self.layer)

    def build_map(self):
        if self.stride == 2:
            coarse, self.lists = strided_map(self.rows)
            self.n_out = len(coarse)
        else:
            self.lists, self.n_out = submanifold_map(self.rows, self.size), len(self.rows)

    def layer(self, x):
        y = None
        if None in self.pairs:
            y = x @ self.weight[self.pairs.index(None)]
        else:
            y = mx.zeros((self.n_out, self.weight.shape[2]))
        for k, pair in enumerate(self.pairs):
            if pair is not None and pair[0].size:
                y = y.at[pair[1]].add(x[pair[0]] @ self.weight[k])
        return y

    def run(self):
        y = self.forward(self.x)
        mx.eval(y)
        return y


def open_problem(item, rows):
    if item["op"] == "network" or item["scene"] == "random":
        raise ValueError("not written for MLX")
    return Convolution(item, rows)


def check(rows, x, weight):
    case = Convolution({"op": "subm_conv3d", "k": 3, "cin": x.shape[1], "cout": weight.shape[2]}, rows, x, weight)
    return [np.array(case.run())]
