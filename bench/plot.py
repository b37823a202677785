#!/usr/bin/env python3
"""Measures how time grows with channels, voxels and threads and draws it: channels.png, voxels.png, threads.png.

usage: plot.py [--program build/release/lattice] [--out out/plots] [--quick] [--no-install]
       plot.py --data FILE [--out FOLDER]      draws what an earlier run left in FOLDER/plots.jsonl

Pictures need matplotlib: it is installed into build/plots on the first call; --no-install takes what this Python has.
Without the shared data (LATTICE_SHARED, else ../shared) the simulated street takes the place of cpu_lidar.
exit codes: 0 done, 2 the arguments make no sense
"""
import argparse
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NETWORK = "sparse_resunet42"


def say(text):
    print(f"plot.py: {text}", file=sys.stderr, flush=True)


def scene():
    shared = os.environ.get("LATTICE_SHARED") or os.path.join(ROOT, "..", "shared")
    return "cpu_lidar" if os.path.exists(os.path.join(shared, "bench", "cpu_lidar.bin")) else "street"


def thread_counts():
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    counts = [count for count in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128) if count < most]
    return counts + [most]


def problems(quick):
    where = "scene=street,n=5k,voxel=0.2" if quick else f"scene={scene()}"
    channels = "16,32" if quick else "16,32,64,128,256"
    voxels = "1k,3k" if quick else "10k,30k,100k,300k,1M"
    threads = ",".join(map(str, thread_counts()))
    return {
        "channels": [f"subm_conv3d:cin={channels},k=3,type=f32,bf16,{where},threads=1",
                     f"subm_conv3d:cin={channels},k=3,type=f32,grad=x,weight,{where},threads=1"],
        "voxels": [f"subm_conv3d:cin=64,k=3,scene=random,density=0.2,n={voxels},order=lex,threads=1",
                   f"relation:k=3,mode=subm,scene=random,density=0.2,n={voxels},order=lex,threads=1"],
        "threads": [f"subm_conv3d:cin=16,64,k=3,{where},threads={threads}", f"relation:k=3,mode=subm,{where},threads={threads}",
                    f"network:name={NETWORK},{where},threads={threads}"],
    }


def measure(options):
    """Lines of `lattice bench --json`, each with the picture it belongs to."""
    lines = []
    speed = ["--repeats", "1", "--seconds", "0.001"] if options.quick else ["--repeats", "5", "--seconds", "0.2"]
    for picture, texts in problems(options.quick).items():
        say(f"measuring {picture}")
        done = subprocess.run([options.program, "bench", "--json", *speed, *texts], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"plot.py: lattice bench: {done.stderr.strip()[-400:]}")
        lines += [dict(json.loads(line), picture=picture) for line in done.stdout.splitlines()]
    path = os.path.join(options.out, "plots.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return lines


def keys(line):
    """{key: value} of the problem, and the operator."""
    op, _, pairs = line["problem"].partition(":")
    return op, dict(pair.split("=", 1) for pair in pairs.split(","))


def series(lines, picture, name, x, y):
    """{name: sorted [(x, y)]} of the lines of a picture."""
    found = {}
    for line in lines:
        if line["picture"] == picture:
            op, item = keys(line)
            found.setdefault(name(op, item), []).append((x(line, item), y(line)))
    return {label: sorted(points) for label, points in found.items()}


def draw(axis, found, labels, limit=None):
    for label, points in found.items():
        axis.plot(*zip(*points), marker="o", label=label)
    if limit:
        axis.plot(*zip(*limit), linestyle="--", color="grey", label="float32 limit")
    axis.set(xlabel=labels[0], ylabel=labels[1], title=labels[2])
    axis.set_xscale("log")
    places = sorted({x for points in found.values() for x, _ in points})
    axis.set_xticks(places, [f"{x // 1000}k" if x >= 1000 else str(x) for x in places])
    axis.minorticks_off()
    axis.grid(True, which="both", alpha=0.3)
    axis.legend()


def draw_channels(lines, pyplot):
    def name(op, item):
        return f"{item['type']} forward" if "grad" not in item else f"{item['type']} gradient of {item['grad']}"

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5))
    times = series(lines, "channels", name, lambda line, item: int(item["cin"]), lambda line: line["ms_median"])
    rates = series(lines, "channels", name, lambda line, item: int(item["cin"]), lambda line: line["gflops"])
    peaks = [line["peak_gflops"] for line in lines if line["picture"] == "channels" and line["peak"] == "fma"]
    edges = next(line["edges"] for line in lines if line["picture"] == "channels")
    widths = sorted({x for points in times.values() for x, _ in points})
    draw(left, times, ("channels", "ms", f"3x3x3 layer, {edges} edges, one thread"),
         [(c, 2e-6 * edges * c * c / max(peaks)) for c in widths])
    left.set_yscale("log")
    draw(right, rates, ("channels", "GFLOP/s", "the same, rate"), [(c, max(peaks)) for c in widths])
    right.set_ylim(bottom=0)
    return figure


