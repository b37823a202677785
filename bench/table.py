#!/usr/bin/env python3
"""Prints a run of `lattice bench --json`, or one commit of a history file, as the Markdown table of docs/benchmarks.md.

usage: table.py FILE | FILE@COMMIT
exit codes: 0 done, 1 never, 2 the argument makes no sense
"""
import sys

from compare import BadInput, read_run


def cell(value, form):
    return "" if value is None else form.format(value)


def limit_of(entry):
    if entry.get("share_of_peak") is not None:
        return f"{100 * entry['share_of_peak']:.0f} % {entry.get('peak', 'fma')}"
    return "" if entry.get("share_of_bandwidth") is None else f"{100 * entry['share_of_bandwidth']:.0f} % copy"


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        run = read_run(sys.argv[1])
    except BadInput as error:
        print(f"table.py: {error}", file=sys.stderr)
        return 2
    print("| problem | map ms | first ms | ms | spread | GFLOP/s | of limit | x naive |")
    print("|---|---|---|---|---|---|---|---|")
    for entry in run.values():
        columns = [f"`{entry['problem']}`", cell(entry.get("map_ms"), "{:.2f}"), cell(entry.get("first_ms"), "{:.2f}"),
                   cell(entry["ms_median"], "{:.2f}"), cell(entry.get("spread"), "{:.1%}"), cell(entry.get("gflops"), "{:.0f}"),
                   limit_of(entry), cell(entry.get("speedup"), "{:.1f}")]
        print("| " + " | ".join(columns) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
