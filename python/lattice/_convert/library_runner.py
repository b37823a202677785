"""Runs artifacts in this process, with the package's own library: for `lattice.convert`, which needs no program."""

from __future__ import annotations

import array
from typing import Any, Dict, Mapping, Tuple

from ..artifact import load_lattice_program
from ..core.sparse import SparseTensor
from .torch_checkpoint import Refused, Tensor

TYPES = {"f": "float32", "i": "int32"}


def _tensor(values: Any, typecode: str) -> Tensor:
    """What the library gave, as the replay reads tensors."""
    memory: Any = memoryview(values)
    held: "array.array[Any]" = array.array(typecode, memory.tobytes())
    return Tensor(TYPES[typecode], tuple(memory.shape), lambda: held)


def _parts(name: str, value: Any) -> Dict[str, Tensor]:
    """An output in the form that `lattice run` writes: coordinates in steps of the input."""
    if not isinstance(value, SparseTensor):
        return {name: _tensor(value, "f")}
    steps = tuple(int(step) for step in value.stride)
    coords = _tensor(value.coords, "i")
    rows = coords.values()
    for axis, step in enumerate(steps):
        for at in range(axis + 1, len(rows), 4):
            rows[at] *= step
    stride: "array.array[Any]" = array.array("i", steps)
    return {
        f"{name}.coords": coords,
        f"{name}.features": _tensor(value.feats, "f"),
        f"{name}.stride": Tensor("int32", (3,), lambda: stride),
    }


def _shaped(values: Any, shape: Tuple[int, ...]) -> Any:
    memory: Any = memoryview(values).cast("B")
    return memory.cast(values.typecode, shape)


def run_in_library(folder: str, inputs: Dict[str, Tuple[Tuple[int, ...], "array.array[Any]"]]) -> Mapping[str, Tensor]:
    """Runs the artifact in `folder`. Raises Refused where the library does."""
    arrays = {name: _shaped(values, shape) for name, (shape, values) in inputs.items()}
    try:
        program = load_lattice_program(folder)
        found = program(**arrays)
    except (ValueError, RuntimeError) as error:
        raise Refused(f"replay: {error}") from None
    values = found if isinstance(found, tuple) else (found,)
    results: Dict[str, Tensor] = {}
    for output, value in zip(program.plan.outputs, values):
        results.update(_parts(output.abi_name, value))
    return results
