"""Artifacts: a folder with `graph.mlir` and `weights.safetensors` (semantics 12): read, write, check, run."""
from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from .._arrays import Library, Views, common_library, library, library_of
from .._library import NULL, check, context, ffi, lib, options
from .._progress import tracked
from ..core.manager import CoordinateManager
from ..core.sparse import Batch, SparseTensor, c_tensor, make
from .runtime_plan import PlanArgument, PlanOperation, PlanOutput, RuntimePlan, graph_operations, parse_graph, text_of

GRAPH_FILE = "graph.mlir"
WEIGHT_FILE = "weights.safetensors"
Path = Union[str, "os.PathLike[str]"]


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


def _load(path: Path) -> Any:
    out = ffi.new("lat_model **")
    try:
        check(lib.lat_model_load(context(), os.fspath(path).encode(), NULL, out))
    except OSError as error:  # the original's exception for a bundle that is not there
        raise ValueError(str(error)) from None
    return ffi.gc(out[0], lib.lat_model_release)


def _model(artifact: Union[LatticeArtifact, Path]) -> Any:
    if not isinstance(artifact, LatticeArtifact):
        return _load(artifact)
    with tempfile.TemporaryDirectory() as folder:
        save_lattice_artifact(folder, artifact.graph, artifact.weights)
        return _load(folder)  # its file stays mapped


