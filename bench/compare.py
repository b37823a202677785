#!/usr/bin/env python3
"""Compares two runs of `lattice bench --json` (or two commits of a history file) problem by problem.

usage: compare.py A B [--limit PERCENT]     A, B: a file of JSON lines, or FILE@COMMIT for one commit of a history
       compare.py --self-test

A problem is slower when B's median exceeds A's by more than the limit (default 5 %) beyond the spread: the larger of the
two runs' quartile ranges, as a share of the median. Where a file measures a problem more than once, the last one counts.

exit codes: 0 nothing is slower, 1 something is slower or missing in B, 2 the arguments make no sense
"""
import argparse
import json
import sys
import tempfile


class BadInput(Exception):
    pass


def read_run(argument):
    """{(problem, level, threads): measurement} of a FILE or FILE@COMMIT."""
    path, _, commit = argument.partition("@")
    try:
        with open(path, encoding="utf-8") as lines:
            text = lines.readlines()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    run = {}
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            key = (entry["problem"], entry["level"], entry["threads"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{path}:{number}: no line of `lattice bench --json`: {error}") from error
        if key[0] == "limits" or (commit and not entry.get("commit", "").startswith(commit)):
            continue
        run[key] = entry
    if not run:
        raise BadInput(f"{argument}: no measurements")
    return run


def allowed_ratio(a, b, limit):
    return 1.0 + limit + max(a.get("spread") or 0.0, b.get("spread") or 0.0)


def compare(run_a, run_b, limit, out=sys.stdout):
    """Prints the table and returns the number of problems that are slower or missing in B."""
    n_bad = 0
    print(f"{'A ms':>10} {'B ms':>10} {'B/A':>6} {'allowed':>8}  problem", file=out)
    for key, a in run_a.items():
        name = f"{key[0]} [{key[1]}, {key[2]} threads]"
        b = run_b.get(key)
        if b is None:
            print(f"{a['ms_median']:10.3f} {'-':>10} {'-':>6} {'-':>8}  {name}: MISSING", file=out)
            n_bad += 1
            continue
        ratio = b["ms_median"] / a["ms_median"] if a["ms_median"] else 1.0
        allowed = allowed_ratio(a, b, limit)
        verdict = ""
        if ratio > allowed:
            verdict = "SLOWER"
            n_bad += 1
        elif ratio < 1.0 / allowed:
            verdict = "faster"
        print(f"{a['ms_median']:10.3f} {b['ms_median']:10.3f} {ratio:6.2f} {allowed:8.2f}  {name} {verdict}".rstrip(),
              file=out)
    for key in run_b.keys() - run_a.keys():
        print(f"{'-':>10} {run_b[key]['ms_median']:10.3f} {'-':>6} {'-':>8}  {key[0]} new", file=out)
    machines = {entry.get("machine") for entry in (*run_a.values(), *run_b.values())} - {None}
    if len(machines) > 1:
        print(f"note: the runs come from different machines: {', '.join(sorted(machines))}", file=out)
    return n_bad


def self_test():
    def run(**times):
        return {(p, "avx2", 1): {"ms_median": ms, "spread": spread} for p, (ms, spread) in times.items()}

    with tempfile.TemporaryFile("w") as sink:
        base = run(x=(10.0, 0.02), y=(5.0, 0.0))
        cases = [
            (run(x=(10.6, 0.02), y=(5.2, 0.0)), 0),  # within 5 % and the spread
            (run(x=(10.8, 0.02), y=(5.0, 0.0)), 1),  # 8 % > 5 % + 2 %
            (run(x=(10.8, 0.05), y=(5.0, 0.0)), 0),  # the other run's spread counts, too
            (run(x=(10.0, 0.02)), 1),                # y is missing
            (run(x=(20.0, 0.02), y=(9.0, 0.0)), 2),
            (run(x=(1.0, 0.0), y=(1.0, 0.0), z=(1.0, 0.0)), 0),
        ]
        for other, expected in cases:
            assert compare(base, other, 0.05, sink) == expected, (other, expected)
        assert compare(base, cases[1][0], 0.10, sink) == 0
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as history:
        for commit, ms in (("aaa", 1.0), ("bbb", 2.0), ("bbb", 3.0)):
            entry = {"problem": "relu", "level": "avx2", "threads": 1, "ms_median": ms, "spread": 0.0, "commit": commit}
            history.write(json.dumps(entry) + "\n")
        history.write(json.dumps({"problem": "limits", "level": "avx2", "threads": 1}) + "\n")
        history.flush()
        [a], [b] = read_run(history.name + "@aa").values(), read_run(history.name).values()
        assert (a["ms_median"], b["ms_median"]) == (1.0, 3.0)
        for argument in (history.name + "@ccc", history.name + ".none", __file__):
            try:
                read_run(argument)
            except BadInput:
                continue
            raise AssertionError(argument)
    print("compare.py: self-test passed")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--limit", type=float, default=5.0, metavar="PERCENT")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    if len(arguments.runs) != 2:
        parser.error("two runs are needed")
    try:
        run_a, run_b = read_run(arguments.runs[0]), read_run(arguments.runs[1])
    except BadInput as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    n_bad = compare(run_a, run_b, arguments.limit / 100.0)
    print(f"{n_bad} of {len(run_a)} problems are slower or missing" if n_bad else "nothing is slower")
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
