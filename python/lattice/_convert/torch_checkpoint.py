"""Tensors of a PyTorch checkpoint (zip form, PyTorch 1.6 and later) without PyTorch and without running its pickle.

A checkpoint is a zip file with `data.pkl` and one file of raw numbers per storage. The pickle is walked opcode by
opcode by a small interpreter that knows dictionaries, lists, tuples, numbers, texts and torch's tensor records.
Nothing that the pickle names is ever imported or called; what is not on the list below is refused.
"""

from __future__ import annotations

import array
import os
import pickletools
import struct
import sys
import zipfile
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

MOST_PICKLE_BYTES = 64 << 20
MOST_ELEMENTS = 1 << 31

# dtype: bytes of an element, letter of struct
ITEMS = {
    "float32": (4, "f"),
    "float64": (8, "d"),
    "float16": (2, "e"),
    "bfloat16": (2, "H"),
    "int64": (8, "q"),
    "int32": (4, "i"),
    "int16": (2, "h"),
    "int8": (1, "b"),
    "uint8": (1, "B"),
    "bool": (1, "B"),
}
STORAGES = {
    "torch FloatStorage": "float32",
    "torch DoubleStorage": "float64",
    "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "int64",
    "torch IntStorage": "int32",
    "torch ShortStorage": "int16",
    "torch CharStorage": "int8",
    "torch ByteStorage": "uint8",
    "torch BoolStorage": "bool",
}
REBUILD = "torch._utils _rebuild_tensor_v2"
PARAMETER = "torch._utils _rebuild_parameter"
DICTIONARY = "collections OrderedDict"
SIZE = "torch Size"
# Records that training scripts leave beside the tensors. They are read past, never made.
INERT = {
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "numpy dtype",
    "_codecs encode",
    "torch device",
    "collections defaultdict",
    "collections Counter",
    "builtins set",
}
TENSOR_FOLDERS = ("state_dict", "model_state", "model_state_dict", "model", "net", "network")


class Refused(ValueError):
    """The input is not what it should be; the text says what is wrong."""


class _Global:
    def __init__(self, name: str) -> None:
        self.name = name


class _Opaque:
    """Stands for a value that nobody needs."""


class _Storage:
    def __init__(self, dtype: str, key: str, count: int) -> None:
        self.dtype, self.key, self.count = dtype, key, count


class Tensor:
    """A tensor of a checkpoint; its numbers are read when they are asked for."""

    def __init__(self, dtype: str, shape: Sequence[int], load: Callable[[], "array.array[Any]"]) -> None:
        self.dtype = dtype
        self.shape = tuple(shape)
        self._load = load

    def values(self) -> "array.array[Any]":
        """Numbers in row-major order: floats as float32 (float64 stays), integers in their own size."""
        return self._load()


