"""How a dialect of graphs is declared: types, attributes and operations, and the digest of it all."""
from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Tuple, TypeVar

Declaration = TypeVar("Declaration")


@dataclass(frozen=True)
class TypeParameter:
    """A parameter of a type, and the kind of its value."""

    name: str
    kind: str


@dataclass(frozen=True)
class TypeDef:
    """A type, written `!lattice.<mnemonic><...>`."""

    name: str
    mnemonic: str
    parameters: Tuple[TypeParameter, ...] = ()
    summary: str = ""


@dataclass(frozen=True)
class AttrParameter:
    """A parameter of an attribute, and the kind of its value."""

    name: str
    kind: str


@dataclass(frozen=True)
class AttrDef:
    """An attribute, written `#lattice.<mnemonic><value>`; `values` are the words that it takes."""

    name: str
    mnemonic: str
    parameters: Tuple[AttrParameter, ...] = ()
    values: Tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True)
class OperandDef:
    """An operand: a value of the graph ("ssa") or a symbol ("symbol")."""

    name: str
    type: str
    kind: str = "ssa"
    required: bool = True


@dataclass(frozen=True)
class ResultDef:
    """A result of an operation."""

    name: str
    type: str


@dataclass(frozen=True)
class OpAttributeDef:
    """An attribute of an operation: the mnemonic of an AttrDef, or i64, f32, str, i64_triple, f64_triple."""

    name: str
    kind: str
    required: bool = True


@dataclass(frozen=True)
class OpDef:
    """An operation: `name` as graphs write it after "lattice.", `python_name` as the builder has it."""

    name: str
    python_name: str
    operands: Tuple[OperandDef, ...] = ()
    results: Tuple[ResultDef, ...] = ()
    attributes: Tuple[OpAttributeDef, ...] = ()
    assembly: str = "functional"
    summary: str = ""

    @property
    def ssa_operands(self) -> Tuple[OperandDef, ...]:
        """The operands that are values of the graph."""
        return tuple(o for o in self.operands if o.kind == "ssa")


def _add(table: Dict[str, Any], what: str, definition: Any) -> None:
    if definition.name in table:
        raise ValueError(f"dialect: duplicate {what}: got {definition.name} twice")
    table[definition.name] = definition


@dataclass
class DialectSchema:
    """The declarations of one dialect by their names. Names may be declared once: ValueError."""

    namespace: str
    types: Dict[str, TypeDef] = field(default_factory=dict)
    attrs: Dict[str, AttrDef] = field(default_factory=dict)
    ops: Dict[str, OpDef] = field(default_factory=dict)

    def add_type(self, definition: TypeDef) -> "DialectSchema":
        """Declares a type."""
        _add(self.types, "type", definition)
        return self

    def add_attr(self, definition: AttrDef) -> "DialectSchema":
        """Declares an attribute."""
        _add(self.attrs, "attribute", definition)
        return self

    def add_op(self, definition: OpDef) -> "DialectSchema":
        """Declares an operation."""
        if any(op.python_name == definition.python_name for op in self.ops.values()):
            raise ValueError(f"dialect: duplicate operation: got {definition.python_name} twice")
        _add(self.ops, "operation", definition)
        return self

    def type(
        self, name: str, mnemonic: str, *, parameters: Iterable[TypeParameter] = (), summary: str = ""
    ) -> Callable[[Declaration], Declaration]:
        """Declares a type by decorating what stands for it in Python."""
        self.add_type(TypeDef(name, mnemonic, tuple(parameters), summary))
        return lambda declaration: declaration

    def attr(
        self,
        name: str,
        mnemonic: str,
        *,
        parameters: Iterable[AttrParameter] = (),
        values: Iterable[str] = (),
        summary: str = "",
    ) -> Callable[[Declaration], Declaration]:
        """Declares an attribute by decorating what stands for it in Python."""
        self.add_attr(AttrDef(name, mnemonic, tuple(parameters), tuple(values), summary))
        return lambda declaration: declaration

    def op(
        self,
        name: str,
        *,
        python_name: str = "",
        operands: Iterable[OperandDef] = (),
        results: Iterable[ResultDef] = (),
        attributes: Iterable[OpAttributeDef] = (),
        assembly: str = "functional",
        summary: str = "",
    ) -> Callable[[Declaration], Declaration]:
        """Declares an operation by decorating what stands for it in Python."""
        own_name = python_name or name.replace(".", "_")
        self.add_op(OpDef(name, own_name, tuple(operands), tuple(results), tuple(attributes), assembly, summary))
        return lambda declaration: declaration

    def op_by_python_name(self, name: str) -> OpDef:
        """The operation that the builder calls `name`. AttributeError for an unknown one."""
        for definition in self.ops.values():
            if definition.python_name == name:
                return definition
        raise AttributeError(f"{self.namespace} has no operation {name}")

    def qualified_op_name(self, name: str) -> str:
        """`namespace.name`. KeyError for an unknown operation."""
        return f"{self.namespace}.{self.ops[name].name}"

    def resolve_qualified_op(self, name: str) -> OpDef:
        """The operation of a name with its namespace. KeyError for an unknown one."""
        prefix = self.namespace + "."
        if not name.startswith(prefix):
            raise KeyError(name)
        return self.ops[name[len(prefix) :]]

    def resolve_op(self, name: str) -> OpDef:
        """The operation of a name with or without its namespace. KeyError for an unknown one."""
        return self.ops[name] if name in self.ops else self.resolve_qualified_op(name)

    def iter_ops(self) -> Iterator[OpDef]:
        """The operations in the order of their declaration."""
        return iter(self.ops.values())


def type_param(name: str, kind: str) -> TypeParameter:
    """A parameter of a type."""
    return TypeParameter(name, kind)


def attr_param(name: str, kind: str) -> AttrParameter:
    """A parameter of an attribute."""
    return AttrParameter(name, kind)


def operand(name: str, type: str, *, kind: str = "ssa", required: bool = True) -> OperandDef:
    """An operand of an operation."""
    return OperandDef(name, type, kind, required)


def result(name: str, type: str) -> ResultDef:
    """A result of an operation."""
    return ResultDef(name, type)


def op_attr(name: str, kind: str, *, required: bool = True) -> OpAttributeDef:
    """An attribute of an operation."""
    return OpAttributeDef(name, kind, required)


def schema_digest(schema: DialectSchema) -> Mapping[str, Tuple[str, ...]]:
    """The names of a dialect: `{"types": ..., "attrs": ..., "ops": ...}`."""
    return {"types": tuple(schema.types), "attrs": tuple(schema.attrs), "ops": tuple(schema.ops)}


def schema_text(schema: DialectSchema) -> str:
    """All declarations as compact JSON with sorted keys."""
    return json.dumps(asdict(schema), sort_keys=True, separators=(",", ":"))


def text_fingerprint(schema: DialectSchema) -> str:
    """SHA-256 of `schema_text`."""
    return hashlib.sha256(schema_text(schema).encode()).hexdigest()
