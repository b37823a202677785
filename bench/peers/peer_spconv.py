"""spconv on the CPU. Its wheel for the CPU has one algorithm, Native, and no OpenMP."""
import copy

import numpy as np
import torch
from spconv.core import ConvAlgo
import spconv
import spconv.pytorch as sp
from spconv.pytorch import ops

from peer_unet import UNet


def name():
    return "spconv " + spconv.__version__


def start(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)


class Relation:
    """Pairs of spconv. `inverse`: read from the outputs to the inputs."""

    def __init__(self, rows, size, stride, inverse=False):
        self.volume, self.subm, self.inverse, self.n_in = size**3, stride == 1, inverse, len(rows)
        low = rows.amin(0) // 2 * 2  # spconv takes no negative coordinates; an even step keeps pairs of voxels together
        moved = (rows - low).int()
        indices = torch.cat([torch.zeros(len(rows), 1, dtype=torch.int32), moved], 1)
        shape = (moved.amax(0) + 2).tolist()
        padding = size // 2 if self.subm else 0
        self.out, self.pairs, self.counts = ops.get_indice_pairs(
            indices, 1, shape, ConvAlgo.Native, [size] * 3, [stride] * 3, [padding] * 3, [1] * 3, [0] * 3, self.subm)
        self.n_out = len(self.out)
        self.coarse = rows if self.subm else self.out[:, 1:].long() + low // 2

    def edges(self):
        made = int(self.counts.sum())
        return 2 * made + self.n_out if self.subm else made  # submanifold: half of the kernel without its centre


class Layer:
    def __init__(self, c_in, c_out, volume):
        self.c_in, self.c_out = c_in, c_out
        size = round(volume ** (1 / 3))
        self.weight = sp.SparseConv3d(c_in, c_out, size, bias=False, algo=ConvAlgo.Native).weight.detach()
        self.bias = torch.randn(c_out) * 0.1

    def open(self, relation, n_in, n_out):
        self.relation, self.n_out = relation, n_out
        if relation is None:
            self.flat = self.weight.reshape(self.c_in, self.c_out)

    def __call__(self, x):
        if self.relation is None:
            return torch.addmm(self.bias, x, self.flat)
        r = self.relation
        return ops.indice_conv(x, self.weight, r.pairs, r.counts, self.n_out, r.inverse, r.subm, ConvAlgo.Native).add_(self.bias)

    def products(self):
        return (self.n_out if self.relation is None else self.relation.edges()) * self.c_in * self.c_out


class Kit:
    """What a network is made of (peer_unet.py)."""

    layer = Layer

    @staticmethod
    def submanifold(rows, size):
        return Relation(rows, size, 1)

    @staticmethod
    def down(rows):
        relation = Relation(rows, 2, 2)
        return relation.coarse, relation

    @staticmethod
    def back(relation):
        other = copy.copy(relation)
        other.inverse = True
        return other


class Network:
    how = "Native"

    def __init__(self, item, rows):
        self.rows = torch.from_numpy(rows.astype(np.int64))
        self.net = UNet(item["name"], Kit)
        self.x = torch.rand(len(rows), 4) * 2 - 1
        self.edges = None
        self.build_map()
        self.net(self.x)
        self.products = self.net.products()

    def build_map(self):
        self.net.open(self.rows)

    def run(self):
        return self.net(self.x)


class Convolution:
    how = "Native"

    def __init__(self, item, rows, x=None):
        self.rows = torch.from_numpy(rows.astype(np.int64))
        self.size, self.stride = item["k"], item.get("s", 1)
        self.build_map()
        self.edges = self.relation.edges()
        if item["op"] == "relation":
            return
        self.layer = Layer(item["cin"], item["cout"], self.size**3)
        self.layer.open(self.relation, len(rows), self.relation.n_out)
        self.x = torch.rand(len(rows), item["cin"]) * 2 - 1 if x is None else torch.from_numpy(x)

    def build_map(self):
        self.relation = Relation(self.rows, self.size, self.stride)

    def run(self):
        return self.layer(self.x)


def open_problem(item, rows):
    if item["op"] == "network":
        return Network(item, rows)
    if item["scene"] == "random":
        raise ValueError("not measured: dense")
    return Convolution(item, rows)


def check(rows, x, weight):
    case = Convolution({"op": "subm_conv3d", "k": 3, "cin": x.shape[1], "cout": weight.shape[2]}, rows, x)
    # (C_out, kx, ky, kz, C_in)
    case.layer.weight.copy_(torch.from_numpy(weight).permute(2, 0, 1).reshape(case.layer.weight.shape))
    case.layer.bias.zero_()
    return [case.run().numpy()]
