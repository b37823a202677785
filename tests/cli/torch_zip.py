"""Writes torch checkpoints by hand, honest and hostile ones: a zip file with a pickle and raw storages."""

import struct
import zipfile

STORAGE_TYPES = {
    "f": "FloatStorage",
    "d": "DoubleStorage",
    "e": "HalfStorage",
    "b16": "BFloat16Storage",
    "q": "LongStorage",
    "i": "IntStorage",
    "?": "BoolStorage",
}


def pack(kind, values):
    """Little-endian bytes of numbers."""
    if kind in "iq":
        values = [int(value) for value in values]
    if kind == "b16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{kind}", *values)


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    return b"J" + struct.pack("<i", value) if -(1 << 31) <= value < 1 << 31 else b"\x8a\x08" + struct.pack("<q", value)


def numbers(values):
    return b"(" + b"".join(number(value) for value in values) + b"t"


def glob(module, name):
    return f"c{module}\n{name}\n".encode()


class Stored:
    """A tensor record: a view (offset, shape, strides) of storage `key`."""

    def __init__(self, key, kind, count, shape, strides=None, offset=0, parameter=False):
        if strides is None:
            strides, step = [], 1
            for size in reversed(shape):
                strides.insert(0, step)
                step *= size
        self.key, self.kind, self.count, self.offset = key, kind, count, offset
        self.shape, self.strides, self.parameter = shape, strides, parameter

    def record(self):
        storage = (
            b"("
            + text("storage")
            + glob("torch", STORAGE_TYPES[self.kind])
            + text(self.key)
            + text("cpu")
            + number(self.count)
            + b"tQ"
        )
        body = (
            glob("torch._utils", "_rebuild_tensor_v2")
            + b"("
            + storage
            + number(self.offset)
            + numbers(self.shape)
            + numbers(self.strides)
        )
        body += b"\x89" + glob("collections", "OrderedDict") + b")Rt" + b"R"
        if self.parameter:
            body = (
                glob("torch._utils", "_rebuild_parameter")
                + b"("
                + body
                + b"\x88"
                + glob("collections", "OrderedDict")
                + b")RtR"
            )
        return body


def tree(value):
    """A pickle of dictionaries, lists, numbers, texts, None and tensor records."""
    if isinstance(value, Stored):
        return value.record()
    if isinstance(value, dict):
        return b"}(" + b"".join(text(key) + tree(held) for key, held in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(tree(held) for held in value) + b"e"
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return value  # opcodes as they are
    return b"N" if value is None else text(value) if isinstance(value, str) else number(value)


def write_zip(path, pickle, storages, folder="archive/", extra=(), compress=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compress) as archive:
        archive.writestr(folder + "data.pkl", pickle)
        for key, data in storages.items():
            archive.writestr(f"{folder}data/{key}", data)
        for name, data in extra:
            archive.writestr(name, data)


def write_checkpoint(path, tensors, wrap=None, kind="f", parameter=False):
    """tensors: {name: (shape, numbers)}; `wrap` puts the state dict into a training checkpoint."""
    state, storages = {}, {}
    for index, (name, (shape, values)) in enumerate(tensors.items()):
        own = "q" if name.endswith(("num_batches_tracked", "kernel_positions")) else kind
        state[name] = Stored(str(index), own, len(values), shape, parameter=parameter)
        storages[str(index)] = pack(own, values)
    write_zip(path, b"\x80\x02" + tree(wrap(state) if wrap else state) + b".", storages)
