"""What a graph takes, does and gives: plans, made from the text of a graph or from a dictionary of records."""
from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Union

from lattice_contract import (
    ARTIFACT_WEIGHT_FILE,
    CURRENT_DIALECT_VERSION,
    DIALECT_SCHEMA_DIGEST,
    LATTICE_DIALECT,
    OpAttributeDef,
    OpDef,
    Packing,
    SSAValue,
    TensorType,
)
from lattice_contract.module_builder import ARGUMENT_ROLES, OUTPUT_ROLES, attribute_text, module_text, operation_text

from .._library import NULL, check, context, ffi, lib

_KEYS = ("ir_version", "schema_digest", "weight_file", "name", "args", "ops", "returns", "outputs")


@dataclass(frozen=True)
class PlanArgument:
    """An argument of a plan: its label, the name that callers bind it by, its type and its role."""

    name: str
    abi_name: str
    type: str
    role: str


@dataclass(frozen=True)
class PlanOutput:
    """A result of a plan: the label of its value, its name, type and role."""

    name: str
    abi_name: str
    type: str
    role: str


@dataclass(frozen=True)
class PlanOperation:
    """An operation of a plan. `definition` is its OpDef of `lattice_contract`, None for operations of version 3 alone.

    operands, results: labels, `argI` of arguments and `vN` of results. attrs cannot be changed.
    """

    name: str
    definition: Optional[OpDef]
    operands: Tuple[str, ...] = ()
    results: Tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    operand_types: Tuple[str, ...] = ()
    result_types: Tuple[str, ...] = ()


class RuntimePlan:
    """What a graph takes, does and gives. Made from the text of a graph, which it checks.

    args, ops, outputs: tuples of PlanArgument, PlanOperation, PlanOutput. returns: the labels of the returned values.
    graph: the text. Raises ValueError for a graph that is not valid.
    """

    __slots__ = ("graph", "ir_version", "args", "ops", "outputs", "returns")
    graph: str
    ir_version: int
    args: Tuple[PlanArgument, ...]
    ops: Tuple[PlanOperation, ...]
    outputs: Tuple[PlanOutput, ...]
    returns: Tuple[str, ...]

    def __init__(self, graph: str) -> None:
        model = parse_graph(graph)
        args = tuple(PlanArgument(f"arg{i}", *_port(lib.lat_model_input(model, i))) for i in range(lib.lat_model_n_inputs(model)))
        labels = dict(zip(_argument_names(graph), (a.name for a in args)))
        ops = tuple(_parsed_operation(name, line, labels) for name, line in graph_operations(model))
        returns = tuple(labels.get(name, name) for name in _returned_names(graph))
        ports = [_port(lib.lat_model_output(model, i)) for i in range(lib.lat_model_n_outputs(model))]
        outputs = tuple(PlanOutput(label, *port) for label, port in zip(returns, ports))
        self._fill(graph, int(lib.lat_model_version(model)), args, ops, outputs, returns)

    def _fill(self, graph: str, version: int, args: Any, ops: Any, outputs: Any, returns: Any) -> None:
        for name, value in zip(self.__slots__, (graph, version, args, ops, outputs, returns)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"RuntimePlan cannot be changed: {name}")

    def __repr__(self) -> str:
        return f"RuntimePlan(version {self.ir_version}, {len(self.args)} arguments, {len(self.ops)} operations)"

    @classmethod
    def from_native(cls, raw: Mapping[str, Any]) -> "RuntimePlan":
        """A plan of records: ir_version, schema_digest, weight_file, name, args, ops, returns, outputs (semantics 12.5).

        Raises KeyError for a missing record, ValueError for what is wrong in one. The plan has a graph to run, and that is
        checked too, where every operation says the types of its operands and results.
        """
        missing = [key for key in _KEYS if key not in raw]
        if missing:
            raise KeyError(missing[0])
        _check_header(raw)
        args = tuple(PlanArgument(*(str(_need(a, key)) for key in ("name", "abi_name", "type", "role"))) for a in raw["args"])
        outputs = tuple(PlanOutput(*(str(_need(o, key)) for key in ("name", "abi_name", "type", "role"))) for o in raw["outputs"])
        ops = tuple(_checked_operation(op) for op in raw["ops"])
        returns = tuple(str(name) for name in raw["returns"])
        _check_values(args, ops, returns, outputs)
        plan = cls.__new__(cls)
        typed = all(op.result_types for op in ops)
        text = _graph_text(args, ops, returns, outputs) if typed else ""
        if typed:
            parse_graph(text)
        plan._fill(text, int(raw["ir_version"]), args, ops, outputs, returns)
        return plan


