"""Writes graphs of the dialect as text, operation by operation."""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from .dialect_schema import OpAttributeDef, OpDef
from .dialect_table import (
    ARTIFACT_WEIGHT_FILE,
    CANONICAL_ACCUMULATION,
    CURRENT_DIALECT_VERSION,
    DIALECT_SCHEMA_DIGEST,
    LATTICE_DIALECT,
)

ARGUMENT_ROLES = ("tensor", "sparse_coords", "sparse_features", "sparse_active")
OUTPUT_ROLES = ("tensor", "sparse_tensor")


@dataclass(frozen=True)
class TensorType:
    """A dense type by its text, e.g. `tensor<?x4xi32>`."""

    text: str

    def to_mlir(self) -> str:
        """The type as graphs write it."""
        return self.text


@dataclass(frozen=True)
class SparseTensorType:
    """The type of sparse tensors whose features have an element type ("f32", "f16")."""

    dtype: str = "f32"
    rank: int = 3
    coord: str = "batch_x_y_z"
    feature: str = "row_channel"

    def to_mlir(self) -> str:
        """The type as graphs write it."""
        return (
            f"!lattice.sparse_tensor<rank = {self.rank}, coord = {self.coord}, feature = {self.feature}, dtype = {self.dtype}>"
        )


@dataclass(frozen=True)
class WeightType:
    """The type of a weight: conv3d, linear, embedding, channel or bias, and its element type."""

    family: str
    elem: str

    def to_mlir(self) -> str:
        """The type as graphs write it."""
        return f"!lattice.weight<{self.family}, {self.elem}>"


AnyType = Union[TensorType, SparseTensorType, WeightType]


@dataclass(frozen=True)
class Packing:
    """How a weight is stored: "dense", or "int4" or "int8" in groups with scales."""

    kind: str
    group_size: Optional[int] = None
    scale_dtype: Optional[str] = None
    mode: Optional[str] = None

    def to_mlir(self) -> str:
        """The attribute as graphs write it."""
        if self.kind == "dense":
            return "#lattice.packing<dense>"
        return (
            f"#lattice.packing<{self.kind}, group_size = {self.group_size}, scale_dtype = {self.scale_dtype}, mode = {self.mode}>"
        )


def dense_packing() -> Packing:
    """A weight that is not packed."""
    return Packing("dense")


def quantized_packing(kind: str, *, group_size: int, scale_dtype: str = "f16", mode: str = "affine") -> Packing:
    """A packed weight: "int4" or "int8". ValueError for anything else, and for group sizes that are not positive."""
    if kind not in ("int4", "int8"):
        raise ValueError(f"quantized_packing: kind: got {kind!r}, expected 'int4' or 'int8'")
    if group_size <= 0:
        raise ValueError(f"quantized_packing: group_size must be positive: got {group_size}")
    if scale_dtype not in ("f16", "f32"):
        raise ValueError(f"quantized_packing: scale_dtype: got {scale_dtype!r}, expected 'f16' or 'f32'")
    if mode != "affine":
        raise ValueError(f"quantized_packing: mode: got {mode!r}, expected 'affine'")
    return Packing(kind, int(group_size), scale_dtype, mode)


@dataclass(frozen=True)
class SSAValue:
    """A value of a graph: its name without the per cent sign, and its type."""

    name: str
    type: AnyType


def f32_text(value: float) -> str:
    """A float with at most 12 decimals, at least one."""
    text = f"{float(value):.12f}".rstrip("0")
    text = text + "0" if text.endswith(".") else text
    return "0.0" if text == "-0.0" else text


def _triple_text(name: str, value: Any, element: str) -> str:
    values = (value,) * 3 if isinstance(value, (int, float)) else tuple(value)
    if len(values) != 3:
        raise ValueError(f"{name}: expected three values: got {len(values)}")
    shown = [str(int(v)) if element == "i64" else repr(float(v)) for v in values]
    return f"array<{element}: {', '.join(shown)}>"


