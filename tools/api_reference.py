#!/usr/bin/env python3
"""Writes docs/api/: one page for each public header, with every function, type and option and the comments beside them.

usage: api_reference.py [ROOT]          write the pages; pages without a header are removed
       api_reference.py --check [ROOT]  exit 1 and one line for each page that is missing, out of date or left over, and for
                                        each declaration without a comment or, where it can fail, without its errors
       api_reference.py --self-test     proves that every kind of finding is found
"""
import os
import re
import sys
import tempfile

import header_parser

FOLDER = os.path.join("docs", "api")
MARK = "*Written by `tools/api_reference.py` from `include/lattice/{name}`: change the header, not this page.*"


def escape(line):
    """Text of a comment as markdown: what is code stays, angle brackets and stars outside of it are taken literally."""
    if line.startswith("    "):
        return line
    parts = re.split(r"(`[^`]*`)", line)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([<*])", r"\\\1", parts[i])
    return "".join(parts)


def paragraphs(comment):
    """Lines of a comment, with the list of errors in a paragraph of its own. Code keeps its indent."""
    text = []
    for line in comment:
        before, found, after = line.partition("Errors:")
        if not line.startswith("    ") and found and before.count("`") % 2 == 0:
            if before.strip():
                text.append(escape(before.rstrip()))
            text += ["", "**Errors:** " + escape(after.strip())]
        else:
            text.append(escape(line))
    return text


def members(source):
    """(declaration, text) of each field of a struct or value of an enum."""
    body = source[1:-1]
    if len(source) == 1:
        body = [re.sub(r"^[^{]*\{|\}[^}]*$", "", source[0])]
    found, above, declaration = [], [], ""
    for line in body:
        if line.strip().startswith("///") and not line.strip().startswith("///<"):
            above.append(header_parser.comment_text(line))
            continue
        code, behind, text = line.partition("///<")
        code = re.sub(r"//.*", "", code).strip()
        if not code and behind and found:  # goes on from the line above
            found[-1] = (found[-1][0], (found[-1][1] + " " + text.strip()).strip())
            continue
        declaration = (declaration + " " + code).strip()
        if declaration and (declaration[-1] in ";," or source[0].startswith("typedef enum")):
            pieces = [declaration.rstrip(";,")]
            if source[0].startswith("typedef enum"):
                pieces = [piece.strip() for piece in declaration.split(",") if piece.strip()]
            found += [(piece, " ".join(above + [text.strip()]).strip()) for piece in pieces]
            above, declaration = [], ""
    return found


def table_cell(text):
    return escape(text).replace("|", "\\|")


def item_page(item):
    lines = ["### " + ", ".join(f"`{name}`" for name in item.names), ""]
    if item.kind in ("struct", "enum"):
        lines += paragraphs(item.comment) + [""]
        head = "field" if item.kind == "struct" else "value"
        lines += [f"| {head} | meaning |", "|---|---|"]
        lines += [f"| `{declaration}` | {table_cell(text)} |" for declaration, text in members(item.source)]
    else:
        source = item.source
        if item.kind == "inline":
            source = [re.sub(r"\s*\{.*", ";", source[0])]
        elif item.kind == "define":
            source = [re.sub(r"\s*\\$", "", source[0])] if len(source) == 1 else []
        if source:
            lines += ["```c"] + [re.sub(r"^LAT_API (LAT_CHECKED )?", "", line) for line in unindent(source)] + ["```", ""]
        lines += paragraphs(item.comment)
    return lines + [""]


def unindent(source):
    """Declarations with their arguments under the first bracket again, after the words in front are gone."""
    lines, gone = [], 0
    for line in source:
        word = re.match(r"LAT_API (LAT_CHECKED )?", line)
        if word:
            gone = len(word.group(0))
            lines.append(line)
        else:
            lines.append(line[gone:] if line[:gone].isspace() else line)
    return lines


