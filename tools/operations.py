#!/usr/bin/env python3
"""Writes docs/operations.md: every operation of the specification with its C function, test, gradient and gradient test.

The rows come from tools/operations_table.txt (its head says how they are written), functions from the public headers,
tests from their lines `// covers: lat_a lat_b`. One line is printed for each hole:
  a function of the table that no header declares, a public function that no row names, a function without a test,
  a gradient function without a gradient test (tests/property/prop_*_grad.c), a test that says it covers a function it
  never calls, a generated page that is out of date.

usage: operations.py [ROOT]            write the page; exit 1 when there are holes
       operations.py --check [ROOT]    compare instead of writing; exit 1 also when the page is out of date
       operations.py --lenient ...     functions marked `?` may be missing, unnamed functions and an old page are no holes
       operations.py --self-test       proves that every kind of hole is found
"""
import fnmatch
import os
import re
import sys
import tempfile

import header_parser

TABLE = os.path.join("tools", "operations_table.txt")
PAGE = os.path.join("docs", "operations.md")
TEST_FOLDERS = ("unit", "property", "golden", "oom", "cli")
COVER_FOLDERS = ("unit", "property", "golden")

HEAD = """# Operations

Every operation of the specification, the C function that does it, the tests that hold it, its gradient and the test that
compares that gradient with central differences. Written by `tools/operations.py` from the public headers,
`tools/operations_table.txt` and the `// covers:` lines of the tests; CI fails when a row has a hole. Functions are
described in `docs/api/` and in their headers; numbers are sections of the specification.
"""


class Row:
    def __init__(self, number, section, operation, functions, gradient, tests):
        self.number = number        # line of the table
        self.section = section      # "-" for what stands under the operations
        self.operation = operation
        self.functions = functions  # names, without the mark of a missing one
        self.gradient = gradient
        self.tests = tests          # tests of this row by name, or [] for all that cover its functions


def read_table(root):
    """Rows of the table, the functions marked `?`, and one text for each line that is no row."""
    rows, pending, bad = [], set(), []
    with open(os.path.join(root, TABLE), encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            line = line.strip()
            if not line or line.startswith(("#", "!")):
                continue
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) not in (4, 5) or not all(cells[:4]):
                bad.append(f"{TABLE}:{number}: a row has 4 or 5 cells")
                continue
            names = (cells[2] + " " + " ".join(gradient_names(cells[3]))).split()
            pending.update(name[1:] for name in names if name.startswith("?"))
            tests = cells[4].split() if len(cells) == 5 else []
            rows.append(Row(number, cells[0], cells[1], cells[2].replace("?", "").split(), cells[3], tests))
    return rows, pending, bad


def read_headers(root):
    """Functions of the public headers, but for those of a line `! headers left out`."""
    with open(os.path.join(root, TABLE), encoding="utf-8") as stream:
        patterns = [word for line in stream if line.startswith("!") for word in line[1:].split()]
    headers = header_parser.parse_all(root)
    everything = {name for header in headers for name in header.functions()}
    left_out = {name for header in headers if any(fnmatch.fnmatch(header.name, pattern) for pattern in patterns)
                for name in header.functions()}
    return everything, everything - left_out


def gradient_names(cell):
    """Functions that a gradient cell names: `a b`, `through a b: why` or `none: why`."""
    if cell.startswith("none:"):
        return []
    return re.sub(r"^through\s+", "", cell).split(":")[0].split()


def read_tests(root):
    """{test: (folder, covered, called)} of every C test."""
    tests = {}
    for folder in TEST_FOLDERS:
        path = os.path.join(root, "tests", folder)
        for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
            if not name.endswith(".c"):
                continue
            with open(os.path.join(path, name), encoding="utf-8") as stream:
                text = stream.read()
            covered = {word for line in re.findall(r"^// covers: (.*)$", text, re.M) for word in line.split()}
            tests[name[:-2]] = (folder, covered, called_names(root, text))
    return tests


def called_names(root, text):
    """Public names in the code of a test and of the helpers under tests/ that it includes (not the common one)."""
    code = text
    for helper in re.findall(r'^#include "((?:support|property)/\w+)\.h"', text, re.M):
        path = os.path.join(root, "tests", helper + ".c")
        if os.path.basename(helper) != "test_support" and os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                code += stream.read()
    return set(re.findall(r"\blat_[a-z]\w+", re.sub(r"//[^\n]*", "", code)))


