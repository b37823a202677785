#!/usr/bin/env python3
"""Checks the code rules that a machine can check: sizes, unique names, forbidden calls, the version's two places, the words
of the kernel levels.

usage: check_source.py [ROOT]      exit 1 and one line for each violation
       check_source.py --self-test proves that every kind of violation is found
"""
import os
import re
import sys
import tempfile

CODE_FOLDERS = ("include", "src", "cli", "examples", "tests", "bench", "tools", "python")
KERNEL_FOLDER = "src/backend/cpu/kernel"
MAX_FILE_LINES = {".c": 600, ".h": 300}
MAX_TEMPLATE_LINES = 600  # kernel templates are headers in name only
MAX_FUNCTION_LINES = 100
MAX_KERNEL_LINES = 150
# Several files of these names are a convention of the tools that read them.
SHARED_NAMES = {"CMakeLists.txt", "README.md", ".clang-tidy", ".gitignore", "__init__.py", "py.typed"}

# (what, pattern, files and folders of src/ where it is at home)
FORBIDDEN = [
    ("memory goes through lat__alloc and lat__free",
     r"(?<![\w.>])(malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strdup|strndup)\s*\(", {"src/core/alloc.c"}),
    ("only the context reads the environment", r"(?<![\w.>])(secure_)?getenv\s*\(", {"src/core/context.c"}),
    ("loops run through lat__parallel_for", r"^\s*#\s*pragma\s+omp\s+parallel|(?<![\w.>])pthread_create\s*\(", {"src/core/thread.c"}),
    ("the library never prints, aborts or exits",
     r"(?<![\w.>])((printf|puts|putchar|perror|abort|exit|_Exit|_exit)\s*\(|fprintf\s*\(\s*(stderr|stdout))", set()),
    ("attributes and vector types live in core/compiler.h and backend/cpu/kernel",
     r"\b__attribute__\b|^\s*#\s*include\s*<(immintrin|arm_neon)\.h>", {"src/core/compiler.h", "src/backend/cpu/kernel/"}),
    ("no alloca", r"(?<![\w.>])alloca\s*\(", set()),
]
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def blank(match):
    """Takes comments and strings away, keeping the line numbers."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_files(root):
    for top in CODE_FOLDERS:
        for folder, folders, files in os.walk(os.path.join(root, top)):
            folders[:] = [f for f in folders if f not in ("corpus", "__pycache__", "data")]
            for name in sorted(files):
                yield os.path.relpath(os.path.join(folder, name), root)


def check_names(paths):
    seen = {}
    for path in paths:
        name = os.path.basename(path)
        if name in SHARED_NAMES:
            continue
        if name in seen:
            yield f"{path}: file name already taken by {seen[name]}"
        seen.setdefault(name, path)


def function_lengths(lines):
    """(first line, lines) of each function of a formatted file: its body ends with a brace in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if re.match(r"[A-Za-z_]", line) and start is None:
            start = number
        if re.match(r"\S.*;$", line):  # a declaration, not the head of a function
            start = None
        if line == "}" and start is not None:
            yield start, number - start + 1
            start = None


def check_sizes(path, lines):
    ending = os.path.splitext(path)[1]
    limit = MAX_FILE_LINES.get(ending)
    if path.endswith("_template.h"):
        limit = MAX_TEMPLATE_LINES
    if limit is None:
        return
    if len(lines) > limit:
        yield f"{path}: {len(lines)} lines, at most {limit}"
    function_limit = MAX_KERNEL_LINES if "/kernel/" in path else MAX_FUNCTION_LINES
    for start, length in function_lengths(lines):
        if length > function_limit:
            yield f"{path}:{start}: function of {length} lines, at most {function_limit}"


def check_calls(path, text):
    if not path.startswith("src/") or not path.endswith((".c", ".h")):
        return
    code = COMMENT_OR_STRING.sub(blank, text)
    for what, pattern, homes in FORBIDDEN:
        if any(path == home or (home.endswith("/") and path.startswith(home)) for home in homes):
            continue
        for match in re.finditer(pattern, code, re.MULTILINE):
            number = code.count("\n", 0, match.start() + len(match.group(0)) - len(match.group(0).lstrip())) + 1
            yield f"{path}:{number}: {' '.join(match.group(0).split())}…: {what}"


