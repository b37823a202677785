"""Artifacts: a folder with `graph.mlir` and `weights.safetensors` (semantics 12).

Bundles can be read and written. Validating and running graphs needs the artifact reader of the C library, which this
version of the package does not call yet: those functions raise RuntimeError.
"""
from __future__ import annotations

import json
import os
import re
import struct
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, NoReturn, Optional, Tuple, Union

from .._arrays import CODES, NAMES, Library, library, library_of, make_view, view_bytes, view_shape
from .._library import check, ffi, lib

GRAPH_FILE = "graph.mlir"
WEIGHT_FILE = "weights.safetensors"

_TYPES = {
    "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint32": "U32", "int16": "I16",
}  # fmt: skip
_NAMES = {short: name for name, short in _TYPES.items()}
_MOST_HEADER_BYTES = 100 << 20


@dataclass(frozen=True)
class LatticeArtifact:
    """Graph text and weights by their storage keys."""

    graph: str
    weights: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LatticeMLIRStatus:
    """Whether a graph is valid, and what is wrong with it."""

    valid: bool
    diagnostics: str = ""


@dataclass(frozen=True)
class PlanArgument:
    """An argument of a plan."""

    name: str
    abi_name: str
    type: str
    role: str


@dataclass(frozen=True)
class PlanOutput:
    """A result of a plan."""

    name: str
    abi_name: str
    type: str
    role: str


@dataclass(frozen=True)
class PlanOperation:
    """An operation of a plan."""

    name: str
    definition: Any
    operands: Tuple[str, ...]
    results: Tuple[str, ...]
    attrs: Mapping[str, Any]
    operand_types: Tuple[str, ...] = ()
    result_types: Tuple[str, ...] = ()


class RuntimePlan:
    """A checked plan of a graph. Not available in this version."""

    @classmethod
    def from_native(cls, raw: Mapping[str, Any]) -> "RuntimePlan":
        _unavailable()


class LatticeProgram:
    """A program that runs a plan. Not available in this version."""

    def __init__(self, plan: RuntimePlan, weights: Mapping[str, Any]) -> None:
        _unavailable()


def _unavailable() -> NoReturn:
    raise RuntimeError("artifact: running and checking graphs needs an MLIR-enabled library, which this version is not")


def write_safetensors(path: Union[str, os.PathLike], arrays: Mapping[str, Any]) -> None:
    """Writes arrays of any library."""
    header: Dict[str, Any] = {}
    parts, at = [], 0
    for name in sorted(arrays):
        of = library_of(arrays[name], name)
        view, keep = of.view(of.detach(arrays[name]))
        n = view_bytes(view)
        data = bytearray(n)
        if n:
            check(lib.lat_array_copy_to(view, ffi.from_buffer(data), n))
        del keep
        shape = list(view_shape(view))
        header[name] = {"dtype": _TYPES[NAMES[view.dtype]], "shape": shape, "data_offsets": [at, at + n]}
        parts.append(data)
        at += n
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for data in parts:
            file.write(data)