def draw_voxels(lines, pyplot):
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5))

    def name(op, item):
        return "map" if op == "relation" else "layer, C = 64"

    times = series(lines, "voxels", name, lambda line, item: line["n_in"], lambda line: line["ms_median"])
    each = series(lines, "voxels", name, lambda line, item: line["n_in"], lambda line: 1e6 * line["ms_median"] / line["edges"])
    draw(left, times, ("voxels", "ms", "3x3x3 submanifold, one thread"))
    left.set_yscale("log")
    draw(right, each, ("voxels", "ns for each edge", "the same, for each edge"))
    right.set_ylim(bottom=0)
    return figure


def draw_threads(lines, pyplot):
    def name(op, item):
        return {"relation": "map", "network": NETWORK}.get(op) or f"layer, C = {item['cin']}"

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5))
    times = series(lines, "threads", name, lambda line, item: line["threads"], lambda line: line["ms_median"])
    gains = {label: [(x, points[0][1] / y) for x, y in points] for label, points in times.items()}
    draw(left, times, ("threads", "ms", "time, relation cached"))
    left.set_yscale("log")
    counts = sorted({x for points in times.values() for x, _ in points})
    draw(right, gains, ("threads", "times as fast as one", "gain"))
    right.plot(counts, counts, linestyle="--", color="grey")
    return figure


def find_pyplot(options):
    """matplotlib of this Python, or None: then main starts itself again in the environment that has it."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        return pyplot
    except ImportError:
        if options.no_install:
            raise SystemExit("plot.py: no matplotlib in this Python") from None
        return None


def restart(options):
    """Draws in build/plots, where matplotlib is installed on the first call."""
    folder = os.path.join(ROOT, "build", "plots")
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        say("installing matplotlib into build/plots")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "matplotlib"], check=True)
    data = os.path.join(options.out, "plots.jsonl") if not options.data else options.data
    command = [python, os.path.abspath(__file__), "--data", data, "--out", options.out, "--no-install"]
    return subprocess.run(command).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "lattice"))
    parser.add_argument("--out", default=os.path.join(ROOT, "out", "plots"))
    parser.add_argument("--data")
    parser.add_argument("--quick", action="store_true", help="a few small problems: shows that the script works")
    parser.add_argument("--no-install", action="store_true")
    options = parser.parse_args()
    if not options.data and not os.access(options.program, os.X_OK):
        say(f"no program at '{options.program}': run make first")
        return 2
    os.makedirs(options.out, exist_ok=True)
    if options.data:
        with open(options.data, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    else:
        lines = measure(options)
    pyplot = find_pyplot(options)
    if pyplot is None:
        return restart(options)
    for name, make in (("channels", draw_channels), ("voxels", draw_voxels), ("threads", draw_threads)):
        figure = make(lines, pyplot)
        figure.tight_layout()
        path = os.path.join(options.out, name + ".png")
        figure.savefig(path, dpi=110)
        say(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