def count_of(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def gather(values: "array.array[Any]", offset: int, shape: Sequence[int], strides: Sequence[int]) -> "array.array[Any]":
    """Numbers at offset + sum(index * stride), row-major over `shape`."""
    out: "array.array[Any]" = array.array(values.typecode)
    if count_of(shape) == 0:
        return out
    if not shape:
        return values[offset : offset + 1]
    index, last, step = [0] * (len(shape) - 1), shape[-1], strides[-1]
    start = offset
    while True:
        out.extend(
            values[start : start + 1] * last if step == 0 else values[start : start + (last - 1) * step + 1 : step]
        )
        axis = len(index) - 1
        while axis >= 0:
            index[axis] += 1
            start += strides[axis]
            if index[axis] < shape[axis]:
                break
            start -= index[axis] * strides[axis]
            index[axis] = 0
            axis -= 1
        if axis < 0:
            return out


def decode(dtype: str, data: bytes) -> "array.array[Any]":
    """Little-endian numbers as an array; float16 and bfloat16 become float32, which holds each of them."""
    size, letter = ITEMS[dtype]
    count = len(data) // size
    if dtype == "float16":
        return array.array("f", struct.unpack(f"<{count}e", data))
    if dtype == "bfloat16":
        wide = bytearray(4 * count)
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        data, letter = bytes(wide), "f"
    values: "array.array[Any]" = array.array(letter)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


class _Pickle:
    """The interpreter: a stack, marks into it, and what was memorized."""

    def __init__(self, make_tensor: Callable[[_Storage, int, Tuple[int, ...], Tuple[int, ...]], Tensor]) -> None:
        self.stack: List[Any] = []
        self.marks: List[int] = []
        self.memo: Dict[int, Any] = {}
        self.make_tensor = make_tensor

    def since_mark(self) -> List[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def add_global(self, name: str, position: int) -> None:
        if name not in STORAGES and name not in INERT and name not in (REBUILD, PARAMETER, DICTIONARY, SIZE):
            raise Refused(f"the pickle names '{name}', which is no tensor record (byte {position})")
        self.stack.append(_Global(name))

    def storage(self) -> None:
        record = self.stack.pop()
        if (
            not isinstance(record, tuple)
            or len(record) < 5
            or record[0] != "storage"
            or not isinstance(record[1], _Global)
        ):
            raise Refused("the pickle has a persistent record that is no storage")
        kind, key, count = record[1].name, record[2], record[4]
        if kind not in STORAGES:
            raise Refused(f"storage of kind '{kind}', expected one of {', '.join(sorted(STORAGES))}")
        if not isinstance(key, str) or not isinstance(count, int) or "/" in key or "\\" in key:
            raise Refused("the pickle has a storage without a plain name and size")
        self.stack.append(_Storage(STORAGES[kind], key, count))

    def reduce(self, position: int) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise Refused(f"the pickle would call something it made (byte {position})")
        name = function.name
        if name == DICTIONARY and not arguments:
            self.stack.append({})
        elif name == REBUILD and len(arguments) >= 4 and isinstance(arguments[0], _Storage):
            self.stack.append(self.make_tensor(*arguments[:4]))
        elif name == PARAMETER and arguments and isinstance(arguments[0], Tensor):
            self.stack.append(arguments[0])
        elif name == SIZE and len(arguments) == 1 and isinstance(arguments[0], (list, tuple)):
            self.stack.append(tuple(arguments[0]))
        elif name in INERT:
            self.stack.append(_Opaque())
        else:
            raise Refused(f"the pickle calls '{name}' in a way that no tensor needs (byte {position})")

    def set_items(self, items: List[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, _Opaque):
            return
        if not isinstance(target, dict) or len(items) % 2:
            raise Refused("the pickle sets items of something that is no dictionary")
        for key, value in zip(items[::2], items[1::2]):
            if not isinstance(key, (str, int, float)):
                raise Refused("a dictionary of the pickle has a key that is neither text nor number")
            target[key] = value

    def append(self, items: List[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], _Opaque):
            raise Refused("the pickle appends to something that is no list")

    def step(self, name: str, arg: Any, position: int) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            pass
        elif name == "GLOBAL":
            self.add_global(arg, position)
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            self.add_global(
                f"{module} {attribute}" if isinstance(module, str) and isinstance(attribute, str) else "?", position
            )
        elif name in (
            "BINUNICODE",
            "SHORT_BINUNICODE",
            "BINUNICODE8",
            "BININT",
            "BININT1",
            "BININT2",
            "LONG1",
            "LONG4",
            "BINFLOAT",
            "SHORT_BINBYTES",
            "BINBYTES",
            "SHORT_BINSTRING",
            "BINSTRING",
        ):
            stack.append(arg)
        elif name in ("NEWTRUE", "NEWFALSE", "NONE"):
            stack.append({"NEWTRUE": True, "NEWFALSE": False, "NONE": None}[name])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(self.since_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(stack) < count:
                raise IndexError
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("EMPTY_DICT", "EMPTY_TUPLE", "EMPTY_LIST"):
            stack.append({"EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_LIST": list}[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else arg] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[arg])
        elif name == "BINPERSID":
            self.storage()
        elif name == "REDUCE":
            self.reduce(position)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self.set_items([key, value])
        elif name == "SETITEMS":
            self.set_items(self.since_mark())
        elif name == "APPEND":
            item = stack.pop()
            self.append([item])
        elif name == "APPENDS":
            self.append(self.since_mark())
        elif name == "BUILD":
            stack.pop()  # attributes of a dictionary (_metadata): nobody needs them
            if not isinstance(stack[-1], (dict, _Opaque)):
                raise Refused(f"the pickle gives attributes to something that is no dictionary (byte {position})")
        else:
            raise Refused(f"the pickle uses {name}, which a dictionary of tensors does not need (byte {position})")

    def run(self, data: bytes) -> Any:
        try:
            for op, arg, position in pickletools.genops(data):
                if op.name == "STOP":
                    return self.stack.pop()
                self.step(op.name, arg, position or 0)
        except (
            ValueError,
            IndexError,
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
            EOFError,
            UnicodeError,
        ) as error:
            raise Refused(f"the pickle is damaged: {error or type(error).__name__}") from None
        raise Refused("the pickle has no end")


class _Archive:
    """The zip file: its one folder, its storages by key."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.archive = zipfile.ZipFile(path)  # kept open: tensors are read when they are asked for
        self.entries = {info.filename: info for info in self.archive.infolist()}
        if len(self.entries) != len(self.archive.infolist()):
            raise Refused("two files of one name in the zip file")
        pickles = [name for name in self.entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Refused(f"no torch checkpoint: {len(pickles)} files named data.pkl in the zip file, expected 1")
        self.folder = pickles[0][: -len("data.pkl")]
        order = self.read("byteorder", 16) if self.folder + "byteorder" in self.entries else b"little"
        if order.strip() != b"little":
            raise Refused(f"byte order '{order.decode('latin-1')}', expected little")
        self.pickle = self.read("data.pkl", MOST_PICKLE_BYTES)
        self.kept_key = ""  # storage and dtype of the numbers kept from the last time
        self.kept: "array.array[Any]" = array.array("b")

    def read(self, name: str, most: int) -> bytes:
        info = self.entries[self.folder + name]
        if info.compress_type != zipfile.ZIP_STORED:
            raise Refused(f"{name} is compressed, which no torch checkpoint is")
        if info.file_size > most:
            raise Refused(f"{name} has {info.file_size} bytes, expected at most {most}")
        try:
            return self.archive.read(info)
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise Refused(f"{self.path}: {name} is damaged: {error}") from None

    def tensor(self, storage: _Storage, offset: Any, shape: Any, strides: Any) -> Tensor:
        numbers = [offset]
        for part in (shape, strides):
            if not isinstance(part, tuple):
                raise Refused("a tensor record without shape and strides")
            numbers += part
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or len(shape) != len(strides):
            raise Refused(f"a tensor record with offset {offset}, shape {shape}, strides {strides}")
        size = ITEMS[storage.dtype][0]
        info = self.entries.get(f"{self.folder}data/{storage.key}")
        if info is None or info.file_size < storage.count * size:
            have = "no file" if info is None else f"{info.file_size} bytes"
            raise Refused(f"storage {storage.key}: {have}, expected {storage.count * size} bytes")
        last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides))
        if count_of(shape) > 0 and last >= storage.count:
            raise Refused(
                f"a tensor of shape {shape}, strides {strides} leaves storage {storage.key} of {storage.count} values"
            )
        if count_of(shape) > min(MOST_ELEMENTS, 4 * storage.count + 1024):
            raise Refused(f"a tensor of shape {shape} repeats the {storage.count} values of its storage too often")
        return Tensor(storage.dtype, shape, lambda: gather(self.values(storage), offset, shape, strides))

    def values(self, storage: _Storage) -> "array.array[Any]":
        key = storage.key + " " + storage.dtype
        if self.kept_key != key:
            data = self.read(f"data/{storage.key}", 1 << 40)
            self.kept = decode(storage.dtype, data[: storage.count * ITEMS[storage.dtype][0]])
            self.kept_key = key
        return self.kept


def tensors_in(tree: Any, key: Optional[str] = None) -> Dict[str, Tensor]:
    """The tensors of a state dict, which may lie in one of the usual folders of a training checkpoint, or in `key`."""
    if not isinstance(tree, dict):
        raise Refused("the checkpoint holds no dictionary")
    if key:
        for part in key.split("."):
            if not isinstance(tree, dict) or part not in tree:
                raise Refused(f"the checkpoint has no '{key}'")
            tree = tree[part]
    else:
        for _ in range(2):
            folders = [name for name in TENSOR_FOLDERS if isinstance(tree.get(name), dict)]
            if not folders or any(isinstance(value, Tensor) for value in tree.values()):
                break
            tree = tree[folders[0]]
    if not isinstance(tree, dict):
        raise Refused(f"'{key}' of the checkpoint is no dictionary")
    tensors = {str(name): value for name, value in tree.items() if isinstance(value, Tensor)}
    if not tensors:
        raise Refused(
            f"no tensors in the checkpoint: it has {', '.join(str(name) for name in list(tree)[:8]) or 'nothing'}"
        )
    return tensors


def read_torch_checkpoint(path: str, key: Optional[str] = None) -> Dict[str, Tensor]:
    """{name: Tensor} of a torch zip file. Raises Refused or OSError."""
    if os.path.getsize(path) > 0 and not zipfile.is_zipfile(path):
        raise Refused(f"{path}: not a zip file; checkpoints of PyTorch before 1.6 must be saved again by a newer one")
    try:
        archive = _Archive(path)
        return tensors_in(_Pickle(archive.tensor).run(archive.pickle), key)
    except Refused as error:
        raise Refused(f"{path}: {error}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise Refused(f"{path}: damaged zip file: {error}") from None
