"""A described network met with its state dict: every layer with its numbers, in the library's form and in Lattice's."""

from __future__ import annotations

import array
import fnmatch
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from .checkpoint_layouts import (
    KernelLayout,
    Triple,
    as_float32,
    cross_digits,
    dense_rows,
    kernel_layout,
    lattice_kernel,
    positions_digits,
    sorted_rows,
    weight_name,
)
from .network_description import Network, Step
from .torch_checkpoint import Refused, Tensor

Numbers = Tuple[Tuple[int, ...], "array.array[Any]"]


class Flow(NamedTuple):
    """What is known of a layer's value."""

    channels: int
    coordinates: str  # name of the layer that made its coordinate set
    cells: Optional[Triple]  # grid along the library's axes
    stride: Triple


class Layer:
    """A layer: what it does along the library's axes, its numbers as the library holds them and as Lattice does."""

    def __init__(self, step: Step, sources: Sequence[str], c_in: int) -> None:
        self.step, self.sources, self.c_in, self.c_out = step, tuple(sources), c_in, c_in
        self.kernel: Triple = (1, 1, 1)
        self.stride: Triple = (1, 1, 1)
        self.dilation: Triple = (1, 1, 1)
        self.begin: Triple = (0, 0, 0)  # input = output * stride - begin + digit * dilation
        self.support = step.support  # a strided convolution's may differ from the description's (_support)
        self.padding: Triple = (0, 0, 0)  # as the artifact says it
        self.bounds: Optional[Triple] = None  # cells of the input
        self.cells: Optional[Triple] = None  # of bev and to_dense: cells of the input
        self.height = 0  # of bev: the window along its axis
        self.source_strides: List[Triple] = []
        self.tensor_name = ""
        self.tensor_shape: Tuple[int, ...] = ()
        self.raw: "array.array[Any]" = array.array("f")  # the kernel's numbers as the checkpoint has them
        self.layout: Optional[KernelLayout] = None
        self.positions: Optional[List[Triple]] = None  # digits of each row, where the checkpoint says them
        self.params: Dict[str, Numbers] = {}  # by role: weight, bias, running_mean, running_var


class _State:
    """Tensors of a state dict, with a note of which were used."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self.used: Set[str] = set()

    def find(self, prefixes: Sequence[str], ending: str) -> Optional[str]:
        for prefix in prefixes:
            if f"{prefix}.{ending}" in self.tensors:
                self.used.add(f"{prefix}.{ending}")
                return f"{prefix}.{ending}"
        return None

    def need(self, prefixes: Sequence[str], ending: str, shape: str) -> str:
        name = self.find(prefixes, ending)
        if name is None:
            raise Refused(f"missing tensor {prefixes[0]}.{ending} {shape}")
        return name

    def vector(self, name: str, channels: int) -> Numbers:
        tensor = self.tensors[name]
        if tensor.shape not in ((channels,), (1, channels)):
            raise Refused(f"{name}: shape {tensor.shape}, expected ({channels},)")
        return (channels,), as_float32(name, tensor)


def _take_bias(state: _State, layer: Layer, prefixes: Sequence[str]) -> None:
    if layer.step.bias is False:
        return
    name = state.find(prefixes, "bias")
    if name is not None:
        layer.params["bias"] = state.vector(name, layer.c_out)
    elif layer.step.bias:
        raise Refused(f"missing tensor {prefixes[0]}.bias ({layer.c_out},)")


def _take_kernel(state: _State, network: Network, layer: Layer, kernel: Optional[Triple]) -> None:
    library, step = network.library, layer.step
    name = state.need((step.weights,), weight_name(library), "of a convolution")
    tensor = state.tensors[name]
    layer.tensor_name, layer.tensor_shape = name, tensor.shape
    layer.layout = kernel_layout(library, name, tensor.shape, kernel, layer.c_in, step.cross, step.channelwise)
    layer.kernel, layer.c_out = layer.layout.kernel, layer.layout.c_out
    layer.raw = as_float32(name, tensor)
    positions = state.find((step.weights,), "kernel_positions") if library == "torch-lattice" else None
    ordered = layer.raw
    if positions is not None:
        layer.positions = positions_digits(positions, layer.layout, state.tensors[positions])
        ordered = sorted_rows(ordered, layer.layout, layer.positions)
    layout = layer.layout
    if step.cross:
        layer.positions = cross_digits(layer.kernel)
        ordered = dense_rows(ordered, layout, layer.positions)
        block = layout.c_in * layout.c_out
        layout = layout._replace(
            tap_strides=(layer.kernel[1] * layer.kernel[2] * block, layer.kernel[2] * block, block)
        )
    layer.params["weight"] = lattice_kernel(ordered, layout, network.zyx)
    _take_bias(state, layer, (step.weights,))


def _centre(kernel: Triple, dilation: Triple, odd_only: bool) -> Triple:
    begins = [0 if odd_only and size % 2 == 0 else size // 2 * step for size, step in zip(kernel, dilation)]
    return (begins[0], begins[1], begins[2])


def _geometry(network: Network, layer: Layer, forward: Optional[Layer]) -> None:
    """Stride, dilation and begin, by the library's rule."""
    step = layer.step
    if forward is not None:
        layer.stride, layer.dilation, layer.begin = forward.stride, forward.dilation, forward.begin
        return
    layer.stride, layer.dilation = step.stride, step.dilation
    if step.kind == "subm":
        if any(size % 2 == 0 for size in layer.kernel):
            raise Refused(f"layer {step.name}: a submanifold kernel has odd sizes, got {layer.kernel}")
        layer.begin = _centre(layer.kernel, layer.dilation, False)
    elif network.library == "minkowski":
        layer.begin = _centre(layer.kernel, layer.dilation, True)
    else:
        layer.begin = step.padding


