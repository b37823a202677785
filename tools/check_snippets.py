#!/usr/bin/env python3
"""Compiles and runs the C pieces of the guides against the built library, and compares what they print.

Every block of C in a page below stands in a function that has a `context`; `ok(status)` ends the program with the library's text
when a call fails. A block ```text right behind a piece is what it prints, to the letter; a piece without one prints
nothing. When a piece ends, everything it made must be released.

usage: check_snippets.py ROOT LIBRARY COMPILER...   LIBRARY: the shared library; COMPILER: the command and its flags
       check_snippets.py --self-test                proves that pieces are found and differences are seen
"""
import os
import re
import subprocess
import sys
import tempfile

PAGES = ("docs/sparse-tensors.md", "docs/relations.md", "docs/convolution-routes.md")
PIECE = re.compile(r"^```c\n(.*?)^```\n(?:\n*```text\n(.*?)^```\n)?", re.M | re.S)
MARK = "=== piece"

PRELUDE = """#include <lattice/lattice.h>
#include <stdio.h>
#include <stdlib.h>

static void ok(lat_status status) {
  if (status == LAT_STATUS_OK) return;
  fprintf(stderr, "%s\\n", lat_last_error());
  exit(1);
}
"""


def pieces_of(text):
    """(line, code, expected output) of each piece of a page."""
    return [(text[:found.start()].count("\n") + 1, found.group(1), found.group(2) or "") for found in PIECE.finditer(text)]


def program_of(page, pieces):
    lines = [PRELUDE]
    for number, (line, code, _) in enumerate(pieces):
        lines.append(f"static void piece_{number}(lat_context *context) {{\n#line {line + 1} \"{page}\"\n{code}}}\n")
    lines.append("int main(void) {")
    for number, (line, _, _) in enumerate(pieces):
        lines.append(f"""  {{
    lat_context *context = NULL;
    printf("{MARK}\\n");
    ok(lat_context_create(NULL, &context));
    piece_{number}(context);
    if (lat_context_bytes(context)) printf("line {line}: %llu bytes were not released\\n", (unsigned long long)lat_context_bytes(context));
    lat_context_destroy(context);
  }}""")
    return "\n".join(lines) + "\n  return 0;\n}\n"


def differences(page, pieces, output):
    """One text for each piece that printed something else."""
    got = output.split(MARK + "\n")[1:]
    for (line, _, expected), printed in zip(pieces, got):
        if printed != expected:
            yield f"{page}:{line}: printed\n{printed}expected\n{expected}"
    if len(got) < len(pieces):
        yield f"{page}: {len(got)} of {len(pieces)} pieces ran"


def check_page(root, page, library, compiler):
    with open(os.path.join(root, page), encoding="utf-8") as stream:
        pieces = pieces_of(stream.read())
    if not pieces:
        return [f"{page}: no piece of C"]
    with tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, "pieces.c"), os.path.join(folder, "pieces")
        with open(source, "w", encoding="utf-8") as stream:
            stream.write(program_of(page, pieces))
        command = compiler + ["-std=c11", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(root, "include"), source, "-o", program,
                              library, "-Wl,-rpath," + os.path.dirname(os.path.abspath(library)), "-lm"]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            return [f"{page}: does not compile\n{built.stderr}"]
        ran = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60)
        findings = list(differences(page, pieces, ran.stdout))
        if ran.returncode:
            findings.append(f"{page}: ended with {ran.returncode}: {ran.stderr.strip()}")
        return findings


def self_test():
    text = "a\n```c\nputs(\"x\");\n```\n\n```text\nx\n```\nb\n```c\nint y = 1;\n(void)y;\n```\n```sh\nls\n```\n"
    pieces = pieces_of(text)
    checks = {
        "two pieces": len(pieces) == 2,
        "their lines": [piece[0] for piece in pieces] == [2, 10],
        "what they print": [piece[2] for piece in pieces] == ["x\n", ""],
        "equal output": not list(differences("p", pieces, f"{MARK}\nx\n{MARK}\n")),
        "another output": len(list(differences("p", pieces, f"{MARK}\nz\n{MARK}\n"))) == 1,
        "output where none is": len(list(differences("p", pieces, f"{MARK}\nx\n{MARK}\nw\n"))) == 1,
        "a piece that did not run": len(list(differences("p", pieces, f"{MARK}\nx\n"))) == 1,
    }
    failed = [what for what, good in checks.items() if not good]
    print("check_snippets self-test" + (f": failed: {failed}" if failed else ": passed"))
    return 1 if failed else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    root, library, compiler = arguments[0], arguments[1], arguments[2:]
    findings = [finding for page in PAGES for finding in check_page(root, page, library, compiler)]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
