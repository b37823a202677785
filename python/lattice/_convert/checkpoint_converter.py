"""Converts a checkpoint of another library into a Lattice artifact, proves it by a replay, and only then writes it."""

from __future__ import annotations

import argparse
import array
import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .artifact_graph import GraphWriter, network_graph
from .checkpoint_layouts import tap_order
from .golden_replay import (
    MOST_PRODUCTS,
    Cloud,
    Runner,
    arrays_of,
    cloud_of,
    compare,
    dense_cloud,
    golden_cloud,
    products,
    reference_layer,
    reference_network,
)
from .network_description import Network, read_description
from .network_layers import Layer, meet
from .safetensors_file import read_safetensors, write_safetensors
from .torch_checkpoint import Refused, Tensor, count_of, read_torch_checkpoint

CONVOLUTIONS = ("subm", "conv", "inverse", "transpose")
REPLAYED = (*CONVOLUTIONS, "bev", "to_dense")  # alone, too


class Conversion(NamedTuple):
    """What was converted, and how far the replay was from the library's own numbers."""

    network: Network
    layers: List[Layer]
    graph: str
    errors: Dict[
        str, float
    ]  # by layer; "" is the whole network, "golden" the golden kernel, "recorded" the recorded run


def read_checkpoint(path: str, key: Optional[str] = None) -> Dict[str, Tensor]:
    return read_safetensors(path) if path.endswith(".safetensors") else read_torch_checkpoint(path, key)