def check_row(row, public, pending, tests, lenient):
    gradients = [name.lstrip("?") for name in gradient_names(row.gradient)]
    for name in row.functions + gradients:
        if name not in public:
            if not (lenient and name in pending):
                yield f"{TABLE}:{row.number}: {row.operation}: no public header declares {name}"
        elif not covering(name, tests):
            yield f"{name}: no test has it in a line `// covers:`"
    for name in gradients:
        if name in public and not covering(name, tests, gradient=True):
            yield f"{name}: no test tests/property/prop_*_grad.c covers this gradient"
    for test in row.tests:
        if test not in tests:
            yield f"{TABLE}:{row.number}: {row.operation}: there is no test {test}"
        elif not tests[test][2] & set(row.functions):
            yield f"{TABLE}:{row.number}: {row.operation}: {test} calls none of its functions"


def covering(function, tests, gradient=False):
    """Names of the tests that cover a function."""
    found = [name for name, (folder, covered, _) in tests.items() if function in covered and folder in COVER_FOLDERS]
    if gradient:
        found = [name for name in found if re.fullmatch(r"prop_\w*grad\w*", name)]
    return found


def find_holes(root, lenient):
    public, to_name = read_headers(root)
    rows, pending, holes = read_table(root)
    tests = read_tests(root)
    for row in rows:
        holes += check_row(row, public, pending, tests, lenient)
    named = {name for row in rows for name in row.functions}
    named |= {name.lstrip("?") for row in rows for name in gradient_names(row.gradient)}
    if not lenient:
        holes += [f"{name}: declared by a public header, named by no row of {TABLE}" for name in sorted(to_name - named)]
        holes += [f"{TABLE}: {name} is there now: take its ? away" for name in sorted(pending & public)]
    for test, (_, covered, called) in sorted(tests.items()):
        holes += [f"tests: {test} says it covers {name}, but never calls it" for name in sorted(covered - called)]
    return list(dict.fromkeys(holes)), rows, public, tests


def test_cell(names):
    return " ".join(f"`{name}`" for name in sorted(names)) or "missing"


def gradient_cells(row, tests):
    """(gradient, gradient test) of a row."""
    if row.gradient.startswith("none:"):
        return row.gradient, ""
    names = [name.lstrip("?") for name in gradient_names(row.gradient)]
    text = " ".join(f"`{name}`" for name in names)
    why = row.gradient.partition(":")[2].strip()
    found = {test for name in names for test in covering(name, tests, gradient=True)}
    return f"{text} ({why})" if why else text, test_cell(found)


def make_page(rows, public, tests):
    lines = [HEAD, "| section | operation | C function | tests | gradient | gradient test |", "|---|---|---|---|---|---|"]
    for row in (row for row in rows if row.section != "-"):
        functions = " ".join(f"`{name}`" for name in row.functions)
        found = row.tests or {test for name in row.functions for test in covering(name, tests)}
        gradient, gradient_test = gradient_cells(row, tests)
        lines.append(f"| {row.section} | {row.operation} | {functions} | {test_cell(found)} | {gradient} | {gradient_test} |")
    lines += ["", "## What stands under the operations", "", "Objects, memory and files: no gradients.", "",
              "| what | C function | tests |", "|---|---|---|"]
    for row in (row for row in rows if row.section == "-"):
        for name in row.functions:
            lines.append(f"| {row.operation} | `{name}` | {test_cell(row.tests or covering(name, tests))} |")
    return "\n".join(lines) + "\n"


def run(root, check, lenient):
    holes, rows, public, tests = find_holes(root, lenient)
    page, path = make_page(rows, public, tests), os.path.join(root, PAGE)
    if not check:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(page)
    elif not lenient:
        old = None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                old = stream.read()
        if old != page:
            holes.append(f"{PAGE}: out of date: run tools/operations.py")
    return holes


# --- self-test ---

SELF_HEADER = """/// \\file a.h
/// A header.

/// Does it. Errors: none.
LAT_API LAT_CHECKED lat_status lat_do(int a,
                                      int b);

// --- a ruler between two groups ---

/// Its gradient.
LAT_API lat_status lat_do_backward(int a);
LAT_API int lat_count(int a); ///< how many
"""
SELF_TABLE = """# comment
3.1 | doing | lat_do | lat_do_backward
3.2 | counting | lat_count | none: counts whole numbers | test_a
"""
SELF_UNIT = "// covers: lat_do lat_count\nint f(void) { return lat_do(1, lat_count(2)); }\n"
SELF_GRAD = "// covers: lat_do_backward\nint f(void) { return lat_do_backward(1); }\n"


