"""The description of a network: what its state dict does not say (docs/converting.md), checked and resolved into steps."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .checkpoint_layouts import LIBRARIES, Triple
from .torch_checkpoint import Refused

CONVOLUTIONS = ("subm", "conv", "inverse", "transpose")
FIELDS = {
    "subm": {"kernel", "dilation", "bias", "region", "channelwise"},
    "conv": {"kernel", "stride", "padding", "dilation", "bias", "support", "region", "channelwise"},
    "inverse": {"kernel", "of", "bias"},
    "transpose": {"kernel", "stride", "padding", "dilation", "bias"},
    "batch_norm": {"eps"},
    "layer_norm": {"eps"},
    "linear": {"bias"},
    "relu": set(),
    "leaky_relu": {"slope"},
    "sigmoid": set(),
    "silu": set(),
    "tanh": set(),
    "add": {"with"},
    "cat": {"with"},
    "bev": {"with", "axis"},
    "to_dense": {"fold"},
}
TOP = {"library", "axes", "channels", "shape", "support", "eps", "layers", "ignore", "state_dict", "input", "output"}


class Step(NamedTuple):
    """A layer. Triples run along the library's axes."""

    kind: str
    name: str
    weights: str  # name in the state dict
    sources: Tuple[str, ...]  # names of the layers whose values it takes; "" is the input
    kernel: Optional[Triple]
    stride: Triple
    padding: Triple
    dilation: Triple
    support: str  # "floor", "reach", "same" (the input's coordinates) or "target"
    of: str
    bias: Optional[bool]
    eps: float
    slope: float
    cross: bool  # MinkowskiEngine's HYPER_CROSS
    channelwise: bool
    axis: int  # of bev: that is summed; of to_dense: that is folded into the channels, -1: none


class Network(NamedTuple):
    """A described network."""

    library: str
    zyx: bool
    channels: int
    shape: Optional[Triple]  # cells of the input's grid along the library's axes; None: no grid
    knows_shape: bool  # whether the description says that
    steps: List[Step]
    ignore: List[str]
    state_dict: Optional[str]
    input: str
    output: str


def _triple(where: str, value: Any, least: int) -> Triple:
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value] * 3
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(type(number) is int and number >= least for number in value)
    ):
        raise Refused(f"description: {where}: got {json.dumps(value)}, expected an integer or three, at least {least}")
    return (value[0], value[1], value[2])


def _one_of(where: str, value: Any, words: Sequence[str]) -> str:
    if value not in words:
        raise Refused(f"description: {where}: got {json.dumps(value)}, expected one of {', '.join(words)}")
    return str(value)


