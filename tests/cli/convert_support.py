"""What the checks of the converter share: counting, checkpoints in each library's layout, a dense convolution."""

import itertools
import math
import os
import random
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "python", "lattice")]

from _convert.checkpoint_converter import command_runner  # noqa: E402
from _convert.golden_replay import Cloud, arrays_of, cloud_of  # noqa: E402
from _convert.torch_checkpoint import Refused  # noqa: E402

PROGRAM = os.environ["LATTICE_CLI"]
RUN = command_runner(PROGRAM)
LIBRARIES = ("spconv1", "spconv2", "spconv2-rskc", "minkowski", "torchsparse", "torch-lattice")
FOLDER = tempfile.TemporaryDirectory()
failures, checks = [], []


def path(name):
    return os.path.join(FOLDER.name, name)


def expect(what, truth):
    checks.append(what)
    if not truth:
        failures.append(what)
        print("FAILED:", what)


def refused(what, fragment, call):
    """The call is refused with a text that has the fragment."""
    try:
        call()
    except Refused as error:
        expect(f"{what}: '{error}' has no '{fragment}'", fragment in str(error))
    else:
        expect(f"{what}: not refused", False)


# --- a dense convolution, and kernels in each library's layout -------------------------------------------------------


def dense_kernel(c_out, c_in, sizes, seed=1):
    """{(co, ci, a, b, c): whole number}, all different, so that a wrong order cannot hide."""
    places = list(itertools.product(range(c_out), range(c_in), *(range(size) for size in sizes)))
    values = list(range(1, len(places) + 1))
    random.Random(seed).shuffle(values)
    return {place: float(value) for place, value in zip(places, values)}


def in_layout(library, kernel, c_out, c_in, sizes):
    """(shape, numbers) of a dense kernel as the library stores it."""
    k0, k1, k2 = sizes
    volume = k0 * k1 * k2
    shape = {
        "spconv1": (k0, k1, k2, c_in, c_out),
        "spconv2": (c_out, k0, k1, k2, c_in),
        "spconv2-rskc": (k0, k1, k2, c_out, c_in),
    }.get(library, (volume, c_in, c_out))
    numbers = [0.0] * (volume * c_in * c_out)
    for (co, ci, a, b, c), value in kernel.items():
        last_fastest, first_fastest = (a * k1 + b) * k2 + c, a + k0 * b + k0 * k1 * c
        if library == "spconv2":
            place = (co * volume + last_fastest) * c_in + ci
        elif library == "spconv2-rskc":
            place = (last_fastest * c_out + co) * c_in + ci
        elif library == "minkowski" or (library == "torchsparse" and volume % 2):
            place = (first_fastest * c_in + ci) * c_out + co
        else:
            place = (last_fastest * c_in + ci) * c_out + co
        numbers[place] = value
    return shape, numbers


def cloud(c_in, seed=3):
    source = random.Random(seed)
    cells = [(0, *cell) for cell in itertools.product(range(5), range(4), range(3))] + [(1, 0, 0, 0), (1, 4, 3, 2)]
    return {cell: [float(source.randint(-3, 3)) for _ in range(c_in)] for cell in cells if source.random() < 0.5}


def dense_convolution(x, kernel, c_out, sizes, stride, begin):
    """Every cell of a generous box: out = sum of kernel * input at out * stride - begin + digit; cells nothing reaches are left out."""
    out = {}
    for cell in itertools.product(range(2), *(range(-2, 8) for _ in range(3))):
        row, touched = [0.0] * c_out, False
        for digits in itertools.product(*(range(size) for size in sizes)):
            source = x.get((cell[0], *(cell[i + 1] * stride[i] - begin[i] + digits[i] for i in range(3))))
            if source is not None:
                touched = True
                for co in range(c_out):
                    row[co] += sum(kernel[(co, ci, *digits)] * value for ci, value in enumerate(source))
        if touched:
            out[cell] = row
    return out


def weight_key(library, name):
    return f"{name}.{'kernel' if library in ('minkowski', 'torchsparse') else 'weight'}"


def run_artifact(folder, x, zyx):
    """Rows of the output by cell along the library's axes."""
    with tempfile.TemporaryDirectory() as work:
        for file in ("graph.mlir", "weights.safetensors"):
            os.symlink(os.path.join(folder, file), os.path.join(work, file))
        return cloud_of(RUN(work, arrays_of("x", Cloud(x, (1, 1, 1)))), "output", zyx).rows


def graph_of(folder):
    with open(os.path.join(folder, "graph.mlir"), encoding="utf-8") as file:
        return file.read()


# --- small networks: their tensors and their descriptions -------------------------------------------------------------


def norm(prefix, channels, source):
    return {
        f"{prefix}.{role}": ((channels,), [source.uniform(0.5, 1.5) for _ in range(channels)])
        for role in ("weight", "bias", "running_mean", "running_var")
    }


def unet(library, source):
    """A small network with a skip: its tensors and its description."""
    kernels = {"stem": (3, 4, (3, 3, 3)), "down": (4, 6, (2, 2, 2)), "mid": (6, 6, (3, 3, 3)), "up": (6, 4, (2, 2, 2))}
    tensors = {}
    for name, (c_in, c_out, sizes) in kernels.items():
        count = c_in * c_out * math.prod(sizes)
        shape, _ = in_layout(library, {}, c_out, c_in, sizes)
        tensors[weight_key(library, name)] = (shape, [source.uniform(-1, 1) for _ in range(count)])
    dot = ".bn" if library == "minkowski" else ""
    tensors.update(norm(f"bn1{dot}", 4, source))
    tensors[f"bn1{dot}.num_batches_tracked"] = ((), [7])
    tensors.update(norm(f"bn2{dot}", 6, source))
    dot = ".linear" if library == "minkowski" else ""
    tensors[f"head{dot}.weight"] = ((5, 8), [source.uniform(-1, 1) for _ in range(40)])
    tensors[f"head{dot}.bias"] = ((5,), [source.uniform(-1, 1) for _ in range(5)])
    layers = [
        {"type": "subm", "name": "stem", "kernel": 3},
        {"type": "batch_norm", "name": "bn1", "eps": 1e-5},
        {"type": "relu", "name": "skip"},
        {"type": "conv", "name": "down", "kernel": 2, "stride": 2},
        {"type": "batch_norm", "name": "bn2", "eps": 1e-3},
        {"type": "leaky_relu", "slope": 0.1},
        {"type": "subm", "name": "mid", "kernel": 3},
        {"type": "silu"},
        {"type": "add", "with": "bn2"},
        {"type": "inverse", "name": "up", "of": "down"},
        {"type": "cat", "with": "skip"},
        {"type": "linear", "name": "head"},
    ]
    return tensors, {"library": library, "axes": "xyz", "channels": 3, "shape": None, "layers": layers}


def detection(axes="zyx"):
    source = random.Random(9)
    tensors = {
        "a.weight": ((4, 3, 3, 3, 2), [source.uniform(-1, 1) for _ in range(216)]),
        "b.weight": ((3, 3, 1, 1, 4), [source.uniform(-1, 1) for _ in range(36)]),
    }
    layers = [
        {"type": "conv", "name": "a", "stride": 2, "padding": [0, 1, 1]},
        {"type": "conv", "name": "b", "kernel": [3, 1, 1], "stride": [2, 1, 1]},
    ]
    return tensors, {"library": "spconv2", "axes": axes, "channels": 2, "shape": [11, 8, 6], "layers": layers}
