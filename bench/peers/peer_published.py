"""MinkowskiEngine's times where it does not install: measured once (version 0.5.4, PyTorch 1.13.1, OpenBLAS told to use
AVX-512, malloc told to keep its memory) on one machine with a float32 multiply-add limit of 238 GFLOP/s a core, and scaled
by the limit that this run measures.

On that machine two threads were rarely faster than one; the better of both stands for two threads.
"""
import math

PEAK_GFLOPS = 238.0  # of one core
NAME = "MinkowskiEngine 0.5.4 (scaled)"

# {(scene, c_in): (ms on one thread, the best of one and two threads)} of 3x3x3 submanifold layers, c_out = c_in
LAYERS = {
    ("cpu_lidar", 16): (21.7, 21.7), ("cpu_lidar", 32): (37.7, 37.7),
    ("cpu_lidar", 64): (85.6, 85.6), ("cpu_lidar", 128): (237.0, 210.0),
    ("cpu_indoor", 16): (129.0, None), ("cpu_indoor", 32): (224.0, None),
    ("cpu_indoor", 64): (486.0, None), ("cpu_indoor", 128): (1235.0, None),
}  # fmt: skip
DOWN = {("cpu_lidar", 32, 64): (9.7, 9.7), ("cpu_indoor", 32, 64): (20.0, None)}  # kernel 2, stride 2
MAPS = {("cpu_lidar", 3, 1): (99.5, 72.0), ("cpu_indoor", 3, 1): (356.0, None), ("cpu_lidar", 2, 2): (24.1, 24.1),
        ("cpu_indoor", 2, 2): (40.0, None)}
GFLOPS = [(16, 12.8), (32, 29.4), (64, 51.8), (128, 75.0)]  # lidar, one thread, at c_in = c_out
MAP_MS_PER_EDGE = 99.5 / 541927  # with the insertion of coordinates left out


def rate(c_in, c_out):
    """GFLOP/s of a layer: between the measured channels by line in the logarithm, beyond them as at the last."""
    channels = math.sqrt(c_in * c_out)
    if channels <= GFLOPS[0][0]:
        return GFLOPS[0][1] * channels / GFLOPS[0][0]
    for (low, below), (high, above) in zip(GFLOPS, GFLOPS[1:]):
        if channels <= high:
            return below + (above - below) * math.log(channels / low) / math.log(high / low)
    return GFLOPS[-1][1]


def network_ms(layers):
    """(later runs, first run) of a network from the layers of `lattice explain --json`: convolutions at the measured
    rates, maps at the measured time an edge; norms, sums and activations count nothing."""
    run = maps = 0.0
    seen = set()
    for layer in layers:
        if layer["products"] <= 0:
            continue
        run += 2e-6 * layer["products"] / rate(layer["in_channels"], layer["channels"])
        key = (layer["support"], layer["in_rows"], layer["rows"], layer["edges"])
        if layer["edges"] > 0 and layer["support"] in ("same", "floor") and key not in seen:
            seen.add(key)
            maps += MAP_MS_PER_EDGE * layer["edges"]
    return run, run + maps


def answer(item, threads, peak_of_one, layers):
    """What a worker would answer, or None where there is no number. `layers`: of the network."""
    scale, place = PEAK_GFLOPS / peak_of_one, 0 if threads == 1 else 1
    if threads > 2:
        return None
    if item["op"] == "network":
        run, first = network_ms(layers)
        return {"run": {"median": run * scale}, "first": {"median": first * scale}, "how": "sum over layers"}
    scene, size, stride = item["scene"], item.get("k", 3), item.get("s", 1)
    times = map_times = MAPS.get((scene, size, stride))
    if item["op"] == "subm_conv3d":
        times = LAYERS.get((scene, item["cin"])) if item["cin"] == item["cout"] and size == 3 else None
    elif item["op"] == "conv3d":
        times = DOWN.get((scene, item["cin"], item["cout"])) if (size, stride) == (2, 2) else None
    if not times or times[place] is None:
        return None
    found = {"run": {"median": times[place] * scale}, "how": "table, scaled"}
    if map_times and map_times[place]:
        found["map"] = {"median": map_times[place] * scale}
    return found