def attribute_text(attribute: OpAttributeDef, value: Any) -> str:
    """The value of an attribute as graphs write it. ValueError for words and lengths that it does not take."""
    kind = attribute.kind
    if kind in ("i64_triple", "f64_triple"):
        return _triple_text(attribute.name, value, kind[:3])
    if kind == "f32":
        return f32_text(value) + " : f32"
    if kind == "i64":
        return str(int(value))
    if kind == "str":
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if kind == "packing":
        return str(value.to_mlir())
    words = next(a.values for a in LATTICE_DIALECT.attrs.values() if a.mnemonic == kind)
    if value not in words:
        raise ValueError(f"{attribute.name}: got {value!r}, expected one of {', '.join(words)}")
    return f"#lattice.{kind}<{value}>"


class MLIRModuleBuilder:
    """Builds the text of a graph with one function.

    Each operation of LATTICE_DIALECT is a method of its Python name that takes operands and attributes by keyword, the type of
    the result as `result_type` (`result_types` where there are several) and optionally its name as `result`, and gives the
    result. TypeError for keywords that an operation lacks or needs, ValueError for values that an attribute does not take.
    """

    def __init__(self, name: str = "forward") -> None:
        self.name = name
        self._names: Dict[str, int] = {}
        self._arguments: List[Tuple[SSAValue, str, str]] = []
        self._lines: List[str] = []
        self._returns: Optional[List[Tuple[SSAValue, str, str]]] = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        definition = LATTICE_DIALECT.op_by_python_name(name)
        return lambda **fields: self._operation(definition, fields)

    def _unique(self, stem: str) -> str:
        stem = re.sub(r"\W", "_", stem.replace(".", "_"))
        count = self._names.get(stem, 0)
        self._names[stem] = count + 1
        name = stem if count == 0 else f"{stem}{count}"
        if count and name in self._names:
            return self._unique(stem)
        self._names.setdefault(name, 1)
        return name

    def argument(self, name: str, type: AnyType, *, role: str = "tensor") -> SSAValue:
        """Adds an argument; `name` is what callers bind it by, role one of ARGUMENT_ROLES."""
        if role not in ARGUMENT_ROLES:
            raise ValueError(f"argument: role: got {role!r}, expected one of {', '.join(ARGUMENT_ROLES)}")
        value = SSAValue(self._unique(name), type)
        self._arguments.append((value, name, role))
        return value

    def return_(
        self, *values: SSAValue, names: Optional[Sequence[str]] = None, roles: Optional[Sequence[str]] = None
    ) -> None:
        """Ends the function. names: of the outputs ("output", or "output0" and so on); roles: of OUTPUT_ROLES, by type."""
        if not values:
            raise ValueError("return_: must return at least one value: got none")
        own = ["output"] if len(values) == 1 else [f"output{i}" for i in range(len(values))]
        kinds = ["sparse_tensor" if isinstance(v.type, SparseTensorType) else "tensor" for v in values]
        found = list(zip(values, own if names is None else names, kinds if roles is None else roles))
        if len(found) != len(values) or any(len(given) != len(values) for given in (names, roles) if given is not None):
            raise ValueError(f"return_: names and roles: expected one for each of {len(values)} values")
        for _, _, role in found:
            if role not in OUTPUT_ROLES:
                raise ValueError(f"return_: role: got {role!r}, expected one of {', '.join(OUTPUT_ROLES)}")
        self._returns = found

    def _operation(self, definition: OpDef, fields: Dict[str, Any]) -> Any:
        op = definition.python_name
        kinds = fields.pop("result_types", None)
        if kinds is None:
            if "result_type" not in fields:
                raise TypeError(f"{op}: missing result_type")
            kinds = (fields.pop("result_type"),)
        if len(kinds) != len(definition.results):
            raise ValueError(f"{op}: result_types: got {len(kinds)}, expected {len(definition.results)}")
        stem = fields.pop("result", None) or op
        operands = self._operands(definition, fields)
        symbol = fields.pop("sym_name", None)
        attributes = self._attributes(definition, fields)
        if fields:
            raise TypeError(f"{op}: unknown operands or attributes: {', '.join(sorted(fields))}")
        stems = [stem] if len(kinds) == 1 else [f"{stem}_{r.name}" for r in definition.results]
        results = tuple(SSAValue(self._unique(s), kind) for s, kind in zip(stems, kinds))
        self._lines.append(operation_text(definition, results, operands, attributes, symbol))
        return results[0] if len(results) == 1 else results

    @staticmethod
    def _operands(definition: OpDef, fields: Dict[str, Any]) -> List[SSAValue]:
        found = []
        for own in definition.ssa_operands:
            value = fields.pop(own.name, None)
            if value is None and own.required:
                raise TypeError(f"{definition.python_name}: missing operand: {own.name}")
            if value is not None:
                found.append(value)
        return found

    @staticmethod
    def _attributes(definition: OpDef, fields: Dict[str, Any]) -> Dict[str, str]:
        fields.setdefault("accumulation", CANONICAL_ACCUMULATION)
        fields.setdefault("packing", dense_packing())
        found = {}
        for attribute in definition.attributes:
            if attribute.name in fields:
                found[attribute.name] = attribute_text(attribute, fields.pop(attribute.name))
            elif attribute.required:
                raise TypeError(f"{definition.python_name}: missing attribute: {attribute.name}")
        for name in ("accumulation", "packing"):
            fields.pop(name, None)
        return found

    def to_mlir(self) -> str:
        """The graph. ValueError before `return_`."""
        if self._returns is None:
            raise ValueError("to_mlir: the function does not return: expected a call of return_")
        return module_text(self.name, self._arguments, self._lines, self._returns)


