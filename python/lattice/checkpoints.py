"""`lattice.convert`: checkpoints of other libraries as artifacts (docs/converting.md)."""
from __future__ import annotations

import json
import os
from typing import Any, Dict, Mapping, Optional, Union

from ._convert import Conversion, Refused, read_checkpoint
from ._convert import convert as _convert
from ._convert.library_runner import run_in_library

Path = Union[str, "os.PathLike[str]"]


def _described(description: Union[Path, Mapping[str, Any]], source: Optional[str]) -> Dict[str, Any]:
    if not isinstance(description, Mapping):
        with open(description, encoding="utf-8") as file:
            description = json.load(file)
    if not isinstance(description, Mapping):
        raise Refused("description: expected an object")
    found = dict(description)
    if source is not None and found.setdefault("library", source) != source:
        raise Refused(f"convert: source: got {source}, but the description says {found['library']}")
    return found


def convert(
    path: Path,
    description: Union[Path, Mapping[str, Any]],
    source: Optional[str] = None,
    out: Optional[Path] = None,
    *,
    replay: bool = True,
    recorded: Optional[Path] = None,
    tolerance: float = 1e-5,
) -> Conversion:
    """Converts the checkpoint at `path` (.pt, .pth or .safetensors) into the artifact `out`, and proves it first.

    Tensors alone are read: the pickle of a .pt file is walked and never run. The replay computes the golden cloud with this
    library and with a dense reference that reads the checkpoint's own numbers.

    description: a dictionary, or a JSON file: what a state dict does not say.
    source: "spconv1", "spconv2", "spconv2-rskc", "minkowski", "torchsparse" or "torch-lattice", where the description does
        not say `library`.
    out: folder of the artifact; None writes nothing.
    recorded: a safetensors file of a run of the other library, which is replayed too.
    tolerance: largest error over the largest value.

    Returns what was converted: `.graph`, `.layers`, and `.errors` of the replay by layer.
    Raises ValueError with what is wrong (a tensor, a field of the description, a replay above the tolerance), and OSError.
    """
    described = _described(description, source)
    if recorded is not None and not replay:
        raise Refused("convert: recorded: got a file and replay=False, expected a replay")
    key = described.get("state_dict")
    tensors = read_checkpoint(os.fspath(path), key if isinstance(key, str) else None)
    return _convert(
        tensors,
        described,
        None if out is None else os.fspath(out),
        run_in_library if replay else None,
        tolerance,
        None if recorded is None else os.fspath(recorded),
    )
