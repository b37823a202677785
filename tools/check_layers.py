#!/usr/bin/env python3
"""Checks the dependency law of the source tree over #include lines.

    core <- coords <- relation <- ops          each room sees itself and what is left of it
    these reach devices only through backend/backend.h and backend/desc.h
    backend/* never sees coords, relation, ops; backend/cpu and backend/cuda never see each other
    backend/cpu/kernel sees itself and core/compiler.h
    src/io, model, cli, examples, python, bench see public headers only; public headers see public headers only
    tests/ref (the naive second implementation) shares nothing with src/

usage: check_layers.py [ROOT]      exit 1 and one line for each violation
       check_layers.py --self-test proves that every kind of violation is found
"""
import os
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SOURCE_ENDINGS = (".c", ".h", ".cu", ".cuh", ".inc", ".list")
DEVICE_DOORS = {"src/backend/backend.h", "src/backend/desc.h"}
# Header-only helpers without linkage, which lattice_io (linked apart) and models may use as well.
INLINE_HELPERS = {"src/core/checked.h", "src/core/compiler.h"}

# room -> rooms whose files it may include (public headers are open to all)
ALLOWED_ROOMS = {
    "core": {"core"},
    "coords": {"core", "coords"},
    "relation": {"core", "coords", "relation"},
    "ops": {"core", "coords", "relation", "ops"},
    "backend": {"core", "backend", "cpu", "kernel", "cuda"},  # the registry names the devices
    "cpu": {"core", "cpu", "kernel"},
    "kernel": {"kernel"},
    "cuda": {"core", "cuda"},
    "entropy": {"core", "entropy"},
    "io": {"io"},
    "model": {"model"},
    "cli": {"cli"},
    "examples": {"examples"},
    "python": {"python"},
    "bench": {"bench"},
    "public": set(),
    "ref": {"ref", "support"},
}
ROOM_FOLDERS = [
    ("src/backend/cpu/kernel/", "kernel"), ("src/backend/cpu/", "cpu"), ("src/backend/cuda/", "cuda"), ("src/backend/", "backend"), ("src/core/", "core"),
    ("src/coords/", "coords"), ("src/relation/", "relation"), ("src/ops/", "ops"), ("src/entropy/", "entropy"),
    ("src/io/", "io"), ("src/model/", "model"), ("cli/", "cli"), ("examples/", "examples"), ("python/", "python"),
    ("bench/", "bench"), ("include/lattice/", "public"), ("tests/ref/", "ref"), ("tests/support/", "support"),
]
# Rooms that may pass through the two device doors.
DOOR_ROOMS = {"core", "coords", "relation", "ops", "backend", "cpu", "cuda"}


def room_of(path):
    for folder, room in ROOM_FOLDERS:
        if path.startswith(folder):
            return room
    return "src" if path.startswith("src/") else None


def resolve(root, path, name):
    """The included file relative to the root, or None when it is not ours."""
    for folder in (os.path.dirname(path), "include", "src", "tests", "."):
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def allowed(room, path, target):
    target_room = room_of(target)
    if target_room == "public":
        return True
    if target in DEVICE_DOORS:
        return room in DOOR_ROOMS
    if target in INLINE_HELPERS and (room in ("io", "model") or (room == "kernel" and target == "src/core/compiler.h")):
        return True
    return target_room in ALLOWED_ROOMS[room]


def violations(root):
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith((".", "build", "out"))]
        for name in sorted(files):
            path = os.path.relpath(os.path.join(folder, name), root)
            if not name.endswith(SOURCE_ENDINGS):
                continue
            room = room_of(path)
            if room == "src":
                found.append(f"{path}: lies in no known room of src/")
            if room in (None, "src", "support"):
                continue
            with open(os.path.join(root, path), encoding="utf-8", errors="replace") as source:
                for number, line in enumerate(source, 1):
                    match = INCLUDE.match(line)
                    target = resolve(root, path, match.group(2)) if match else None
                    if target and not allowed(room, path, target):
                        found.append(f"{path}:{number}: {room} must not include {target}")
    return found


def self_test():
    files = {
        "include/lattice/a.h": '#include "core/c.h"\n',
        "src/core/c.h": '#include "coords/s.h"\n',
        "src/coords/s.h": '#include "relation/r.h"\n',
        "src/relation/r.h": '#include "ops/o.h"\n',
        "src/ops/o.h": '#include "backend/cpu/k.h"\n',
        "src/ops/fine.c": '#include "backend/backend.h"\n#include "relation/r.h"\n#include <lattice/a.h>\n',
        "src/backend/backend.h": "\n",
        "src/backend/cpu/k.h": '#include "../cuda/g.h"\n',
        "src/backend/cpu/kernel/t.h": '#include "ops/o.h"\n',
        "src/backend/cpu/kernel/u.h": '#include "core/checked.h"\n',
        "src/backend/cpu/kernel/fine.h": '#include "core/compiler.h"\n',
        "src/core/compiler.h": "\n",
        "src/backend/cuda/g.h": '#include "relation/r.h"\n',
        "src/io/p.c": '#include "core/c.h"\n',
        "src/io/fine.c": '#include "core/checked.h"\n',
        "src/core/checked.h": "\n",
        "src/model/m.c": '#include "backend/backend.h"\n',
        "src/model/n.c": '#include "core/c.h"\n',
        "src/model/fine.c": '#include "core/checked.h"\n#include <lattice/a.h>\n',
        "src/stray.c": "\n",
        "cli/main.c": '#  include "core/c.h"\n',
        "examples/e.c": '#include "../src/core/c.h"\n',
        "tests/ref/n.c": '#include "coords/s.h"\n',
        "tests/unit/free.c": '#include "coords/s.h"\n',
    }
    expected_in = {p for p in files if "fine" not in p and "free" not in p} - {
        "src/backend/backend.h", "src/core/checked.h", "src/core/compiler.h"}
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                out.write(text)
        found_in = {line.split(":")[0] for line in violations(root)}
    if found_in != expected_in:
        print("check_layers self-test: missed", sorted(expected_in - found_in), "wrongly found", sorted(found_in - expected_in))
        return 1
    print(f"check_layers self-test: all {len(expected_in)} violations found, nothing else")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    found = violations(root)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