def check_version(root):
    with open(os.path.join(root, "VERSION"), encoding="utf-8") as source:
        version = source.read().strip()
    header = os.path.join(root, "include", "lattice", "version.h")
    with open(header, encoding="utf-8") as source:
        macros = dict(re.findall(r"#define LAT_VERSION_(MAJOR|MINOR|PATCH) (\d+)", source.read()))
    stated = ".".join(macros.get(part, "?") for part in ("MAJOR", "MINOR", "PATCH"))
    if stated != version:
        yield f"include/lattice/version.h: states {stated}, VERSION states {version}"


def check_words(root):
    """Every level has every word of the kernels' vocabulary: most machines compile only some of the levels."""
    folder = os.path.join(root, KERNEL_FOLDER)
    words = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if re.fullmatch(r"simd_\w+\.h", name):
            with open(os.path.join(folder, name), encoding="utf-8") as source:
                words[name] = set(re.findall(r"^static inline [\w ]+?\b(v_\w+)\(", source.read(), re.MULTILINE))
    for name, known in words.items():
        for word in sorted(words.get("simd_scalar.h", set()) - known):
            yield f"{KERNEL_FOLDER}/{name}: lacks {word}, a word of simd_scalar.h"


def violations(root):
    paths = list(code_files(root))
    found = list(check_names(paths)) + list(check_version(root)) + list(check_words(root))
    for path in paths:
        if not path.endswith((".c", ".h")):
            continue
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as source:
            text = source.read()
        found += check_sizes(path, text.splitlines())
        found += check_calls(path, text)
    return found


def self_test():
    long_function = "static int f(int a,\n             int b) {\n" + "  a += b;\n" * 98 + "  return a;\n}\n"
    fine_function = "static int g(void) {\n" + "  a();\n" * 97 + "  return 1;\n}\n"
    files = {
        "VERSION": "1.2.3\n",
        "include/lattice/version.h": "#define LAT_VERSION_MAJOR 1\n#define LAT_VERSION_MINOR 2\n#define LAT_VERSION_PATCH 4\n",
        "src/core/alloc.c": "void *p = malloc(3);\n",
        "src/core/context.c": 'char *e = getenv("X");\n',
        "src/core/bad_alloc.c": "char *p = 0;\nfree(p);\n",
        "src/core/bad_env.c": 'char *e = getenv("X");\n',
        "src/core/bad_print.c": 'fprintf(stderr, "no");\n',
        "src/core/bad_omp.c": "#pragma omp parallel for\n",
        "src/core/bad_vector.c": "typedef float v8 __attribute__((vector_size(32)));\n",
        "src/core/bad_intrinsics.c": "#include <immintrin.h>\n",
        "src/backend/cpu/kernel/vector_template.h": "typedef float v8 __attribute__((vector_size(32)));\n",
        "src/backend/cpu/kernel/simd_scalar.h": "static inline vf32 v_a(int n) {\n}\nstatic inline void v_b(float *p) {\n}\n",
        "src/backend/cpu/kernel/simd_fine.h": "static inline __m8 v_b(int n) {\n}\nstatic inline vf32 v_a(int n) {\n}\n",
        "src/backend/cpu/kernel/simd_bad_words.h": "static inline vf32 v_a(int n) {\n}\n",
        "src/core/bad_alloca.c": "p = alloca(3);\n",
        "src/core/fine.c": '// free(p)\n/* exit(1) */\nhooks->free(user);\nx = hooks.alloc(3);\nsnprintf(b, 3, "abort()");\n' + fine_function,
        "src/core/bad_length.c": long_function,
        "src/core/kernel/fine_kernel.c": long_function,
        "src/core/bad_size.c": "\n" * 601,
        "src/core/bad_header.h": "\n" * 301,
        "cli/fine.c": "\n",
        "cli/main.c": 'printf("x");\n',
    }
    # cli/fine.c has the name of src/core/fine.c.
    expected = {p for p in files if "bad_" in p} | {"include/lattice/version.h", "cli/fine.c"}
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                out.write(text)
        found = {line.split(":")[0] for line in violations(root)}
    if found != expected:
        print("check_source self-test: missed", sorted(expected - found), "wrongly found", sorted(found - expected))
        return 1
    print(f"check_source self-test: all {len(expected)} violations found, nothing else")
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
