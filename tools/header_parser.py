"""Reads the public headers: what each declares, with its comment. Shared by operations.py and api_reference.py.

The headers keep to a few forms (clang-format holds them there): a `///` block stands right above what it describes,
`///<` behind it; a blank line ends a block. That is enough to read them without a compiler.
"""
import os
import re

HEADER_FOLDER = os.path.join("include", "lattice")


class Item:
    """One declaration, or several that share a comment. `kind` is function, inline, struct, enum, typedef or define."""

    def __init__(self, kind, names, comment, source):
        self.kind = kind
        self.names = names
        self.comment = comment  # lines without the slashes
        self.source = source    # lines as they stand in the header


class Header:
    def __init__(self, name, comment, items):
        self.name = name
        self.comment = comment
        self.items = items

    def functions(self):
        return [name for item in self.items if item.kind == "function" for name in item.names]


def comment_text(line):
    return re.sub(r"^\s*/// ?", "", line.rstrip())


def declaration_end(lines, start):
    """Index behind the declaration that starts at `start`."""
    first = lines[start]
    if first.startswith("#"):
        end = start
        while lines[end].rstrip().endswith("\\"):
            end += 1
        return end + 1
    depth, end, seen_brace = 0, start, False
    while end < len(lines):
        code = re.sub(r"//.*", "", lines[end])
        depth += code.count("{") - code.count("}")
        seen_brace = seen_brace or "{" in code
        done = code.rstrip().endswith(";") if not first.startswith("static inline") else (seen_brace and code.strip() == "}")
        end += 1
        if depth == 0 and done:
            break
    return end


def classify(source):
    """(kind, name) of a declaration, or None for what is no part of the interface."""
    text = " ".join(re.sub(r"//.*", "", line) for line in source)
    if text.startswith("#define"):
        name = re.match(r"#define\s+(\w+)", text).group(1)
        return None if name.endswith("_H") or name in ("LAT_API", "LAT_CHECKED", "LAT_PRINTF") else ("define", name)
    if text.startswith("LAT_API"):
        return "function", re.search(r"\b(lat_\w+)\s*\(", text.replace("LAT_PRINTF", "")).group(1)
    if text.startswith("static inline"):
        return "inline", re.search(r"\b(lat_\w+)\s*\(", text).group(1)
    if text.startswith("typedef enum"):
        return "enum", re.search(r"(\w+)\s*;\s*$", text).group(1)
    if text.startswith("typedef struct") and "{" in text:
        return "struct", re.search(r"(\w+)\s*;\s*$", text).group(1)
    if text.startswith("typedef"):
        callback = re.search(r"\(\*(\w+)\)", text)
        return "typedef", callback.group(1) if callback else re.search(r"(\w+)\s*;\s*$", text).group(1)
    return None


def parse(path):
    with open(path, encoding="utf-8") as stream:
        lines = stream.read().split("\n")
    file_comment, items, comment, previous = [], [], [], None
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.startswith("/// \\file"):
            index += 1
            while lines[index].startswith("///"):
                file_comment.append(comment_text(lines[index]))
                index += 1
            continue
        if line.startswith("///"):
            comment.append(comment_text(line))
            previous = None
            index += 1
            continue
        if not line.strip():
            comment, previous = [], None
            index += 1
            continue
        if line.startswith(("// ", "#if", "#endif", "#else", "#include", 'extern "C"', "}")):
            index += 1
            continue
        end = declaration_end(lines, index)
        source = lines[index:end]
        index = end
        what = classify(source)
        if what is None:
            continue
        kind, name = what
        behind = re.search(r"///< ?(.*)", source[-1]) if kind == "function" else None
        if behind:
            source = source[:-1] + [re.sub(r"\s*///<.*", "", source[-1])]
            comment = [behind.group(1)]
        if previous is not None and not comment and previous.kind == kind:  # shares the comment above
            previous.names.append(name)
            previous.source += source
            continue
        previous = Item(kind, [name], comment, source)
        items.append(previous)
        comment = []
        if behind:
            previous = None
    return Header(os.path.basename(path), file_comment, items)


def parse_all(root):
    folder = os.path.join(root, HEADER_FOLDER)
    return [parse(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.endswith(".h")]