# --- from the text of a graph -----------------------------------------------------------------------------------------


def text_of(value: Any) -> str:
    """A string of C, empty for NULL."""
    return ffi.string(value).decode() if value != NULL else ""


def parse_graph(graph: str) -> Any:
    """A `lat_model *` of a graph without its weights."""
    data = graph.encode()
    out = ffi.new("lat_model **")
    check(lib.lat_model_parse(context(), data, len(data), out))
    return ffi.gc(out[0], lib.lat_model_release)


def graph_operations(model: Any) -> List[Tuple[str, str]]:
    """Name and line of each operation."""
    line = ffi.new("char[4096]")
    found = []
    for i in range(lib.lat_model_n_operations(model)):
        lib.lat_model_describe_operation(model, i, line, 4096)
        found.append(("lattice." + text_of(lib.lat_model_operation_name(model, i)), text_of(line)))
    return found


def _port(port: Any) -> Tuple[str, str, str]:
    if port.is_sparse:
        kind = f"!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = {text_of(port.elem)}>"
    else:
        shape = [str(port.shape[a]) if port.shape[a] >= 0 else "?" for a in range(port.rank)]
        kind = f"tensor<{'x'.join([*shape, text_of(port.elem)])}>"
    return text_of(port.name), kind, text_of(port.role)


def _without_comments(graph: str) -> str:
    return re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*', lambda found: found.group(1) or "", graph)


def _argument_names(graph: str) -> List[str]:
    """The names of the function's arguments; the graph is known to be valid."""
    found = re.search(r"func\.func\s*@[^(]*\((.*?)\)\s*->", _without_comments(graph), re.S)
    return re.findall(r"(%[\w$.-]+)\s*:", found.group(1)) if found else []


def _returned_names(graph: str) -> List[str]:
    found = re.findall(r"\breturn\s+((?:%[\w$.#-]+[\s,]*)+):", _without_comments(graph))
    return re.findall(r"%[\w$.#-]+", found[-1]) if found else []


def _parsed_operation(name: str, line: str, labels: Dict[str, str]) -> PlanOperation:
    made, _, rest = line.partition(" = ")
    head, _, body = rest.partition(" {")
    operands = tuple(labels.get(o, o) for o in re.findall(r"%[\w$.#-]+", head))
    results = []
    for value in re.findall(r"%[\w$.#-]+", made):
        labels[value] = f"v{len(labels)}"
        results.append(labels[value])
    definition = LATTICE_DIALECT.ops.get(name[len("lattice.") :])
    attrs = {key: _parsed_value(value) for key, value in _ATTRIBUTE.findall(body)}
    return PlanOperation(name, definition, operands, tuple(results), MappingProxyType(attrs))


_ATTRIBUTE = re.compile(r'(\w+) = ("(?:[^"\\]|\\.)*"|array<[^>]*>|#lattice\.\w+<[^>]*>|[^,}]+)')


def _parsed_value(text: str) -> Any:
    if text.startswith("array<"):
        kind, _, values = text[6:-1].partition(":")
        return tuple((int if kind == "i64" else float)(v) for v in values.split(","))
    if text.startswith("#lattice.packing<"):
        kind, *fields = text[len("#lattice.packing<") : -1].split(", ")
        found: Dict[str, Any] = {"kind": kind, **dict(f.split(" = ") for f in fields)}
        if "group_size" in found:
            found["group_size"] = int(found["group_size"])
        return MappingProxyType(found)
    if text.startswith("#lattice."):
        return text[text.index("<") + 1 : -1]
    if text.startswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    number, _, kind = text.partition(" : ")
    return _f32(float(number)) if kind.strip() == "f32" else int(number)