def write_safetensors(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes arrays of any library to a safetensors file."""
    kept: List[Any] = []
    named = ffi.new("lat_named_array[]", max(len(arrays), 1))
    for entry, (name, array) in zip(named, sorted(arrays.items())):
        of = library_of(array, name)
        views = Views(of)
        text = ffi.new("char[]", name.encode())
        entry.name, entry.array = text, views(of.detach(array))[0]
        kept.extend((views, text))
    check(lib.lat_safetensors_write(context(), os.fspath(path).encode(), named, len(arrays)))
    del kept


def read_safetensors(path: Path, of: Union[Library, str] = "numpy") -> Dict[str, Any]:
    """Reads a safetensors file into arrays of a library. ValueError for a malformed file."""
    target = library(of) if isinstance(of, str) else of
    out = ffi.new("lat_safetensors **")
    check(lib.lat_safetensors_open(context(), os.fspath(path).encode(), out))
    file = ffi.gc(out[0], lib.lat_safetensors_release)
    found = {}
    for i in range(lib.lat_safetensors_count(file)):
        view = ffi.new("lat_array_view *", lib.lat_array_as_view(lib.lat_safetensors_array(file, i)))
        copy = ffi.new("lat_array **")
        check(lib.lat_array_create(context(), view, copy))
        found[text_of(lib.lat_safetensors_name(file, i))] = target.take(copy[0])
    return found


def save_lattice_artifact(path: Path, graph: str, weights: Optional[Mapping[str, Any]] = None) -> None:
    """Writes a bundle: creates the folder and its two files."""
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, GRAPH_FILE), "w", encoding="utf-8") as file:
        file.write(graph)
    write_safetensors(os.path.join(path, WEIGHT_FILE), weights or {})


def load_lattice_artifact(path: Path, *, arrays: str = "numpy") -> LatticeArtifact:
    """Reads a bundle; the weights become arrays of `arrays` ("numpy", "torch", "mlx")."""
    if not os.path.isdir(path):
        raise ValueError(f"lattice artifact directory does not exist: got {path}")
    for name in (GRAPH_FILE, WEIGHT_FILE):
        if not os.path.isfile(os.path.join(path, name)):
            raise ValueError(f"lattice artifact is missing {name}: in {path}")
    with open(os.path.join(path, GRAPH_FILE), encoding="utf-8") as file:
        graph = file.read()
    return LatticeArtifact(graph, read_safetensors(os.path.join(path, WEIGHT_FILE), arrays))


def lattice_graph_operation_names(graph: str) -> Tuple[str, ...]:
    """Names of the operations of a graph, in order. ValueError for a graph that is not valid."""
    return tuple(name for name, _ in graph_operations(parse_graph(graph)))


def lattice_graph_status(graph: str, *, lattice_opt: Any = None) -> LatticeMLIRStatus:
    """Whether a graph is valid. `lattice_opt` is not needed here."""
    try:
        parse_graph(graph)
    except ValueError as error:
        return LatticeMLIRStatus(False, str(error))
    return LatticeMLIRStatus(True)


def validate_lattice_graph(graph: str, *, lattice_opt: Any = None) -> None:
    """Raises ValueError with the diagnostics of a graph that is not valid."""
    parse_graph(graph)


def lattice_artifact_status(artifact: Union[LatticeArtifact, Path]) -> LatticeMLIRStatus:
    """Whether an artifact, or the bundle at a path, is valid."""
    try:
        _model(artifact)
    except ValueError as error:
        return LatticeMLIRStatus(False, str(error))
    return LatticeMLIRStatus(True)


def validate_lattice_artifact(artifact: Union[LatticeArtifact, Path]) -> None:
    """Raises ValueError for an artifact, or a bundle at a path, that is not valid."""
    _model(artifact)


def native_artifact_execution_available() -> bool:
    """Whether artifacts can be run."""
    return True


class _Session(threading.local):
    """The calling thread's session: it keeps the coordinate sets of equal inputs. It ends before its context."""

    handle: Any = None
    context: Any = None

    def end(self) -> None:
        handle, self.handle = self.handle, None
        if handle is not None:
            lib.lat_session_destroy(handle)

    __del__ = end


class LatticeProgram:
    """An artifact that can be called (semantics 12.6).

    Arrays by position in the order of `plan.args`, or by name; or a SparseTensor for each group of
    `<name>_coords, <name>_features, <name>_active`. One result comes as it is, several as a tuple.

    coords: "physical" (multiples of the stride) or "logical": what coordinate arrays that come in are.
    """

    def __init__(self, plan: RuntimePlan, weights: Mapping[str, Any], *, coords: str = "physical") -> None:
        if not isinstance(plan, RuntimePlan):
            raise TypeError(f"LatticeProgram: plan has the wrong class: got {type(plan).__name__}, expected RuntimePlan")
        if not plan.graph:
            raise RuntimeError("LatticeProgram: the plan has no graph to run: its operations do not say their types")
        self._build(_model(LatticeArtifact(plan.graph, dict(weights))), plan, coords)

    @classmethod
    def _of(cls, model: Any, plan: RuntimePlan, coords: str) -> "LatticeProgram":
        made = cls.__new__(cls)
        made._build(model, plan, coords)
        return made

    def _build(self, model: Any, plan: RuntimePlan, coords: str) -> None:
        if coords not in ("physical", "logical"):
            raise ValueError(f"LatticeProgram: coords: got {coords!r}, expected 'physical' or 'logical'")
        out = ffi.new("lat_program **")
        check(lib.lat_model_compile(context(), model, NULL, out))
        self.plan = plan
        self.coords = coords
        self._program = ffi.gc(out[0], lib.lat_program_release)
        self._session = _Session()
        self._groups = _groups(plan)

    def __repr__(self) -> str:
        return f"LatticeProgram({len(self.plan.ops)} operations, {', '.join(self._groups)} -> {', '.join(o.abi_name for o in self.plan.outputs)})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(self._inputs(args, kwargs))

    def map(self, inputs: Iterable[Any], *, progress: bool = False) -> Iterator[Any]:
        """The results of many inputs, one after the other; an input is one argument, a tuple of them, or a dictionary by name.

        progress: shows a bar of tqdm, RuntimeError where that is not installed.
        """
        for item in tracked(inputs, progress, "LatticeProgram.map"):
            if isinstance(item, Mapping):
                yield self(**item)
            else:
                yield self(*item) if isinstance(item, tuple) else self(item)

    def _inputs(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Dict[str, Any]:
        if any(isinstance(value, SparseTensor) for value in (*args, *kwargs.values())):
            return self._shorthand(args, kwargs)
        return self._components(args, kwargs)

    def _components(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Dict[str, Any]:
        names = [argument.abi_name for argument in self.plan.args]
        return _assign(names, args, kwargs)

    def _shorthand(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Dict[str, Any]:
        parts = {name for members in self._groups.values() if len(members) == 3 for name in members}
        mixed = sorted(parts.intersection(kwargs) - set(self._groups))
        if mixed:
            raise ValueError(f"SparseTensor inputs cannot be combined with their parts: got {', '.join(mixed)}")
        found = _assign(list(self._groups), args, kwargs)
        for name, value in found.items():
            if isinstance(value, SparseTensor) != (len(self._groups[name]) == 3):
                raise ValueError(f"SparseTensor shorthand requires a SparseTensor for each sparse input and an array for others: got {name}")
        return found

    def _run(self, inputs: Mapping[str, Any]) -> Any:
        bindings, n, of, kept = bound(inputs)
        session, current = self._session, context()
        if session.context is not current:  # the first run of this thread, or the first after lattice.set_options
            session.end()
            session.context, out = current, ffi.new("lat_session **")
            check(lib.lat_session_create(session.context, self._program, out))
            session.handle = out[0]
        results = ffi.new("lat_results **")
        opts = options("lat_run_opts", logical_coords=int(self.coords == "logical"))
        check(lib.lat_session_run(session.handle, bindings, n, opts, results))
        del kept
        held = ffi.gc(results[0], lib.lat_results_release)
        found = tuple(_output(held, of, i) for i in range(lib.lat_results_count(held)))
        return found[0] if len(found) == 1 else found


def bound(inputs: Mapping[str, Any]) -> Tuple[Any, int, Library, Any]:
    """`lat_binding[]` of named inputs, their number and library, and what keeps their memory alive."""
    first = [value._feats if isinstance(value, SparseTensor) else value for value in inputs.values()]
    of = common_library("artifact inputs", *first) if first else library("numpy")
    views = Views(of)
    kept: List[Any] = [views]
    bindings = ffi.new("lat_binding[]", max(len(inputs), 1))
    for binding, (name, value) in zip(bindings, inputs.items()):
        text = ffi.new("char[]", name.encode())
        kept.append(text)
        binding.name = text
        if isinstance(value, SparseTensor):
            handle, keep = c_tensor(value, of.detach(value._feats))
            kept.extend((handle, keep))
            binding.tensor = handle
        else:
            binding.array = views(of.detach(value))
    return bindings, len(inputs), of, kept


def _output(results: Any, of: Library, index: int) -> Any:
    name = lib.lat_results_name(results, index)
    tensor = lib.lat_results_tensor(results, name)
    if tensor == NULL:
        return of.take(lib.lat_array_retain(lib.lat_results_array(results, name)))
    manager = CoordinateManager()
    manager._library = of
    entry = manager._of_set(lib.lat_tensor_coords(tensor))
    size = int(lib.lat_tensor_batch_size(tensor))
    counts = lib.lat_tensor_batch_counts(tensor)
    declared = None if counts == NULL or size < 0 else tuple(ffi.unpack(counts, size)) if size else ()
    feats = of.take(lib.lat_array_retain(lib.lat_tensor_feats_array(tensor)))
    return make(feats, entry, manager, Batch(declared, size), of)


def _groups(plan: RuntimePlan) -> Dict[str, Tuple[str, ...]]:
    """Logical inputs: three arguments in a row that are the parts of one sparse input, or one argument."""
    names = [argument.abi_name for argument in plan.args]
    roles = [argument.role for argument in plan.args]
    found: Dict[str, Tuple[str, ...]] = {}
    at = 0
    while at < len(names):
        if roles[at : at + 3] == ["sparse_coords", "sparse_features", "sparse_active"]:
            stem = names[at][: -len("_coords")] if names[at].endswith("_coords") else "input"
            found[stem] = tuple(names[at : at + 3])
            at += 3
        else:
            found[names[at]] = (names[at],)
            at += 1
    return found


def _assign(names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Dict[str, Any]:
    if len(args) > len(names):
        raise ValueError(f"artifact: too many positional inputs: got {len(args)}, expected at most {len(names)}")
    found = dict(zip(names, args))
    unknown = sorted(name for name in kwargs if name not in names or name in found)
    if unknown:
        raise ValueError(f"unexpected artifact inputs: {', '.join(unknown)}")
    found.update(kwargs)
    for name in names:
        if name not in found:
            raise ValueError(f"missing artifact input: {name}")
    for name, value in found.items():
        if not isinstance(value, SparseTensor):
            library_of(value, f"artifact inputs: {name}")
    return found


def compile_lattice_artifact(artifact: LatticeArtifact, *, coords: str = "physical") -> LatticeProgram:
    """A program of an artifact."""
    return LatticeProgram._of(_model(artifact), RuntimePlan(artifact.graph), coords)


def load_lattice_program(path: Path, *, coords: str = "physical") -> LatticeProgram:
    """A program of the bundle at a path."""
    model = _load(path)
    with open(os.path.join(path, GRAPH_FILE), encoding="utf-8") as file:
        return LatticeProgram._of(model, RuntimePlan(file.read()), coords)


__all__ = [
    "LatticeArtifact", "LatticeMLIRStatus", "LatticeProgram", "PlanArgument", "PlanOperation", "PlanOutput",
    "RuntimePlan", "compile_lattice_artifact", "lattice_artifact_status", "lattice_graph_operation_names",
    "lattice_graph_status", "load_lattice_artifact", "load_lattice_program", "native_artifact_execution_available",
    "save_lattice_artifact", "validate_lattice_artifact", "validate_lattice_graph",
]  # fmt: skip