def header_page(header):
    name = header.name
    lines = [f"# {name}", "", MARK.format(name=name), ""] + paragraphs(header.comment) + [""]
    functions = [item for item in header.items if item.kind in ("function", "inline")]
    if functions:
        lines += ["## Functions", ""] + [line for item in functions for line in item_page(item)]
    # An _INIT macro belongs to its struct: it needs no entry of its own.
    types = [item for item in header.items if item.kind not in ("function", "inline") and not item.names[0].endswith("_INIT")]
    if types:
        lines += ["## Types and constants", ""] + [line for item in types for line in item_page(item)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def summary(header):
    first = " ".join(header.comment).strip()
    return escape(re.split(r"(?<=[.!])\s", first)[0])


def index_page(headers):
    lines = ["# The C interface", "", "One page for each public header. `lattice.h` includes them all and states the rules that hold",
             "everywhere. Which function does which operation of the specification stands in [operations.md](../operations.md).", "",
             "| header | what |", "|---|---|"]
    for header in headers:
        page = header.name[:-2] + ".md"
        lines.append(f"| [{header.name}]({page}) | {summary(header)} |")
    return "\n".join(lines) + "\n"


def make_pages(root):
    headers = header_parser.parse_all(root)
    pages = {header.name[:-2] + ".md": header_page(header) for header in headers}
    pages["README.md"] = index_page(headers)
    return headers, pages


def find_bare(headers):
    """Functions and types that nothing is said about; functions with a status that do not say how they fail."""
    for header in headers:
        for item in header.items:
            said = " ".join(item.comment)
            if item.comment and "LAT_CHECKED" in item.source[0] and "Errors:" not in said and "Otherwise as" not in said:
                yield f"{header_parser.HEADER_FOLDER}/{header.name}: {item.names[0]} does not say its errors"
            if not item.comment and item.kind != "define":
                yield f"{header_parser.HEADER_FOLDER}/{header.name}: {item.names[0]} has no comment"


def old_text(path):
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def run(root, check):
    headers, pages = make_pages(root)
    folder = os.path.join(root, FOLDER)
    there = set(os.listdir(folder)) if os.path.isdir(folder) else set()
    if check:
        findings = list(find_bare(headers))
        findings += [f"{FOLDER}/{name}: out of date: run tools/api_reference.py" for name, text in sorted(pages.items())
                     if old_text(os.path.join(folder, name)) != text]
        return findings + [f"{FOLDER}/{name}: belongs to no header" for name in sorted(there - set(pages))]
    os.makedirs(folder, exist_ok=True)
    for name in there - set(pages):
        os.remove(os.path.join(folder, name))
    for name, text in pages.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    return list(find_bare(headers))


SELF_HEADER = """/// \\file a.h
/// A header about `a`. More.

#ifndef LATTICE_A_H
#define LATTICE_A_H

/// What a thing is.
typedef enum lat_thing {
  LAT_THING_ONE = 0, ///< the first,
                     ///< and only one
} lat_thing;

/// Options.
typedef struct lat_do_opts {
  size_t struct_bytes; ///< sizeof(lat_do_opts)
  /// Calls back.
  void (*run)(void *user, int n);
  const lat_view
      *mask; ///< <=> or NULL
} lat_do_opts;

#define LAT_DO_OPTS_INIT \\
  { 0 }

/// Does `*out` things * 2. Errors: BAD (NULL).
LAT_API LAT_CHECKED lat_status lat_do(int a,
                                      int b);
// --- a ruler between two groups ---
LAT_API int lat_count(int a); ///< how many
#endif
"""


def self_test():
    failed = 0

    def expect(what, condition):
        nonlocal failed
        if not condition:
            print(f"self-test: {what}")
            failed = 1

    with tempfile.TemporaryDirectory() as root:
        source = os.path.join(root, header_parser.HEADER_FOLDER, "a.h")
        page = os.path.join(root, FOLDER, "a.md")
        os.makedirs(os.path.dirname(source))

        def write(path, text):
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)

        write(source, SELF_HEADER)
        expect("missing pages are found", any("out of date" in line for line in run(root, True)))
        expect("a good header has no findings", run(root, False) == [] and run(root, True) == [])
        text = old_text(page)
        for part in ("### `lat_do`", "lat_status lat_do(int a,\n                  int b);", "Does `*out` things \\* 2.", "**Errors:** BAD (NULL).",
                     "### `lat_count`", "how many", "| `LAT_THING_ONE = 0` | the first, and only one |",
                     "| `void (*run)(void *user, int n)` | Calls back. |", "| `const lat_view *mask` | \\<=> or NULL |"):
            expect(f"the page has {part!r}", part in text)
        expect("an _INIT macro has no entry", "LAT_DO_OPTS_INIT" not in text)
        expect("the index has the summary", "| [a.h](a.md) | A header about `a`. |" in old_text(os.path.join(root, FOLDER, "README.md")))
        write(page, text + "x")
        expect("an old page is found", any("a.md: out of date" in line for line in run(root, True)))
        run(root, False)
        write(os.path.join(root, FOLDER, "b.md"), "")
        expect("a page without a header is found", any("b.md: belongs" in line for line in run(root, True)))
        write(source, SELF_HEADER.replace(" ///< how many", ""))
        run(root, False)
        expect("a page without a header is removed", not os.path.exists(os.path.join(root, FOLDER, "b.md")))
        expect("a shared comment is one entry", "### `lat_do`, `lat_count`" in old_text(page))
        write(source, SELF_HEADER.replace("Errors: BAD", "It may be BAD"))
        expect("a function that hides its errors is found", any("lat_do does not say" in line for line in run(root, False)))
        write(source, SELF_HEADER.replace(" ///< how many", "").replace("LAT_API int", "\nLAT_API int"))
        expect("a function without a comment is found", any("lat_count has no comment" in line for line in run(root, False)))
    print("api_reference self-test" + (": failed" if failed else ": passed"))
    return failed


def main(arguments):
    if "--self-test" in arguments:
        return self_test()
    places = [argument for argument in arguments if argument != "--check"]
    root = places[0] if places else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    findings = run(root, "--check" in arguments)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
