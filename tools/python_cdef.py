#!/usr/bin/env python3
"""Writes python/lattice/_cdef.py, the declarations that the Python package reads the C library by, from include/lattice.

usage: python_cdef.py           writes the file
       python_cdef.py --check   exit 1 when the file is not what the headers say
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADERS = os.path.join(ROOT, "include", "lattice")
TARGET = os.path.join(ROOT, "python", "lattice", "_cdef.py")
CORE_ONLY = "io.h"  # the one header of the second library
NUMBER = re.compile(r"#define\s+(LAT_\w+)\s+(?:UINT64_C\()?(\d+)\)?\s*$")

OPENING = '''"""Declarations of the public headers, for cffi. Written by tools/python_cdef.py: do not edit."""

# fmt: off
CONSTANTS = {constants}

CDEF = """
{core}
"""

CDEF_IO = """
{io}
"""
'''


def include_order(name, seen):
    """Headers in the order a compiler reads them."""
    if name in seen:
        return
    text = open(os.path.join(HEADERS, name), encoding="utf-8").read()
    for inner in re.findall(r"#include <lattice/(\w+\.h)>", text):
        if inner != name:
            include_order(inner, seen)
    seen.append(name)


def without_inline_bodies(text):
    """Drops `static inline` functions: they are not in the shared library."""
    out, at = [], 0
    for match in re.finditer(r"static inline\b[^{;]*\{", text):
        if match.start() < at:
            continue
        out.append(text[at:match.start()])
        depth, end = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        at = end
    out.append(text[at:])
    return "".join(out)


def declarations(name, constants):
    text = open(os.path.join(HEADERS, name), encoding="utf-8").read()
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"//[^\n]*", "", text)
    text = text.replace("\\\n", " ")
    # Between the guards of C++ stands `extern "C" {`, and its brace.
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.DOTALL)
    lines = []
    for line in text.split("\n"):
        number = NUMBER.match(line.strip())
        if number:
            constants[number.group(1)] = int(number.group(2))
        elif not line.lstrip().startswith("#"):
            lines.append(line)
    text = without_inline_bodies("\n".join(lines))
    text = re.sub(r"\bLAT_(API|CHECKED)\b|\bLAT_PRINTF\([^)]*\)", "", text)
    for constant, value in constants.items():
        text = re.sub(rf"\b{constant}\b", str(value), text)
    text = re.sub(r"\s+", " ", text)
    # One declaration a line: a semicolon outside of braces ends it.
    depth, line, out = 0, "", []
    for char in text:
        depth += {"{": 1, "}": -1}.get(char, 0)
        line += char
        if char == ";" and depth == 0:
            out.append(line.strip())
            line = ""
    if line.strip():
        raise SystemExit(f"python_cdef: {name}: what is this? {line.strip()[:80]}")
    return out


def render():
    order, constants = [], {}
    for name in sorted(os.listdir(HEADERS)):
        if name.endswith(".h"):
            include_order(name, order)
    core = [line for name in order if name != CORE_ONLY for line in declarations(name, constants)]
    io = declarations(CORE_ONLY, constants) if CORE_ONLY in order else []
    return OPENING.format(constants=repr(dict(sorted(constants.items()))), core="\n".join(core), io="\n".join(io))


def main(arguments):
    if arguments not in ([], ["--check"]):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    text = render()
    if arguments:
        old = open(TARGET, encoding="utf-8").read() if os.path.exists(TARGET) else ""
        if old != text:
            print("python_cdef: python/lattice/_cdef.py is not what the headers say: run tools/python_cdef.py")
            return 1
        return 0
    with open(TARGET, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