def read_safetensors(path: Union[str, os.PathLike], of: Library) -> Dict[str, Any]:
    """Reads a safetensors file into arrays of a library. ValueError for a malformed file."""
    with open(path, "rb") as file:
        content = file.read()

    def bad(what: str) -> NoReturn:
        raise ValueError(f"safetensors: {path}: {what}")

    if len(content) < 8:
        bad(f"truncated: got {len(content)} bytes, expected a header")
    (length,) = struct.unpack("<Q", content[:8])
    if length > min(len(content) - 8, _MOST_HEADER_BYTES):
        bad(f"header length: got {length}, expected at most {len(content) - 8}")
    try:
        header = json.loads(content[8 : 8 + length])
    except ValueError as error:
        bad(f"header is no JSON: {error}")
    if not isinstance(header, dict):
        bad("header is no JSON object")
    body = memoryview(content)[8 + length :]
    found = {}
    for name, facts in header.items():
        if name == "__metadata__":
            continue
        try:
            kind, shape, (start, end) = facts["dtype"], tuple(int(n) for n in facts["shape"]), facts["data_offsets"]
        except (TypeError, KeyError, ValueError):
            bad(f"entry {name}: expected dtype, shape and data_offsets")
        if kind not in _NAMES:
            bad(f"entry {name}: dtype: got {kind}, expected one of {', '.join(_NAMES)}")
        code = CODES[_NAMES[kind]]
        view = make_view(ffi.NULL, code, shape)
        if min(shape, default=0) < 0 or not 0 <= start <= end <= len(body) or end - start != view_bytes(view):
            bad(f"entry {name}: offsets {start} to {end} do not fit shape {shape} and the file")
        data = ffi.new("char[]", max(end - start, 1))
        ffi.memmove(data, bytes(body[start:end]), end - start)
        view.data = data
        found[name] = of.borrow(view, data)
    return found


def save_lattice_artifact(path: Union[str, os.PathLike], graph: str, weights: Optional[Mapping[str, Any]] = None) -> None:
    """Writes a bundle: creates the folder and its two files."""
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, GRAPH_FILE), "w", encoding="utf-8") as file:
        file.write(graph)
    write_safetensors(os.path.join(path, WEIGHT_FILE), weights or {})


def load_lattice_artifact(path: Union[str, os.PathLike], *, arrays: str = "numpy") -> LatticeArtifact:
    """Reads a bundle; the weights become arrays of `arrays` ("numpy", "torch", "mlx")."""
    if not os.path.isdir(path):
        raise ValueError(f"lattice artifact directory does not exist: got {path}")
    for name in (GRAPH_FILE, WEIGHT_FILE):
        if not os.path.isfile(os.path.join(path, name)):
            raise ValueError(f"lattice artifact is missing {name}: in {path}")
    with open(os.path.join(path, GRAPH_FILE), encoding="utf-8") as file:
        graph = file.read()
    return LatticeArtifact(graph, read_safetensors(os.path.join(path, WEIGHT_FILE), library(arrays)))


def lattice_graph_operation_names(graph: str) -> Tuple[str, ...]:
    """Names of the operations of a graph, in order."""
    text = re.sub(r"//[^\n]*", "", graph)
    return tuple(re.findall(r"=\s*(lattice\.[a-z_0-9.]+)", text[text.find("func.func") :]))


def lattice_graph_status(graph: str, *, lattice_opt: Any = None) -> LatticeMLIRStatus:
    """Whether a graph is valid."""
    _unavailable()


def validate_lattice_graph(graph: str, *, lattice_opt: Any = None) -> None:
    """Raises ValueError with the diagnostics of a graph that is not valid."""
    _unavailable()


def lattice_artifact_status(artifact: Any) -> LatticeMLIRStatus:
    """Whether an artifact, or the bundle at a path, is valid."""
    _unavailable()


def validate_lattice_artifact(artifact: Any) -> None:
    """Raises ValueError for an artifact that is not valid."""
    _unavailable()


def native_artifact_execution_available() -> bool:
    """Whether artifacts can be run."""
    return False


def compile_lattice_artifact(artifact: LatticeArtifact) -> LatticeProgram:
    """A program of an artifact."""
    _unavailable()


def load_lattice_program(path: Union[str, os.PathLike]) -> LatticeProgram:
    """A program of the bundle at a path."""
    _unavailable()


__all__ = [
    "LatticeArtifact", "LatticeMLIRStatus", "LatticeProgram", "PlanArgument", "PlanOperation", "PlanOutput",
    "RuntimePlan", "compile_lattice_artifact", "lattice_artifact_status", "lattice_graph_operation_names",
    "lattice_graph_status", "load_lattice_artifact", "load_lattice_program", "native_artifact_execution_available",
    "save_lattice_artifact", "validate_lattice_artifact", "validate_lattice_graph",
]  # fmt: skip
