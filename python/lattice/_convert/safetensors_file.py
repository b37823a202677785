"""Safetensors files with the standard library alone."""

from __future__ import annotations

import array
import json
import os
import struct
import sys
from typing import Any, Dict, Mapping, Sequence, Tuple

from .torch_checkpoint import ITEMS, Refused, Tensor, count_of, decode

DTYPES = {
    "F32": "float32",
    "F64": "float64",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
CODES = {"f": "F32", "i": "I32"}
MOST_HEADER_BYTES = 100_000_000


def read_safetensors(path: str) -> Dict[str, Tensor]:
    """{name: Tensor}. Raises Refused or OSError."""
    total = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(MOST_HEADER_BYTES, total - 8):
            raise Refused(f"{path}: no safetensors file: header of {length} bytes in a file of {total}")
        try:
            header = json.loads(file.read(length).decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise Refused(f"{path}: header: {error}") from None
    if not isinstance(header, dict):
        raise Refused(f"{path}: header is no object")
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            tensors[name] = _tensor(path, name, entry, 8 + length, total)
    return tensors


def _tensor(path: str, name: str, entry: Any, start: int, total: int) -> Tensor:
    try:
        dtype, shape, (begin, end) = DTYPES.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
        whole = all(isinstance(number, int) and number >= 0 for number in [*shape, begin, end])
    except (TypeError, KeyError, ValueError):
        raise Refused(f"{path}: {name}: dtype, shape or data_offsets missing") from None
    if dtype is None:
        raise Refused(f"{path}: {name}: dtype {entry['dtype']}, expected one of {', '.join(DTYPES)}")
    if not whole or end - begin != count_of(shape) * ITEMS[dtype][0] or start + end > total:
        raise Refused(f"{path}: {name}: data_offsets {[begin, end]} do not match {dtype} {shape} in {total} bytes")

    def load() -> "array.array[Any]":
        with open(path, "rb") as file:
            file.seek(start + begin)
            return decode(dtype, file.read(end - begin))

    return Tensor(dtype, shape, load)


def write_safetensors(path: str, tensors: Mapping[str, Tuple[Sequence[int], "array.array[Any]"]]) -> None:
    """Writes float32 ('f') and int32 ('i') arrays with their shapes; the file appears when it is complete."""
    header: Dict[str, Any] = {}
    offset = 0
    for name, (shape, values) in tensors.items():
        size = 4 * len(values)
        header[name] = {"dtype": CODES[values.typecode], "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".part", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, values in tensors.values():
            if sys.byteorder == "big":
                values = values[:]
                values.byteswap()
            file.write(values.tobytes())
    os.replace(path + ".part", path)
