"""PyTorch on the CPU, without any library for sparse tensors: what one writes by hand.

A layer is, for each kernel element, gather - matrix product - scatter, or a gather of all elements and one product
(im2col); the scatter is index_add_, scatter_add_ or read-add-write. Every layer is tried in all of them once, outside of
what is timed, and keeps the fastest. A full cube runs as a dense conv3d, in the faster of both memory formats. Maps
are sorted keys and binary search. Norms are folded into weights, buffers are kept, sums and ReLU run in place.
"""
import time

import numpy as np
import torch

from peer_common import offsets
from peer_unet import UNet

CHUNK_ROWS = 4096  # of im2col


def name():
    return "PyTorch " + torch.__version__.split("+")[0]


def start(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)


# --- maps -----------------------------------------------------------------------------------------------------------


def pack_keys(rows, margin):
    low = rows.amin(0) - margin
    extent = rows.amax(0) + margin + 1 - low
    strides = torch.stack([extent[1] * extent[2], extent[2], torch.ones((), dtype=torch.int64)])
    return ((rows - low) * strides).sum(1), strides


def submanifold_map(rows, size):
    """[(in rows, out rows)] of each kernel element, None for the centre. Half is searched, half is its mirror."""
    keys, strides = pack_keys(rows, size // 2)
    ordered, order = torch.sort(keys)
    steps = (torch.from_numpy(offsets(size)) * strides).sum(1).tolist()
    lists = [None] * len(steps)
    for k in range(len(steps) // 2):
        query = ordered + steps[k]
        place = torch.searchsorted(ordered, query).clamp_(max=len(ordered) - 1)
        hit = (ordered[place] == query).nonzero().squeeze(1)
        found, asked = order[place[hit]], order[hit]
        lists[k], lists[-1 - k] = (found, asked), (asked, found)
    return lists


def strided_map(rows):
    coarse = rows >> 1
    keys, strides = pack_keys(coarse, 0)
    unique, out = torch.unique(keys, return_inverse=True)
    made = torch.empty(len(unique), 3, dtype=torch.int64)
    made[out] = coarse
    element = ((rows - 2 * coarse) * torch.tensor([4, 2, 1])).sum(1)
    lists = []
    for k in range(8):
        found = (element == k).nonzero().squeeze(1)
        lists.append((found, out[found]))
    return made, lists


def swapped(lists):
    return [(out, found) for found, out in lists]


# --- a layer --------------------------------------------------------------------------------------------------------


class Layer:
    """y = relation sum of x W + bias. `lists` may be None: a product of each row."""

    ways = ("index_add", "scatter_add", "read_add_write", "im2col")

    def __init__(self, c_in, c_out, volume, bias=True):
        self.weight = torch.randn(volume, c_in, c_out) / (volume * c_in) ** 0.5
        self.bias = torch.randn(c_out) * 0.1 if bias else torch.zeros(c_out)
        self.way = None
        self.kept = None

    def open(self, lists, n_in, n_out):
        self.lists, self.n_in, self.n_out = lists, n_in, n_out
        self.kept = None

    def table(self):
        """Input row of each (output row, kernel element), n_in where there is none: for im2col."""
        if self.kept is None:
            table = torch.full((self.n_out, len(self.lists)), self.n_in, dtype=torch.int64)
            for k, pair in enumerate(self.lists):
                if pair is None:
                    table[:, k] = torch.arange(self.n_out)
                else:
                    table[pair[1], k] = pair[0]
            self.kept = table
        return self.kept

    def im2col(self, x):
        table, flat = self.table(), self.weight.flatten(0, 1)
        padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
        y = torch.empty(self.n_out, flat.shape[1])
        for begin in range(0, self.n_out, CHUNK_ROWS):
            rows = table[begin : begin + CHUNK_ROWS]
            gathered = padded.index_select(0, rows.reshape(-1)).view(len(rows), -1)
            torch.addmm(self.bias, gathered, flat, out=y[begin : begin + CHUNK_ROWS])
        return y

    def by_lists(self, x, way):
        c_out = self.weight.shape[2]
        y = None
        if None in self.lists:
            y = torch.addmm(self.bias, x, self.weight[self.lists.index(None)])
        else:
            y = self.bias.repeat(self.n_out, 1)
        for k, pair in enumerate(self.lists):
            if pair is None or len(pair[0]) == 0:
                continue
            found, out = pair
            gathered = x.index_select(0, found)
            if way == "read_add_write":  # output rows of one kernel element are distinct
                y.index_copy_(0, out, torch.addmm(y.index_select(0, out), gathered, self.weight[k]))
            elif way == "scatter_add":
                y.scatter_add_(0, out.unsqueeze(1).expand(-1, c_out), torch.mm(gathered, self.weight[k]))
            else:
                y.index_add_(0, out, torch.mm(gathered, self.weight[k]))
        return y

    def run_way(self, x, way):
        return self.im2col(x) if way == "im2col" else self.by_lists(x, way)

    def __call__(self, x):
        if self.lists is None:
            return torch.addmm(self.bias, x, self.weight[0])
        if self.way is None:
            self.tune(x)
        return self.run_way(x, self.way)

    def tune(self, x):
        best = {}
        for way in self.ways:
            if way == "im2col" and x.shape[1] > 32:  # many times the products: it has not won at 32 channels yet
                continue
            self.run_way(x, way)
            begin = time.perf_counter()
            self.run_way(x, way)
            best[way] = time.perf_counter() - begin
        self.way = min(best, key=best.get)
        if self.way != "im2col":
            self.kept = None

    def products(self):
        n = self.n_out if self.lists is None else sum(self.n_out if p is None else len(p[0]) for p in self.lists)
        return n * self.weight.shape[1] * self.weight.shape[2]


# --- what the worker asks for ---------------------------------------------------------------------------------------


class Kit:
    """What a network is made of (peer_unet.py)."""

    submanifold = staticmethod(submanifold_map)
    down = staticmethod(strided_map)
    back = staticmethod(swapped)
    layer = Layer


class Network:
    def __init__(self, item, rows):
        self.rows = torch.from_numpy(rows.astype(np.int64))
        self.net = UNet(item["name"], Kit)
        self.x = torch.rand(len(rows), 4) * 2 - 1
        self.edges = None
        self.build_map()
        self.net(self.x)  # chooses the way of each layer
        self.products = self.net.products()
        ways = [layer.way for layer in self.net.layers.values() if layer.way]
        self.how = ", ".join(f"{ways.count(way)} {way}" for way in Layer.ways if way in ways)

    def build_map(self):
        self.net.open(self.rows)

    def run(self):
        return self.net(self.x)


class Convolution:
    def __init__(self, item, rows, x=None, weight=None):
        self.rows = torch.from_numpy(rows.astype(np.int64))
        self.size, self.stride = item["k"], item.get("s", 1)
        self.n_out = len(rows)
        self.build_map()
        self.edges = sum(self.n_out if pair is None else len(pair[0]) for pair in self.lists)
        if item["op"] == "relation":
            return
        self.layer = Layer(item["cin"], item["cout"], self.size**3)
        if weight is not None:
            self.layer.weight, self.layer.bias = torch.from_numpy(weight), torch.zeros(weight.shape[2])
        self.x = torch.rand(len(rows), item["cin"]) * 2 - 1 if x is None else torch.from_numpy(x)
        self.layer.open(self.lists, len(rows), self.n_out)
        self.layer(self.x)
        self.how = self.layer.way

    how = "sort, searchsorted"

    def build_map(self):
        if self.stride == 2:
            coarse, self.lists = strided_map(self.rows)
            self.n_out = len(coarse)
        else:
            self.lists = submanifold_map(self.rows, self.size)

    def run(self):
        return self.layer(self.x)


class Dense:
    """A full cube: row i of x is cell i, z fastest."""

    def __init__(self, item, rows):
        side = round(len(rows) ** (1 / 3))
        x = torch.rand(1, item["cin"], side, side, side) * 2 - 1
        weight = torch.randn(item["cout"], item["cin"], 3, 3, 3)
        bias = torch.zeros(item["cout"])
        self.edges = (3 * side - 2) ** 3
        self.forms = {}
        for form in (torch.contiguous_format, torch.channels_last_3d):
            self.forms[str(form).split(".")[-1]] = (x.to(memory_format=form), weight.to(memory_format=form), bias)
        times = {}
        for self.form in self.forms:
            self.run()
            begin = time.perf_counter()
            self.run()
            times[self.form] = time.perf_counter() - begin
        self.form = min(times, key=times.get)
        self.how = f"dense conv3d, {self.form}"

    def run(self):
        x, weight, bias = self.forms[self.form]
        return torch.nn.functional.conv3d(x, weight, bias, padding=1)


def open_problem(item, rows):
    if item["op"] == "network":
        return Network(item, rows)
    return Dense(item, rows) if item["scene"] == "random" else Convolution(item, rows)


def check(rows, x, weight):
    results = []
    case = Convolution({"op": "subm_conv3d", "k": 3, "cin": x.shape[1], "cout": weight.shape[2]}, rows, x, weight)
    for way in Layer.ways:
        results.append(case.layer.run_way(case.x, way).numpy())
    return results