def operation_text(
    definition: OpDef,
    results: Sequence[SSAValue],
    operands: Sequence[SSAValue],
    attributes: Mapping[str, str],
    symbol: Optional[str] = None,
) -> str:
    """One line of a graph."""
    shown = ", ".join("%" + r.name for r in results)
    if definition.assembly == "symbol":
        names = "@" + (symbol or "weight")
    else:
        names = ", ".join("%" + o.name for o in operands)
    body = "" if not attributes else " {" + ", ".join(f"{name} = {text}" for name, text in attributes.items()) + "}"
    given = ", ".join(o.type.to_mlir() for o in operands)
    made = ", ".join(r.type.to_mlir() for r in results)
    if definition.assembly == "symbol":
        signature = made
    elif definition.assembly == "results":
        signature = f"{given} -> ({made})"
    else:
        signature = f"({given}) -> {made}"
    return f"{shown} = lattice.{definition.name} {names}{body} : {signature}"


def module_text(
    name: str, arguments: Sequence[Tuple[SSAValue, str, str]], lines: Sequence[str], returns: Sequence[Tuple[SSAValue, str, str]]
) -> str:
    """A graph of arguments and results (value, name, role) and the lines between them."""

    def strings(values: Sequence[str]) -> str:
        return "[" + ", ".join(f'"{value}"' for value in values) + "]"

    taken = ", ".join(f"%{value.name}: {value.type.to_mlir()}" for value, _, _ in arguments)
    types = ", ".join(value.type.to_mlir() for value, _, _ in returns)
    header = {
        "ir_version": str(CURRENT_DIALECT_VERSION),
        "schema_digest": f'"{DIALECT_SCHEMA_DIGEST}"',
        "input_names": strings([own for _, own, _ in arguments]),
        "input_roles": strings([role for _, _, role in arguments]),
        "output_names": strings([own for _, own, _ in returns]),
        "output_roles": strings([role for _, _, role in returns]),
        "weight_file": f'"{ARTIFACT_WEIGHT_FILE}"',
    }
    text = ["module attributes {", ",\n".join(f"  lattice.{key} = {value}" for key, value in header.items()), "} {"]
    text.append(f"  func.func @{name}({taken}) -> " + (types if len(returns) == 1 else f"({types})") + " {")
    text += ["    " + line for line in lines]
    text.append("    return " + ", ".join("%" + value.name for value, _, _ in returns) + f" : {types}")
    return "\n".join(text + ["  }", "}", ""])