def _support(network: Network, layer: Layer, cells: Optional[Triple]) -> None:
    """Support rule, padding and bounds of a strided convolution, as the artifact says them."""
    step, kernel, stride = layer.step, layer.kernel, layer.stride
    family = network.library in ("torchsparse", "torch-lattice")
    # These two take the floor rule by themselves where every stride is 1 or the kernel's size, and never crop there.
    steps_whole = family and all(by in (1, size) for by, size in zip(stride, kernel))
    centre = _centre(kernel, layer.dilation, True)
    if step.support == "reach" and not steps_whole:
        if not network.knows_shape:
            raise Refused(
                f"description: 'shape' is needed for layer {step.name}: {network.library} drops outputs outside the grid "
                "(null: nothing is dropped)"
            )
        layer.padding, layer.bounds = layer.begin, cells
    elif all(begin >= middle for begin, middle in zip(layer.begin, centre)):
        # Lattice's floor rule centres odd sizes by itself, so only what goes beyond that is padding.
        padding = [begin - middle for begin, middle in zip(layer.begin, centre)]
        layer.support, layer.padding = "floor", (padding[0], padding[1], padding[2])
    elif stride == kernel and layer.begin == (0, 0, 0) and layer.dilation == (1, 1, 1):
        layer.support = "reach"  # taps count from 0, and each input reaches the one output that floor gives it
    else:
        raise Refused(
            f"layer {step.name}: floor support with taps that count from 0: padding {layer.begin} of kernel {kernel}, "
            f"expected at least {centre}: no operation says less"
        )


def _next_cells(layer: Layer, cells: Optional[Triple]) -> Optional[Triple]:
    """The grid of the outputs."""
    if cells is None:
        return None
    sizes = []
    for axis in range(3):
        reach = layer.dilation[axis] * (layer.kernel[axis] - 1)
        if layer.step.kind == "transpose":
            size = (cells[axis] - 1) * layer.stride[axis] - 2 * layer.begin[axis] + reach + 1
        elif layer.bounds is None:
            size = (cells[axis] - 1) // layer.stride[axis] + 1
        else:
            size = (cells[axis] + 2 * layer.begin[axis] - reach - 1) // layer.stride[axis] + 1
        if size < 1:
            raise Refused(f"layer {layer.step.name}: nothing is left of a grid of {cells} cells")
        sizes.append(size)
    return (sizes[0], sizes[1], sizes[2])


