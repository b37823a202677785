"""Files of checkpoints: tensors of all kinds, hostile ones, and the tool as a user runs it."""

import json
import os
import subprocess
import sys
import zipfile

from convert_support import (
    PROGRAM,
    ROOT,
    detection,
    expect,
    path,
    refused,
)

import torch_zip
from _convert.safetensors_file import read_safetensors
from _convert.torch_checkpoint import read_torch_checkpoint


def case_tensors():
    """Dtypes, views that are not contiguous, storages that tensors share."""
    values = [1.5, -2.0, 0.25, 3.0, 65504.0, -0.125]
    for kind in ("f", "d", "e", "b16"):
        held = [60928.0 if kind == "b16" and v == 65504.0 else v for v in values]
        state = {
            "a": torch_zip.Stored("0", kind, 6, (2, 3)),
            "t": torch_zip.Stored("0", kind, 6, (3, 2), (1, 3)),
            "tail": torch_zip.Stored("0", kind, 6, (2,), (1,), 4),
            "wide": torch_zip.Stored("0", kind, 6, (2, 2), (0, 1), 1),
            "one": torch_zip.Stored("0", kind, 6, (), (), 2),
        }
        torch_zip.write_zip(
            path("t.pt"),
            b"\x80\x02" + torch_zip.tree(state) + b".",
            {"0": torch_zip.pack(kind, held)},
            extra=[("archive/byteorder", b"little")],
        )
        read = read_torch_checkpoint(path("t.pt"))
        v = held
        for name, numbers in {
            "a": v,
            "t": [v[0], v[3], v[1], v[4], v[2], v[5]],
            "tail": v[4:],
            "wide": [v[1], v[2]] * 2,
            "one": [v[2]],
        }.items():
            expect(f"{kind} {name}: {list(read[name].values())}", list(read[name].values()) == numbers)
    state = {"n": torch_zip.Stored("0", "q", 2, (2,)), "flag": torch_zip.Stored("1", "?", 2, (2,))}
    torch_zip.write_zip(
        path("t.pt"),
        b"\x80\x02" + torch_zip.tree(state) + b".",
        {"0": torch_zip.pack("q", [-5, 1 << 40]), "1": b"\x01\x00"},
    )
    read = read_torch_checkpoint(path("t.pt"))
    expect("int64", list(read["n"].values()) == [-5, 1 << 40] and list(read["flag"].values()) == [1, 0])


def case_hostile():
    """Pickles that would do something, and files that lie. None is run, all are named."""
    marker = path("marker")
    call = b"(" + torch_zip.text(f"touch {marker}") + b"t"
    good = {"w": torch_zip.Stored("0", "f", 4, (2, 2))}

    def attempt(fragment, pickle, storages=None, **options):
        torch_zip.write_zip(
            path("h.pt"), b"\x80\x02" + pickle, {"0": bytes(16)} if storages is None else storages, **options
        )
        refused(fragment, fragment, lambda: read_torch_checkpoint(path("h.pt")))

    def view(**changes):
        return (
            torch_zip.tree({"w": torch_zip.Stored(**{**dict(key="0", kind="f", count=4, shape=(2, 2)), **changes})})
            + b"."
        )

    attempt("names 'posix system'", torch_zip.glob("posix", "system") + call + b"R.")
    attempt("names 'os system'", torch_zip.text("os") + torch_zip.text("system") + b"\x93" + call + b"R.")
    attempt("names 'builtins eval'", b"}(" + torch_zip.text("w") + torch_zip.glob("builtins", "eval") + call + b"Ru.")
    attempt("uses INST", b"(" + torch_zip.text("x") + b"ios\nsystem\n.")
    attempt("uses NEWOBJ", torch_zip.glob("collections", "OrderedDict") + b")\x81.")
    attempt("calls 'torch FloatStorage'", torch_zip.glob("torch", "FloatStorage") + call + b"R.")
    attempt("would call something", torch_zip.tree("x") + call + b"R.")
    attempt("gives attributes", b"]}b.")
    attempt("holds no dictionary", b"].")
    attempt("no tensors", torch_zip.tree({"epoch": 3}) + b".")
    attempt("before seeing STOP", torch_zip.tree(good))
    attempt("pickle is damaged", b"h\x07.")
    attempt("pickle is damaged", b"a.")
    attempt("uses EMPTY_SET", b"\x8f.")
    attempt("uses EXT1", b"\x82\x01.")
    attempt("key that is neither text nor number", b"}())s.")
    attempt("leaves storage 0", view(offset=1))
    attempt("leaves storage 0", view(strides=(3, 2)))
    attempt("tensor record with offset 0", view(strides=(-2, 1)))
    attempt("repeats the 4 values", view(shape=(1 << 20, 1 << 20), strides=(0, 0)))
    attempt("no file, expected 16 bytes", view(key="9"))
    attempt("without a plain name", view(key="../0"))
    attempt("16 bytes, expected 4000 bytes", view(count=1000))
    attempt("compressed", view(), compress=zipfile.ZIP_DEFLATED)
    attempt("2 files named data.pkl", view(), extra=[("other/data.pkl", b".")])
    attempt("byte order 'big'", view(), extra=[("archive/byteorder", b"big")])
    with open(path("old.pt"), "wb") as file:
        file.write(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    refused("old form", "before 1.6", lambda: read_torch_checkpoint(path("old.pt")))
    with open(path("h.pt"), "rb") as file:
        data = file.read()
    for cut in range(10, len(data), 37):
        with open(path("cut.pt"), "wb") as file:
            file.write(data[:cut])
        refused(f"cut at {cut}", "cut.pt", lambda: read_torch_checkpoint(path("cut.pt")))
    for text, fragment in (
        (b"", "no safetensors file"),
        (b"\xff" * 16, "no safetensors file"),
        (b"\x02\0\0\0\0\0\0\0[]", "is no object"),
        (b'\x08\0\0\0\0\0\0\0{"a":{}}', "a: dtype, shape or data_offsets missing"),
    ):
        with open(path("h.safetensors"), "wb") as file:
            file.write(text)
        refused(fragment, fragment, lambda: read_safetensors(path("h.safetensors")))
    expect("nothing of a pickle was run", not os.path.exists(marker))


def case_command():
    """The tool as a user runs it."""
    tensors, description = detection()
    torch_zip.write_checkpoint(path("tool.pth"), tensors)
    with open(path("tool.json"), "w", encoding="utf-8") as file:
        json.dump(description, file)
    tool = [
        sys.executable,
        "-B",
        os.path.join(ROOT, "tools", "convert_checkpoint.py"),
        path("tool.pth"),
        path("tool.json"),
        path("tool"),
    ]
    done = subprocess.run(tool, capture_output=True, text=True, env={**os.environ, "LATTICE_CLI": PROGRAM})
    expect(
        f"tool: {done.stderr}", done.returncode == 0 and "a.weight 4x3x3x3x2 -> a.weight 4x3x3x3x2: conv" in done.stdout
    )
    expect(
        f"tool: {done.stdout}", "support reach" in done.stdout and "golden kernel of spconv2: error 0" in done.stdout
    )
    done = subprocess.run([*tool, "--lattice", path("none")], capture_output=True, text=True)
    expect(f"tool without program: {done.stderr}", done.returncode == 1 and "to replay with" in done.stderr)