def command_runner(program: str) -> Runner:
    """Runs artifacts by the command `lattice run`."""

    def run(folder: str, inputs: Dict[str, Tuple[Tuple[int, ...], "array.array[Any]"]]) -> Mapping[str, Tensor]:
        source, result = os.path.join(folder, "inputs.safetensors"), os.path.join(folder, "outputs.safetensors")
        write_safetensors(source, inputs)
        command = [program, "run", folder, "--inputs", source, "--outputs", result, "--threads", "1"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Refused(f"replay: lattice run: {(done.stderr or done.stdout).strip()}")
        return read_safetensors(result)

    return run


def write_artifact(folder: str, graph: str, layers: Sequence[Layer]) -> None:
    os.makedirs(folder, exist_ok=True)
    numbers = {f"{layer.step.name}.{role}": held for layer in layers for role, held in layer.params.items()}
    write_safetensors(os.path.join(folder, "weights.safetensors"), numbers)
    with open(os.path.join(folder, "graph.mlir.part"), "w", encoding="utf-8") as file:
        file.write(graph)
    os.replace(os.path.join(folder, "graph.mlir.part"), os.path.join(folder, "graph.mlir"))


def _run(
    run: Runner,
    graph: str,
    layers: Sequence[Layer],
    inputs: Mapping[str, Cloud],
    output: str,
    zyx: bool,
    expected: Cloud,
) -> Cloud:
    with tempfile.TemporaryDirectory() as folder:
        write_artifact(folder, graph, layers)
        arrays: Dict[str, Tuple[Tuple[int, ...], "array.array[Any]"]] = {}
        for name, cloud in inputs.items():
            arrays.update(arrays_of(name, cloud))
        results = run(folder, arrays)
        if layers[-1].step.kind == "to_dense":
            return dense_cloud(results, output, layers[-1], expected)
        return cloud_of(results, output, zyx)


def replay_whole_grid(run: Runner, network: Network, layer: Layer, tolerance: float) -> float:
    """A layer that goes over the whole grid, alone in an artifact, on a golden cloud for each of its inputs."""
    assert layer.cells is not None
    writer, sources, inputs = GraphWriter(network.zyx), [], {}
    for number, (source, stride) in enumerate(zip(layer.sources, layer.source_strides)):
        ratio = [own // first for own, first in zip(stride, layer.source_strides[0])]
        box = [min(most, (cells - 1) // by + 1) for most, cells, by in zip((5, 4, 3), layer.cells, ratio)]
        x = golden_cloud(layer.c_in, seed=5 + number, box=(box[0], box[1], box[2]))._replace(stride=stride)
        writer.input(source, layer.c_in, stride)
        inputs[source] = x
        sources.append(x)
    writer.layer(layer)
    writer.output("y", layer.step.name)
    expected = reference_layer(network.library, layer, sources, sources[0])
    got = _run(run, writer.text(), [layer], inputs, "y", network.zyx, expected)
    return compare(f"layer {layer.step.name}", got, expected, tolerance)


def replay_layer(run: Runner, network: Network, layer: Layer, tolerance: float) -> float:
    """One layer on the golden cloud, alone in an artifact."""
    kind = layer.step.kind
    if kind not in CONVOLUTIONS:
        return replay_whole_grid(run, network, layer, tolerance)
    box = (5, 4, 3)
    stride = layer.stride if kind in ("inverse", "transpose") else (1, 1, 1)
    x = golden_cloud(layer.c_in, box=box, far=kind in ("inverse", "transpose"))._replace(stride=stride)
    if layer.bounds and any(have < need for have, need in zip(layer.bounds, box)):
        x = x._replace(
            rows={cell: row for cell, row in x.rows.items() if all(cell[i + 1] < layer.bounds[i] for i in range(3))}
        )
    fine = (box[0] * stride[0], box[1] * stride[1], box[2] * stride[2])
    target = golden_cloud(1, seed=6, box=fine)
    writer = GraphWriter(network.zyx)
    writer.input(layer.sources[0], layer.c_in, stride)
    inputs = {layer.sources[0]: x}
    if kind == "inverse":
        writer.input("replay_target", 1)
        inputs["replay_target"] = target
    writer.layer(layer, "replay_target" if kind == "inverse" else None)
    writer.output("y", layer.step.name)
    expected = reference_layer(network.library, layer, [x], target)
    got = _run(run, writer.text(), [layer], inputs, "y", network.zyx, expected)
    return compare(f"layer {layer.step.name}", got, expected, tolerance)


def golden_description(library: str, axes: str) -> Dict[str, Any]:
    layers: List[Dict[str, Any]] = [
        {"type": "subm", "name": "a", "kernel": [3, 5, 1]},
        {"type": "conv", "name": "b", "kernel": [3, 2, 1], "stride": [2, 2, 1]},
        {"type": "inverse", "name": "c", "of": "b", "kernel": [3, 2, 1]},
    ]
    if library != "minkowski":
        layers[1]["padding"] = [1, 0, 0]
    return {"library": library, "axes": axes, "channels": 1, "shape": None, "layers": layers}


def golden_tensors(library: str) -> Dict[str, Tensor]:
    """Kernels of one channel whose numbers are 1 to K in the order of the file."""

    def kernel(sizes: Sequence[int]) -> Tensor:
        taps = count_of(sizes)
        shapes = {"spconv2": (1, *sizes, 1)}
        shape = shapes.get(library, (*sizes, 1, 1) if library.startswith("spconv") else (taps, 1, 1))
        return Tensor("float32", shape, lambda: array.array("f", range(1, taps + 1)))

    ending = "kernel" if library in ("minkowski", "torchsparse") else "weight"
    return {f"{name}.{ending}": kernel(sizes) for name, sizes in (("a", (3, 5, 1)), ("b", (3, 2, 1)), ("c", (3, 2, 1)))}


def replay_golden(run: Runner, library: str, axes: str) -> float:
    """The golden network of a library: asymmetric kernels, whole numbers, so that nothing may differ at all."""
    network = read_description(golden_description(library, axes))
    layers = meet(network, golden_tensors(library))
    return _replay_network(run, network, layers, golden_cloud(1), "golden kernel", 0.0)


def _replay_network(
    run: Runner, network: Network, layers: Sequence[Layer], x: Cloud, what: str, tolerance: float
) -> float:
    graph = network_graph(network.zyx, network.input, network.channels, layers, network.output)
    expected = reference_network(network.library, layers, network.input, x)
    got = _run(run, graph, layers, {network.input: x}, network.output, network.zyx, expected)
    return compare(what, got, expected, tolerance)


def _recorded(path: str, network: Network) -> Tuple[Cloud, Dict[Tuple[int, int, int, int], List[float]]]:
    """A run that the library itself recorded: input cloud, and the rows of the output as the library numbers its cells."""
    tensors = read_safetensors(path)
    clouds = []
    for prefix in ("", "expected."):
        for part in ("coords", "features"):
            if prefix + part not in tensors:
                raise Refused(f"{path}: missing tensor {prefix}{part}")
        coords, features = tensors[prefix + "coords"], tensors[prefix + "features"]
        if coords.shape != (features.shape[0], 4) or len(features.shape) != 2 or not coords.dtype.startswith("int"):
            raise Refused(
                f"{path}: {prefix}coords {coords.dtype} {coords.shape}, expected integers of shape ({features.shape[0]}, 4)"
            )
        cells, values, channels = coords.values(), features.values(), features.shape[1]
        clouds.append(
            {
                (cells[4 * i], cells[4 * i + 1], cells[4 * i + 2], cells[4 * i + 3]): list(
                    values[i * channels : (i + 1) * channels]
                )
                for i in range(coords.shape[0])
            }
        )
    if any(len(row) != network.channels for row in clouds[0].values()):
        raise Refused(f"{path}: features have other channels than the network, expected {network.channels}")
    return Cloud(clouds[0], (1, 1, 1)), clouds[1]


def replay_recorded(
    run: Runner, network: Network, layers: Sequence[Layer], graph: str, path: str, tolerance: float
) -> float:
    x, rows = _recorded(path, network)
    if layers[-1].step.kind == "to_dense":
        expected = Cloud(rows, (1, 1, 1))
        got = _run(run, graph, layers, {network.input: x}, network.output, network.zyx, expected)
        return compare("recorded run", got, expected, tolerance)
    got = _run(run, graph, layers, {network.input: x}, network.output, network.zyx, x)
    if network.library == "minkowski":  # its coordinates stay in units of the input
        steps = got.stride
        rows = {(c[0], c[1] // steps[0], c[2] // steps[1], c[3] // steps[2]): row for c, row in rows.items()}
    return compare("recorded run", got, Cloud(rows, got.stride), tolerance)


def convert(
    tensors: Mapping[str, Tensor],
    description: Any,
    folder: Optional[str],
    run: Optional[Runner],
    tolerance: float = 1e-5,
    recorded: Optional[str] = None,
) -> Conversion:
    """Converts, replays through `run` (None: no proof), then writes the artifact `folder`. Raises Refused."""
    network = read_description(description)
    layers = meet(network, tensors)
    graph = network_graph(network.zyx, network.input, network.channels, layers, network.output)
    errors: Dict[str, float] = {}
    if run is not None:
        errors["golden"] = replay_golden(run, network.library, "zyx" if network.zyx else "xyz")
        for layer in layers:
            if layer.step.kind in REPLAYED:
                errors[layer.step.name] = replay_layer(run, network, layer, tolerance)
        if products(layers) <= MOST_PRODUCTS:
            box = network.shape or (5, 4, 3)
            x = golden_cloud(network.channels, box=(min(5, box[0]), min(4, box[1]), min(3, box[2])))
            errors[""] = _replay_network(run, network, layers, x, "whole network", tolerance)
        if recorded is not None:
            errors["recorded"] = replay_recorded(run, network, layers, graph, recorded, tolerance)
    if folder is not None:
        write_artifact(folder, graph, layers)
    return Conversion(network, layers, graph, errors)


def _by_axis(values: Sequence[int]) -> str:
    return "x".join(str(value) for value in values)


def report(conversion: Conversion, proved: bool) -> List[str]:
    """What was done to each convolution, a line each."""
    network, lines = conversion.network, []
    for layer in conversion.layers:
        if layer.step.kind not in CONVOLUTIONS:
            continue
        order = tap_order(network.library, layer.kernel)
        taps = (
            "taps as they are"
            if order == list(range(len(order)))
            else "taps " + ",".join(str(p) for p in order[:9]) + (",…" if len(order) > 9 else "")
        )
        error = f"error {conversion.errors[layer.step.name]:.2g}" if proved else "not replayed"
        lines.append(
            f"{layer.tensor_name} {_by_axis(layer.tensor_shape)} -> {layer.step.name}.weight "
            f"{_by_axis(layer.params['weight'][0])}: {layer.step.kind}, kernel {_by_axis(layer.kernel)}, stride {_by_axis(layer.stride)}, "
            f"support {layer.support}, {taps}, {error}"
        )
    if proved:
        lines.append(f"golden kernel of {network.library}: error {conversion.errors['golden']:.2g}")
        lines.append(
            f"whole network: error {conversion.errors['']:.2g}"
            if "" in conversion.errors
            else "whole network: too large for the slow reference, proved layer by layer"
        )
        if "recorded" in conversion.errors:
            lines.append(f"recorded run: error {conversion.errors['recorded']:.2g}")
    return lines


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="convert_checkpoint",
        description="Turns a checkpoint of spconv, MinkowskiEngine, "
        "TorchSparse or torch-lattice into a Lattice artifact and proves it by a replay.",
    )
    parser.add_argument("checkpoint", help=".pt or .pth (torch zip form) or .safetensors")
    parser.add_argument("description", help="JSON file that says what the state dict does not (docs/converting.md)")
    parser.add_argument("folder", help="artifact to write")
    parser.add_argument("--lattice", default=os.environ.get("LATTICE_CLI", "lattice"), help="the program that replays")
    parser.add_argument(
        "--recorded",
        help="safetensors file of a run of the library itself: coords, features, expected.coords, expected.features",
    )
    parser.add_argument(
        "--tolerance", type=float, default=1e-5, help="largest error over the largest value (default 1e-5)"
    )
    parser.add_argument("--no-replay", action="store_true", help="write without proof")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = _arguments(arguments)
    try:
        with open(options.description, encoding="utf-8") as file:
            description = json.load(file)
        run = None
        if not options.no_replay:
            program = shutil.which(options.lattice)
            if program is None:
                raise Refused(f"no program '{options.lattice}' to replay with: give --lattice PROGRAM, or --no-replay")
            run = command_runner(program)
        elif options.recorded:
            raise Refused("--recorded needs a replay")
        key = description.get("state_dict") if isinstance(description, dict) else None
        tensors = read_checkpoint(options.checkpoint, key if isinstance(key, str) else None)
        conversion = convert(tensors, description, options.folder, run, options.tolerance, options.recorded)
    except (Refused, OSError, ValueError, RecursionError) as error:
        print(f"convert_checkpoint: {error}", file=sys.stderr)
        return 1
    print("\n".join(report(conversion, run is not None)))
    print(f"in {options.folder}")
    return 0