def _convolution(
    network: Network, state: _State, layers: Mapping[str, Layer], flows: Mapping[str, Flow], layer: Layer
) -> Flow:
    step, flow = layer.step, flows[layer.sources[0]]
    forward = layers.get(step.of) if step.kind == "inverse" else None
    if step.kind == "inverse" and (forward is None or forward.step.kind != "conv"):
        raise Refused(f"layer {step.name}: of: {step.of} is no strided convolution")
    _take_kernel(state, network, layer, step.kernel or (forward.kernel if forward else None))
    _geometry(network, layer, forward)
    layer.padding = layer.begin
    if forward is not None:
        if layer.kernel != forward.kernel:
            raise Refused(f"layer {step.name}: kernel {layer.kernel}, expected {forward.kernel} of {step.of}")
        if flow.coordinates != step.of:
            raise Refused(f"layer {step.name}: its input is not on the coordinates that {step.of} made")
        return flows[forward.sources[0]]._replace(channels=layer.c_out)
    if step.kind == "subm":
        return flow._replace(channels=layer.c_out)
    if step.kind == "transpose":
        if any(have % wanted for have, wanted in zip(flow.stride, layer.stride)):
            raise Refused(
                f"layer {step.name}: stride {layer.stride} does not divide {flow.stride}, the stride of its input"
            )
        steps = [have // wanted for have, wanted in zip(flow.stride, layer.stride)]
    else:
        steps = [have * wanted for have, wanted in zip(flow.stride, layer.stride)]
        _support(network, layer, flow.cells)
    return Flow(layer.c_out, step.name, _next_cells(layer, flow.cells), (steps[0], steps[1], steps[2]))


def _norm(state: _State, layer: Layer) -> None:
    prefixes = (layer.step.weights, layer.step.weights + ".bn")
    roles = ("weight", "bias", "running_mean", "running_var") if layer.step.kind == "batch_norm" else ("weight", "bias")
    for role in roles:
        layer.params[role] = state.vector(state.need(prefixes, role, f"({layer.c_in},)"), layer.c_in)
    state.find(prefixes, "num_batches_tracked")


def _linear(state: _State, layer: Layer) -> None:
    prefixes = (layer.step.weights, layer.step.weights + ".linear")
    name = state.need(prefixes, "weight", f"(C_out, {layer.c_in})")
    tensor = state.tensors[name]
    if len(tensor.shape) != 2 or tensor.shape[1] != layer.c_in or 0 in tensor.shape:
        raise Refused(f"{name}: shape {tensor.shape}, expected (C_out, {layer.c_in})")
    layer.c_out = tensor.shape[0]
    layer.params["weight"] = (tensor.shape, as_float32(name, tensor))
    _take_bias(state, layer, prefixes)


def _joined(layer: Layer, flows: Mapping[str, Flow]) -> Flow:
    first, *others = [flows[source] for source in layer.sources]
    for source, other in zip(layer.sources[1:], others):
        if other.coordinates != first.coordinates:
            raise Refused(f"layer {layer.step.name}: {source} has other coordinates than {layer.sources[0]}")
        if layer.step.kind == "add" and other.channels != first.channels:
            raise Refused(f"layer {layer.step.name}: {source} has {other.channels} channels, expected {first.channels}")
    layer.c_out = first.channels if layer.step.kind == "add" else sum(flow.channels for flow in (first, *others))
    return first._replace(channels=layer.c_out)


def _bev(layer: Layer, flows: Mapping[str, Flow]) -> Flow:
    """Rows of several strides put together on the first one's, and summed along an axis."""
    first, *others = [flows[source] for source in layer.sources]
    axis = layer.step.axis
    for source, other in zip(layer.sources[1:], others):
        if other.channels != first.channels:
            raise Refused(f"layer {layer.step.name}: {source} has {other.channels} channels, expected {first.channels}")
        if any(have % step for have, step in zip(other.stride, first.stride)):
            raise Refused(
                f"layer {layer.step.name}: {source} has the stride {other.stride}, expected multiples of {first.stride}"
            )
    layer.cells = _known_cells(layer, first.cells)
    cells, stride = list(layer.cells), list(first.stride)
    layer.height = cells[axis] + cells[axis] % 2  # Lattice's floor rule centres odd sizes; an even one begins at 0
    stride[axis] *= layer.height
    cells[axis] = 1
    return Flow(first.channels, layer.step.name, (cells[0], cells[1], cells[2]), (stride[0], stride[1], stride[2]))


def _known_cells(layer: Layer, cells: Optional[Triple]) -> Triple:
    if cells is None:
        raise Refused(f"description: 'shape' is needed for layer {layer.step.name}: it goes over the whole grid")
    return cells


def meet(network: Network, tensors: Mapping[str, Tensor]) -> List[Layer]:
    """Every layer with its numbers. Raises Refused that names a missing, unexpected or wrong tensor."""
    state = _State(tensors)
    flows = {network.input: Flow(network.channels, network.input, network.shape, (1, 1, 1))}
    layers: Dict[str, Layer] = {}
    for step in network.steps:
        layer = Layer(step, step.sources, flows[step.sources[0]].channels)
        layer.source_strides = [flows[source].stride for source in step.sources]
        if step.kind in ("subm", "conv", "inverse", "transpose"):
            flow = _convolution(network, state, layers, flows, layer)
        elif step.kind in ("add", "cat"):
            flow = _joined(layer, flows)
        elif step.kind == "bev":
            flow = _bev(layer, flows)
        elif step.kind == "to_dense":
            flow = flows[step.sources[0]]
            layer.cells = _known_cells(layer, flow.cells)
        else:
            if step.kind.endswith("_norm"):
                _norm(state, layer)
            elif step.kind == "linear":
                _linear(state, layer)
            flow = flows[step.sources[0]]._replace(channels=layer.c_out)
        layers[step.name], flows[step.name] = layer, flow
    unexpected = [
        name
        for name in tensors
        if name not in state.used and not any(fnmatch.fnmatchcase(name, pattern) for pattern in network.ignore)
    ]
    if unexpected:
        shown = ", ".join(f"{name} {tensors[name].shape}" for name in unexpected[:8])
        more = f" and {len(unexpected) - 8} more" if len(unexpected) > 8 else ""
        raise Refused(f"unexpected tensor {shown}{more}: no layer of the description uses it ('ignore' passes over)")
    return list(layers.values())