def _number(where: str, value: Any, above: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > above:
        raise Refused(f"description: {where}: got {json.dumps(value)}, expected a number above {above}")
    return float(value)


def _rule(library: str, kind: str, top: Dict[str, Any], layer: Dict[str, Any], where: str) -> str:
    """The support rule of a strided convolution."""
    own = "floor" if library == "minkowski" else "reach"
    rule = _one_of(f"{where}: support", layer.get("support", top.get("support", own)), ("floor", "reach"))
    if rule != own and library not in ("torchsparse", "torch-lattice"):
        raise Refused(f"description: {where}: support: got {rule}, but {library} has {own}")
    return rule


def _convolution(library: str, top: Dict[str, Any], layer: Dict[str, Any], where: str) -> Dict[str, Any]:
    kind = layer["type"]
    found: Dict[str, Any] = {"kernel": _triple(f"{where}: kernel", layer["kernel"], 1) if "kernel" in layer else None}
    for field, default, least in (("stride", 1, 1), ("padding", 0, 0), ("dilation", 1, 1)):
        found[field] = _triple(f"{where}: {field}", layer.get(field, default), least)
    kernel = found["kernel"]
    if kind == "conv" and found["stride"] == (1, 1, 1) and library in ("torchsparse", "torch-lattice"):
        kind = "subm"  # a stride of 1 keeps the coordinates in these libraries
    if kind == "inverse":
        found.update(support="target", of=_text(where, "of", layer.get("of")))
    elif kind == "transpose":
        found["support"] = "reach"
        if library.startswith("spconv") and found["padding"] != (0, 0, 0):
            raise Refused(
                f"description: {where}: a padded transpose of spconv crops its outputs, which no operation says"
            )
    elif kind == "subm":
        found["support"] = "same"
        if found["padding"] != (0, 0, 0) and not library.startswith("spconv"):
            raise Refused(f"description: {where}: padding {found['padding']}: {library} centres a kernel of stride 1")
        found["padding"] = (0, 0, 0)
        if kernel and any(size % 2 == 0 for size in kernel):
            raise Refused(f"description: {where}: a submanifold kernel has odd sizes, got {kernel}")
    else:
        found["support"] = _rule(library, kind, top, layer, where)
    found["cross"] = _one_of(f"{where}: region", layer.get("region", "cube"), ("cube", "cross")) == "cross"
    found["channelwise"] = layer.get("channelwise", False)
    if not isinstance(found["channelwise"], bool):
        raise Refused(
            f"description: {where}: channelwise: got {json.dumps(layer['channelwise'])}, expected true or false"
        )
    if (found["cross"] or found["channelwise"]) and library != "minkowski":
        raise Refused(f"description: {where}: {library} has no such kernels: region and channelwise are minkowski's")
    if (found["cross"] or found["channelwise"]) and kernel is None:
        raise Refused(f"description: {where}: 'kernel' is needed: the tensor's shape does not say it")
    if found["cross"] and any(size % 2 == 0 for size in kernel):
        raise Refused(f"description: {where}: a cross has odd sizes, got {kernel}")
    if library == "minkowski" and found["padding"] != (0, 0, 0):
        raise Refused(f"description: {where}: padding {found['padding']}: minkowski has none")
    found["kind"] = kind
    return found


def _text(where: str, field: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Refused(f"description: {where}: {field}: got {json.dumps(value)}, expected a name")
    return value


def _axis(where: str, layer: Dict[str, Any]) -> int:
    field = "fold" if layer["type"] == "to_dense" else "axis"
    axis = layer.get(field, 0)
    if axis is None and field == "fold":
        return -1
    if type(axis) is not int or axis not in (0, 1, 2):
        raise Refused(
            f"description: {where}: {field}: got {json.dumps(axis)}, expected 0, 1 or 2, an axis of the library's columns"
            + (", or null" if field == "fold" else "")
        )
    return axis


def _step(top: Dict[str, Any], layer: Any, number: int, seen: List[str]) -> Step:
    where = f"layer {number}"
    if not isinstance(layer, dict):
        raise Refused(f"description: {where}: expected an object")
    kind = _one_of(f"{where}: type", layer.get("type"), tuple(FIELDS))
    unknown = set(layer) - FIELDS[kind] - {"type", "name", "weights", "from"}
    if unknown:
        raise Refused(f"description: {where} ({kind}): unknown fields {', '.join(sorted(unknown))}")
    has_weights = kind in CONVOLUTIONS or kind in ("batch_norm", "layer_norm", "linear")
    name = _text(where, "name", layer.get("name", None if has_weights else f"{kind}_{number}"))
    if name in seen:
        raise Refused(f"description: {where}: two layers are called {name}")
    where = f"layer {name}"
    sources = [_text(where, "from", layer["from"]) if "from" in layer else seen[-1]]
    others = layer.get("with", []) if kind in ("add", "cat", "bev") else []
    sources += [_text(where, "with", other) for other in (others if isinstance(others, list) else [others])]
    if kind in ("add", "cat") and (len(sources) < 2 or (kind == "add" and len(sources) > 2)):
        raise Refused(f"description: {where}: with: expected {'one layer' if kind == 'add' else 'layers'}")
    values: Dict[str, Any] = dict(
        kind=kind,
        kernel=None,
        stride=(1, 1, 1),
        padding=(0, 0, 0),
        dilation=(1, 1, 1),
        support="same",
        of="",
        cross=False,
        channelwise=False,
        axis=_axis(where, layer),
    )
    if kind in CONVOLUTIONS:
        values.update(_convolution(top["library"], top, layer, where))
    for source in sources + ([values["of"]] if values["of"] else []):
        if source not in seen:
            raise Refused(f"description: {where}: no earlier layer {source}")
    eps = layer.get("eps", top.get("eps"))
    if kind.endswith("_norm") and eps is None:
        raise Refused(f"description: {where}: 'eps' is needed: a state dict does not hold it")
    bias = layer.get("bias")
    if bias not in (None, True, False):
        raise Refused(f"description: {where}: bias: got {json.dumps(bias)}, expected true or false")
    values["eps"] = _number(f"{where}: eps", eps, 0.0) if kind.endswith("_norm") else 0.0
    values["slope"] = _number(f"{where}: slope", layer.get("slope", 0.01), -1e-30)
    weights = _text(where, "weights", layer.get("weights", name))
    return Step(name=name, weights=weights, sources=tuple(sources), bias=bias, **values)


def read_description(description: Any) -> Network:
    """Checks a description (a dictionary). Raises Refused."""
    if not isinstance(description, dict):
        raise Refused("description: expected an object")
    unknown = set(description) - TOP
    if unknown:
        raise Refused(f"description: unknown fields {', '.join(sorted(unknown))}")
    library = _one_of("library", description.get("library"), LIBRARIES)
    if library.startswith("spconv") and "axes" not in description:
        raise Refused(
            "description: 'axes' is needed: spconv's axes are whatever its caller gave (OpenPCDet zyx, Pointcept xyz)"
        )
    axes = _one_of("axes", description.get("axes", "xyz"), ("xyz", "zyx"))
    channels = _triple("channels", description.get("channels"), 1)[0]
    shape = None if description.get("shape") is None else _triple("shape", description["shape"], 1)
    layers = description.get("layers")
    if not isinstance(layers, list) or not layers:
        raise Refused("description: layers: expected a list that is not empty")
    names = {
        field: _text(field, field, description.get(field, default))
        for field, default in (("input", "x"), ("output", "output"))
    }
    seen, steps = [names["input"]], []
    for number, layer in enumerate(layers):
        step = _step(description, layer, number, seen)
        if step.kind == "to_dense" and number + 1 < len(layers):
            raise Refused(f"description: layer {step.name}: to_dense is the last layer: no layer takes what it gives")
        seen.append(step.name)
        steps.append(step)
    ignore = description.get("ignore", [])
    if not isinstance(ignore, list) or not all(isinstance(pattern, str) for pattern in ignore):
        raise Refused("description: ignore: expected a list of patterns")
    key = description.get("state_dict")
    state_dict = None if key is None else _text("state_dict", "state_dict", key)
    return Network(
        library=library,
        zyx=axes == "zyx",
        channels=channels,
        shape=shape,
        knows_shape="shape" in description,
        steps=steps,
        ignore=ignore,
        state_dict=state_dict,
        input=names["input"],
        output=names["output"],
    )
