#!/usr/bin/env python3
"""Measures this library and its peers on the same problems in one run, in turn, each with its best settings.

usage: peers.py [--program build/release/lattice] [--threads 1,2] [--rounds 3] [--repeats 5] [--seconds 0.2]
                [--cpu-time] [--only TEXT] [--record [--history FOLDER]] [--no-install] [PEER ...]
       peers.py --table FILE | FILE@COMMIT     the table of the last commit in a history, or of that one; of several runs of
                                               a problem the last counts
       peers.py --self-test

Peers: torch, spconv, mlx, mlx_lattice, minkowski (default: all). They are installed into virtual environments under
build/peers from the package index on the first call; --no-install takes what this Python has. A peer that does not
install is listed with the reason; where MinkowskiEngine does not, peer_published.py's numbers stand in, scaled. Every round
measures each problem with each peer, one after another; the round with the least median counts. --cpu-time: CPU time
instead of wall time, for machines that others work on, one thread. --record appends to bench/history/peers-<CPU>.jsonl.

exit codes: 0 done, 1 a peer failed or disagrees, 2 the arguments make no sense
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import peer_environments  # noqa: E402
import peer_published  # noqa: E402

PEERS = ("torch", "spconv", "mlx", "mlx_lattice", "minkowski")


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


def parse(problem):
    """Keys of a problem string; numbers where they are numbers."""
    op, _, pairs = problem.partition(":")
    item = {"op": op}
    for key, _, value in (pair.partition("=") for pair in pairs.split(",")):
        item[key] = int(value) if value.isdigit() else value
    return item


# --- this library ---------------------------------------------------------------------------------------------------


class Lattice:
    def __init__(self, options):
        self.program, self.options = options.program, options

    def call(self, *arguments):
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"lattice {' '.join(arguments)}: {done.stderr.strip()[-300:]}")
        return done.stdout

    def limits(self):
        """Machine, CPU, commit, compiler, date; multiply-add limit of one thread."""
        with tempfile.TemporaryDirectory() as folder:
            self.call("bench", "limits", "--json", "--record", "--history", folder)
            [name] = os.listdir(folder)
            with open(os.path.join(folder, name), encoding="utf-8") as lines:
                return json.loads(lines.readline())

    def measure(self, problem, threads):
        options = ["--repeats", str(self.options.repeats), "--seconds", str(self.options.seconds)]
        if self.options.cpu_time:
            options.append("--cpu-time")
        line = json.loads(self.call("bench", "--json", *options, f"{problem},threads={threads}"))
        answer = {"run": {"median": line["ms_median"], "min": line["ms_min"]}, "edges": line["edges"],
                  "how": line["algorithm"], "gflops": line["gflops"], "peak": line["peak_gflops"], "products": None}
        if line["gflops"]:
            answer["products"] = line["gflops"] * line["ms_median"] * 1e6 / 2
        for key in ("map", "first"):
            if line[key + "_ms"] is not None:
                answer[key] = {"median": line[key + "_ms"]}
        return answer

    def layers(self, item):
        text = self.call("explain", "--network", item["name"], "--scene", item["scene"], "--threads", "1", "--json")
        return json.loads(text)["layers"]


# --- peers ----------------------------------------------------------------------------------------------------------


class Worker:
    """A peer in a process of its own, which keeps its thread count."""

    def __init__(self, peer, python, threads):
        count = str(threads)
        environment = dict(os.environ, OMP_NUM_THREADS=count, MKL_NUM_THREADS=count, OPENBLAS_NUM_THREADS=count)
        # What a peer frees stays with it: else every buffer of a layer is paged in anew.
        environment.update(MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="4294967296", MALLOC_TOP_PAD_="67108864")
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([python, os.path.join(HERE, "peer_worker.py"), peer, count], env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.name = self.read().get("name", peer)

    def read(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.errors.seek(0)
        last = self.errors.read().strip().splitlines() or ["ended without a word"]
        raise RuntimeError(last[-1][:200])

    def measure(self, problem, policy, shared):
        request = {"problem": problem, "policy": policy, "shared": shared}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def find_pythons(options):
    """{peer: its Python} and {peer: why it is not there}."""
    pythons, missing = {}, {}
    if options.no_install:
        modules = {"torch": "torch", "spconv": "spconv", "mlx": "mlx.core", "mlx_lattice": "mlx_lattice", "minkowski": "MinkowskiEngine"}
        for peer in options.peers:
            done = subprocess.run([sys.executable, "-c", f"import {modules[peer]}"], capture_output=True)
            if done.returncode:
                missing[peer] = "not installed here (--no-install)"
            else:
                pythons[peer] = sys.executable
        return pythons, missing
    for environment in peer_environments.environments(os.path.join(ROOT, "build", "peers")):
        environment.steps = {peer: step for peer, step in environment.steps.items() if peer in options.peers or peer == "torch"}
        if not set(environment.steps) & set(options.peers):
            continue
        for peer, reason in environment.ensure(say).items():
            if peer in options.peers:
                (missing if reason else pythons).__setitem__(peer, reason or environment.program)
    return pythons, missing


def open_workers(pythons, threads, missing):
    """A peer that is wrong (or does not start) with several threads is measured with one, and its name says so."""
    workers = {}
    for peer, python in pythons.items():
        for count in dict.fromkeys((threads, 1)):
            try:
                workers[peer] = Worker(peer, python, count)
            except (OSError, RuntimeError) as error:
                missing[peer if count == 1 else f"{peer} with {count} threads"] = str(error)
                continue
            if count != threads:
                workers[peer].name += " (one thread)"
            break
    return workers


# --- a run ----------------------------------------------------------------------------------------------------------


def agree(ours, theirs):
    """Whether both did the same work: the same edges, or for networks the same multiply-adds."""
    if theirs.get("edges") is not None and ours["edges"] is not None:
        return theirs["edges"] == ours["edges"]
    if theirs.get("products") and ours["products"]:
        return abs(theirs["products"] / ours["products"] - 1) < 1e-3
    return True


def less_disturbed(a, b):
    """Of two rounds each time from the one that was disturbed less."""
    if a is None or "error" in a or "error" in b:
        return b if a is None else a
    best = dict(b)
    for key in ("run", "map", "first"):
        if key in a and key in b and a[key]["median"] < b[key]["median"]:
            best[key] = a[key]
    if a.get("peak") and b.get("peak"):
        best["peak"] = max(a["peak"], b["peak"])
    return best


def measure_threads(options, lattice, problems, threads, limits, missing, pythons):
    """[{problem, threads, peer, …}] of one thread count."""
    policy = {"repeats": options.repeats, "seconds": options.seconds, "cpu_time": options.cpu_time}
    workers = open_workers(pythons, threads, missing)
    results = []
    for problem in problems:
        item, best = parse(problem), {}
        for round_number in range(options.rounds):
            say(f"{problem}, {threads} threads, round {round_number + 1} of {options.rounds}")
            best["lattice"] = less_disturbed(best.get("lattice"), lattice.measure(problem, threads))
            for peer, worker in workers.items():
                best[peer] = less_disturbed(best.get(peer), worker.measure(problem, policy, options.shared))
        if "minkowski" not in workers and "minkowski" in options.peers:
            layers = lattice.layers(item) if item["op"] == "network" else None
            scaled = peer_published.answer(item, threads, limits["fma_peak_gflops"], layers)
            if scaled:
                best["minkowski"] = scaled
        for peer, answer in best.items():
            name = workers[peer].name if peer in workers else peer_published.NAME if peer == "minkowski" else "lattice"
            same = peer == "lattice" or agree(best["lattice"], answer)
            results.append(dict(answer, problem=problem, threads=threads, peer=name, same_work=same))
    for worker in workers.values():
        worker.close()
    return results


def median(entry, key):
    return entry.get(key, {}).get("median")


def as_line(entry, ours, origin, clock):
    """One line of the history."""
    line = {"problem": entry["problem"], "threads": entry["threads"], "peer": entry["peer"], "clock": clock}
    for key in ("run", "map", "first"):
        line[key + "_ms"] = median(entry, key)
        if median(entry, key) and median(ours, key):
            line[key + "_times_ours"] = round(median(entry, key) / median(ours, key), 3)
    line.update(how=entry.get("how"), error=entry.get("error"), fma_peak_gflops=origin["fma_peak_gflops"])
    line.update({key: origin[key] for key in ("machine", "cpu", "commit", "compiler", "date", "level")})
    return line


# --- reports --------------------------------------------------------------------------------------------------------


def cell(line, key):
    value = line.get(key + "_ms")
    if value is None:
        return ""
    times = line.get(key + "_times_ours")
    return f"{value:.1f}" + (f" ({times:.1f}x)" if times and line["peer"] != "lattice" else "")


def print_table(lines):
    head = lines[0]
    print(f"{head['cpu']}, level {head['level']}, float32 limit of one thread {head['fma_peak_gflops']:.0f} GFLOP/s; "
          f"{head['clock']} time; commit {head['commit']}, {head['date']}\n")
    print("| problem | threads | who | map ms | first run ms | ms | how |")
    print("|---|---:|---|---:|---:|---:|---|")
    for line in lines:
        what = line.get("error") or line.get("how") or ""
        print(f"| `{line['problem']}` | {line['threads']} | {line['peer']} | {cell(line, 'map')} | {cell(line, 'first')} | "
              f"{cell(line, 'run')} | {what} |")
    print("\nin brackets: times as long as lattice")


def print_verdict(lines):
    """Whole networks, maps included: the best peer against us."""
    for problem, threads in dict.fromkeys((line["problem"], line["threads"]) for line in lines):
        if not problem.startswith("network"):
            continue
        same = [line for line in lines if (line["problem"], line["threads"]) == (problem, threads)]
        peers = [line for line in same if line["peer"] != "lattice" and line.get("first_times_ours")]
        for kind in ("measured", "measured or scaled"):
            some = [line for line in peers if kind != "measured" or "(scaled)" not in line["peer"]]
            if some:
                best = min(some, key=lambda line: line["first_times_ours"])
                print(f"{problem}, {threads} threads, map building included: {best['first_times_ours']:.2f} times as fast "
                      f"as the best {kind} peer ({best['peer']})")


def print_recorded(argument):
    path, _, commit = argument.partition("@")
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    lines = [line for line in lines if line["commit"].startswith(commit or lines[-1]["commit"])]
    lines = list({(line["problem"], line["threads"], line["peer"]): line for line in lines}.values())
    print_table(lines)
    print_verdict(lines)


def record(lines, folder, machine):
    path = os.path.join(folder, f"peers-{machine}.jsonl")
    with open(path, "a", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")
    say(f"appended {len(lines)} lines to {path}")


def self_test():
    """What needs no peer: the strings, the published numbers, the table."""
    item = parse("subm_conv3d:cin=64,cout=64,k=3,type=f32,scene=cpu_lidar")
    assert (item["op"], item["cin"], item["scene"]) == ("subm_conv3d", 64, "cpu_lidar")
    half = peer_published.answer(item, 1, 119.0, None)  # half of the limit that was there: twice the time
    assert half["run"]["median"] == 2 * 85.6 and half["map"]["median"] == 2 * 99.5, half
    assert peer_published.answer(dict(item, cin=48, cout=48), 1, 119.0, None) is None
    assert peer_published.answer(dict(item, scene="cpu_indoor"), 2, 119.0, None) is None  # not measured
    assert [round(peer_published.rate(c, c), 1) for c in (8, 16, 64, 256)] == [6.4, 12.8, 51.8, 75.0]
    layer = {"products": 5e8, "in_channels": 16, "channels": 16, "support": "same", "in_rows": 9, "rows": 9, "edges": 541927}
    run, first = peer_published.network_ms([layer, layer])  # one map for both
    assert abs(run - 2 * 1000 / 12.8) < 1e-9 and abs(first - run - 99.5) < 1e-9, (run, first)
    a = {"run": {"median": 2.0}, "map": {"median": 1.0}}
    assert less_disturbed(a, {"run": {"median": 1.0}, "map": {"median": 3.0}}) == {"run": {"median": 1.0}, "map": {"median": 1.0}}
    assert agree({"edges": 3, "products": 1.0}, {"edges": 3}) and not agree({"edges": 3, "products": 1.0}, {"edges": 4})
    assert not agree({"edges": None, "products": 1.0}, {"edges": None, "products": 1.1})
    text = "  error: subprocess-exited-with-error\n  TypeError: takes 1\n  [end of output]\nerror: metadata-generation-failed"
    assert peer_environments.reason_of(text) == "TypeError: takes 1" and peer_environments.reason_of("") == "no reason given"
    origin = dict.fromkeys(("machine", "cpu", "commit", "compiler", "date", "level", "fma_peak_gflops"), 1)
    entry = dict(a, problem="relation:k=3,s=1,scene=cpu_lidar", threads=1, peer="x")
    line = as_line(entry, {"run": {"median": 1.0}}, origin, "wall")
    assert line["run_times_ours"] == 2.0 and line["first_ms"] is None and cell(line, "run") == "2.0 (2.0x)", line
    print("peers.py: self-test passed")
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER")
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "lattice"))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--only", default="", help="problems that contain this text")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--history", default=os.path.join(ROOT, "bench", "history"), metavar="FOLDER")
    parser.add_argument("--no-install", action="store_true")
    parser.add_argument("--table", metavar="FILE")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    options.peers = options.peers or list(PEERS)
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        parser.error(f"no peer {', '.join(sorted(unknown))}: there are {', '.join(PEERS)}")
    options.threads = [int(count) for count in options.threads.split(",")]
    if options.cpu_time and options.threads != [1]:
        parser.error("--cpu-time takes --threads 1")
    options.shared = os.environ.get("LATTICE_SHARED") or os.path.join(ROOT, "..", "shared")
    return options


def main():
    options = arguments()
    if options.self_test:
        return self_test()
    if options.table:
        print_recorded(options.table)
        return 0
    if not os.access(options.program, os.X_OK):
        say(f"no program at '{options.program}': run make first")
        return 2
    with open(os.path.join(HERE, "peer_problems.txt"), encoding="utf-8") as file:
        problems = [line.strip() for line in file if line.strip() and not line.startswith("#") and options.only in line]
    if not problems:
        say(f"no problem of peer_problems.txt contains '{options.only}'")
        return 2
    lattice = Lattice(options)
    pythons, missing = find_pythons(options)
    pythons.pop("minkowski", None)  # no worker: see peer_published.py
    limits = lattice.limits()
    lines, wrong = [], []
    for threads in options.threads:
        results = measure_threads(options, lattice, problems, threads, limits, missing, pythons)
        ours = {entry["problem"]: entry for entry in results if entry["peer"] == "lattice"}
        wrong += [entry for entry in results if not entry["same_work"]]
        clock = "CPU" if options.cpu_time else "wall"
        lines += [as_line(entry, ours[entry["problem"]], limits, clock) for entry in results]
    print_table(lines)
    for peer, reason in missing.items():
        print(f"not there: {peer}: {reason}")
    print_verdict(lines)
    for entry in wrong:
        print(f"NOT THE SAME WORK: {entry['peer']} on {entry['problem']}")
    if options.record:
        record(lines, options.history, limits["machine"])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