def _f32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


# --- from records -----------------------------------------------------------------------------------------------------


def _fail(what: str) -> ValueError:
    return ValueError("RuntimePlan.from_native: " + what)


def _need(record: Mapping[str, Any], key: str) -> Any:
    if key not in record:
        raise _fail(f"a record lacks {key}: got {', '.join(map(str, record))}")
    return record[key]


def _check_header(raw: Mapping[str, Any]) -> None:
    version = raw["ir_version"]
    if version != CURRENT_DIALECT_VERSION:
        raise _fail(f"unsupported lattice.ir_version: {version} (expected {CURRENT_DIALECT_VERSION})")
    if raw["schema_digest"] != DIALECT_SCHEMA_DIGEST:
        raise _fail(f"unsupported lattice.schema_digest: got {raw['schema_digest']}, expected {DIALECT_SCHEMA_DIGEST}")
    if raw["weight_file"] != ARTIFACT_WEIGHT_FILE:
        raise _fail(f"unsupported lattice.weight_file: got {raw['weight_file']}, expected {ARTIFACT_WEIGHT_FILE}")
    if raw["name"] != "forward":
        raise _fail(f"entry must be forward: got {raw['name']}")
    if not raw["returns"]:
        raise _fail("the entry must return at least one value: got none")


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(item) for key, item in value.items()})
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def _checked_operation(raw: Mapping[str, Any]) -> PlanOperation:
    name = str(_need(raw, "name"))
    try:
        definition = LATTICE_DIALECT.resolve_op(name)
    except KeyError:
        raise _fail(f"unknown lattice operation: got {name}") from None
    operands, results = (tuple(str(v) for v in _need(raw, key)) for key in ("operands", "results"))
    least, most = sum(o.required for o in definition.ssa_operands), len(definition.ssa_operands)
    if not least <= len(operands) <= most:
        raise _fail(f"{definition.name} takes {least} to {most} SSA operands: got {len(operands)}")
    if len(results) != len(definition.results):
        raise _fail(f"{definition.name} has {len(definition.results)} results: got {len(results)}")
    attrs = dict(_need(raw, "attrs"))
    _check_attrs(definition, attrs)
    types = []
    for key, count in (("operand_types", len(operands)), ("result_types", len(results))):
        found = tuple(str(v) for v in raw.get(key) or ())
        if found and len(found) != count:
            raise _fail(f"{definition.name}: {key}: got {len(found)}, expected {count}")
        types.append(found)
    return PlanOperation("lattice." + definition.name, definition, operands, results, _frozen(attrs), *types)


def _check_attrs(definition: OpDef, attrs: Mapping[str, Any]) -> None:
    known = {a.name for a in definition.attributes} | ({"sym_name"} if definition.assembly == "symbol" else set())
    missing = sorted(a.name for a in definition.attributes if a.required and a.name not in attrs)
    if missing:
        raise _fail(f"{definition.name}: missing required attrs: {', '.join(missing)}")
    unknown = sorted(set(attrs) - known)
    if unknown:
        raise _fail(f"{definition.name}: unknown attrs: {', '.join(unknown)}")
    for attribute in definition.attributes:
        if attribute.name in attrs:
            _check_attr(definition, attribute, attrs[attribute.name])


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_attr(definition: OpDef, attribute: OpAttributeDef, value: Any) -> None:
    where, kind = f"{definition.name}: {attribute.name}", attribute.kind
    if kind.endswith("_triple"):
        fits = _is_whole if kind == "i64_triple" else lambda v: isinstance(v, (int, float)) and not isinstance(v, bool)
        if not isinstance(value, (list, tuple)) or len(value) != 3 or not all(map(fits, value)):
            raise _fail(f"{where}: got {value!r}, expected three {'whole ' if kind[0] == 'i' else ''}numbers")
    elif kind == "packing":
        _check_packing(where, value)
    elif attribute.name == "accumulation":
        if value != "canonical_f32":
            raise _fail(f"{where}: accumulation must be canonical_f32: got {value!r}")
    elif kind == "i64" and not _is_whole(value) or kind == "f32" and not isinstance(value, (int, float)):
        raise _fail(f"{where}: got {value!r}, expected a number")
    elif kind == "str" and not isinstance(value, str):
        raise _fail(f"{where}: got {value!r}, expected a string")
    elif kind not in ("i64", "f32", "str"):
        words = next(a.values for a in LATTICE_DIALECT.attrs.values() if a.mnemonic == kind)
        if value not in words:
            raise _fail(f"{where}: got {value!r}, expected one of {', '.join(words)}")