def self_test():
    def holes_of(changes, lenient=False, check=False, keep_page=False):
        files = {"include/lattice/a.h": SELF_HEADER, TABLE: SELF_TABLE, "tests/unit/test_a.c": SELF_UNIT,
                 "tests/property/prop_do_grad.c": SELF_GRAD}
        with tempfile.TemporaryDirectory() as root:
            def write(path, text):
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as stream:
                    stream.write(text)
            for path, text in files.items():
                write(path, text)
            if keep_page:
                run(root, check=False, lenient=False)
            for path, (old, new) in changes.items():
                assert old in files[path], old
                write(path, files[path].replace(old, new))
            return run(root, check, lenient)

    cases = [
        ("a table without holes", {}, {}, None),
        ("a page that is up to date", {}, {"check": True, "keep_page": True}, None),
        ("no page", {}, {"check": True}, "out of date"),
        ("an old page", {"tests/unit/test_a.c": ("lat_do lat_count", "lat_count lat_do lat_do_backward"),
                         "tests/property/prop_do_grad.c": ("int f", "int g")}, {"check": True, "keep_page": True},
         "never calls it"),
        ("a function that is not declared", {TABLE: ("| lat_do |", "| lat_do lat_gone |")}, {}, "declares lat_gone"),
        ("a gradient that is not declared", {TABLE: ("lat_do_backward", "lat_gone_backward")}, {}, "declares lat_gone_backward"),
        ("a marked function, lenient", {TABLE: ("| lat_do |", "| lat_do ?lat_gone |")}, {"lenient": True}, None),
        ("a marked function, strict", {TABLE: ("| lat_do |", "| lat_do ?lat_gone |")}, {}, "declares lat_gone"),
        ("a marked function that is there", {TABLE: ("| lat_do |", "| ?lat_do |")}, {}, "take its ? away"),
        ("a function in no row", {TABLE: ("| lat_count |", "| lat_do |")}, {}, "lat_count: declared by"),
        ("a function of a header that is left out", {TABLE: ("# comment\n3.1 | doing | lat_do | lat_do_backward\n", "! a*.h\n")}, {}, None),
        ("a function without a test", {"tests/unit/test_a.c": ("lat_do lat_count", "lat_do")}, {}, "lat_count: no test"),
        ("a gradient without a gradient test", {"tests/property/prop_do_grad.c": ("covers: lat_do_backward", "")}, {},
         "covers this gradient"),
        ("a gradient tested elsewhere", {"tests/property/prop_do_grad.c": ("covers: lat_do_backward", ""),
                                         "tests/unit/test_a.c": ("lat_do lat_count\nint f(void) {",
                                                                 "lat_do lat_count lat_do_backward\nint f(void) { lat_do_backward(1);")},
         {}, "covers this gradient"),
        ("a test that lies", {"tests/unit/test_a.c": ("return lat_do(1, lat_count(2))", "return lat_do(1, 2)")}, {},
         "never calls it"),
        ("a named test that is not there", {TABLE: ("| test_a", "| test_b")}, {}, "no test test_b"),
        ("a named test that does something else", {TABLE: ("| test_a", "| prop_do_grad")}, {}, "calls none"),
        ("a row with three cells", {TABLE: ("| none: counts whole numbers | test_a", "")}, {}, "4 or 5 cells"),
    ]
    failed = 0
    for what, changes, options, expected in cases:
        holes = holes_of(changes, **options)
        if (expected is None and holes) or (expected is not None and not any(expected in hole for hole in holes)):
            print(f"self-test: {what}: expected {expected!r}, got {holes}")
            failed = 1
    print(f"operations self-test: {len(cases)} cases" + (", failed" if failed else ""))
    return failed


def main(arguments):
    if "--self-test" in arguments:
        return self_test()
    options = {"--check", "--lenient"} & set(arguments)
    places = [argument for argument in arguments if argument not in options]
    root = places[0] if places else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    holes = run(root, "--check" in options, "--lenient" in options)
    for hole in holes:
        print(hole)
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