def _check_packing(where: str, value: Any) -> None:
    if not isinstance(value, Mapping) or value.get("kind") not in ("dense", "int4", "int8"):
        raise _fail(f"{where}: got {value!r}, expected a record with the kind dense, int4 or int8")
    wanted = {"kind"} if value["kind"] == "dense" else {"kind", "group_size", "scale_dtype", "mode"}
    given = {key for key, item in value.items() if item is not None}
    if value["kind"] == "dense":
        given -= {"group_size", "mode"}  # of no meaning there
    if given != wanted:
        raise _fail(f"{where}: got {', '.join(sorted(given))}, expected {', '.join(sorted(wanted))}")
    if value["kind"] == "dense":
        return
    if not _is_whole(value["group_size"]) or value["group_size"] <= 0:
        raise _fail(f"{where}: group_size must be positive: got {value['group_size']!r}")
    if value["scale_dtype"] not in ("f16", "f32"):
        raise _fail(f"{where}: scale_dtype: got {value['scale_dtype']!r}, expected f16 or f32")
    if value["mode"] != "affine":
        raise _fail(f"{where}: mode: got {value['mode']!r}, expected affine")


def _check_values(args: Any, ops: Any, returns: Sequence[str], outputs: Sequence[PlanOutput]) -> None:
    seen: Set[str] = set()

    def label(name: str) -> None:
        if name in seen:
            raise _fail(f"duplicate runtime value label: got {name}")
        seen.add(name)

    for argument in args:
        label(argument.name)
        if argument.role not in ARGUMENT_ROLES:
            raise _fail(f"{argument.abi_name}: unsupported role: got {argument.role}, expected one of {', '.join(ARGUMENT_ROLES)}")
    for op in ops:
        for name in op.operands:
            if name not in seen:
                raise _fail(f"{op.name} uses undefined value: got {name}")
        for name in op.results:
            label(name)
    for name in returns:
        if name not in seen:
            raise _fail(f"return uses undefined value: got {name}")
    if tuple(o.name for o in outputs) != tuple(returns):
        raise _fail(f"outputs must be those returned, in order: got {[o.name for o in outputs]}, expected {list(returns)}")
    for output in outputs:
        if output.role not in OUTPUT_ROLES:
            raise _fail(f"{output.abi_name}: unsupported role: got {output.role}, expected one of {', '.join(OUTPUT_ROLES)}")
    for names in ([a.abi_name for a in args], [o.abi_name for o in outputs]):
        if len(set(names)) != len(names) or not all(names):
            raise _fail(f"duplicate or empty ABI name: got {', '.join(names)}")


def _graph_text(args: Any, ops: Any, returns: Sequence[str], outputs: Sequence[PlanOutput]) -> str:
    values = {a.name: SSAValue(a.name, TensorType(a.type)) for a in args}
    lines = []
    for op in ops:
        results = [SSAValue(name, TensorType(kind)) for name, kind in zip(op.results, op.result_types)]
        operands = [values[name] for name in op.operands]
        values.update((r.name, r) for r in results)
        texts = {a.name: attribute_text(a, _writable(op.attrs[a.name])) for a in op.definition.attributes if a.name in op.attrs}
        lines.append(operation_text(op.definition, results, operands, texts, op.attrs.get("sym_name")))
    inputs = [(values[a.name], a.abi_name, a.role) for a in args]
    return module_text("forward", inputs, lines, [(values[name], o.abi_name, o.role) for name, o in zip(returns, outputs)])


def _writable(value: Any) -> Union[Packing, Any]:
    return Packing(**value) if isinstance(value, Mapping) else value
