"""What the workers of all peers share: problem strings, scenes, the map in NumPy, the clock."""
import os
import statistics
import time

import numpy as np


def parse(problem):
    """A canonical problem string as a dict; numbers where they are numbers."""
    op, _, pairs = problem.partition(":")
    item = {"op": op}
    for pair in filter(None, pairs.split(",")):
        key, _, value = pair.partition("=")
        scale = {"k": 1000, "M": 1000000}.get(value[-1:], 1)
        digits = value[:-1] if scale > 1 else value
        item[key] = int(digits) * scale if digits.isdigit() else value
    if "cin" in item:
        item.setdefault("cout", item["cin"])
    return item


def scene_rows(item, shared):
    """(N, 3) int32 voxels of a scene, in the order of the scene."""
    if item["scene"] == "random":  # only the full cube: there is no other way to draw the same voxels
        side = round(item["n"] ** (1 / 3))
        if side**3 != item["n"] or item.get("density") != 1:
            raise ValueError("scene=random: only full cubes")
        axis = np.arange(side, dtype=np.int32)
        return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    with open(os.path.join(shared, "bench", item["scene"] + ".bin"), "rb") as file:
        values = np.fromfile(file, dtype=np.int32)
    rows = values[1:].reshape(-1, 3)
    return rows[: item["n"]] if "n" in item else rows


def offsets(size):
    """Kernel offsets in the order of kernel elements: z fastest, centred for odd sizes."""
    axis = np.arange(size) - (size // 2 if size % 2 else 0)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def pack_keys(rows, margin):
    """One int64 for each row, and the strides of the axes in it: neighbours within `margin` never wrap around."""
    low = rows.min(0).astype(np.int64) - margin
    extent = rows.max(0).astype(np.int64) + margin + 1 - low
    strides = np.array([extent[1] * extent[2], extent[2], 1], np.int64)
    return (rows.astype(np.int64) - low) @ strides, strides


def submanifold_map(rows, size):
    """[(in rows, out rows)] of each kernel element; None for the centre, where row i meets row i. Sorted keys and binary
    search for half of the kernel; the other half is its mirror."""
    keys, strides = pack_keys(rows, size // 2)
    order = np.argsort(keys)
    ordered = keys[order]
    taps = offsets(size)
    lists = [None] * len(taps)
    for k in range(len(taps) // 2):
        query = ordered + taps[k] @ strides
        place = np.searchsorted(ordered, query)
        place[place == len(ordered)] = 0
        hit = ordered[place] == query
        found, asked = order[place[hit]], order[hit]
        lists[k], lists[-1 - k] = (found, asked), (asked, found)
    return lists


def strided_map(rows):
    """Kernel 2, stride 2: the coarse rows, and [(in rows, out rows)] of each kernel element."""
    coarse = rows >> 1
    keys, _ = pack_keys(coarse, 0)
    _, first, out = np.unique(keys, return_index=True, return_inverse=True)
    element = (rows - 2 * coarse) @ np.array([4, 2, 1], rows.dtype)
    lists = []
    for k in range(8):
        found = np.flatnonzero(element == k)
        lists.append((found, out.reshape(-1)[found]))
    return coarse[first], lists


def count_edges(lists, n_rows):
    return sum(n_rows if pair is None else len(pair[0]) for pair in lists)


def dense_reference(rows, x, weight):
    """A 3x3x3 submanifold convolution of a few rows in double, as one would write it down. weight: (27, C_in, C_out)."""
    place = {tuple(row): i for i, row in enumerate(rows.tolist())}
    y = np.zeros((len(rows), weight.shape[2]))
    for o, row in enumerate(rows.tolist()):
        for k, tap in enumerate(offsets(3).tolist()):
            i = place.get((row[0] + tap[0], row[1] + tap[1], row[2] + tap[2]))
            if i is not None:
                y[o] += x[i].astype(np.float64) @ weight[k].astype(np.float64)
    return y


def repeat(function, policy):
    """Median, least and number of repeats in milliseconds: at least policy["repeats"] times and policy["seconds"]
    seconds; slow things stop after twenty times that and three repeats, as `lattice bench` does."""
    clock = time.process_time if policy["cpu_time"] else time.perf_counter
    times, begin = [], time.perf_counter()
    while True:
        elapsed = time.perf_counter() - begin
        if len(times) >= policy["repeats"] and elapsed >= policy["seconds"]:
            break
        if len(times) >= 3 and elapsed > 20 * policy["seconds"]:
            break
        start = clock()
        function()
        times.append(1e3 * (clock() - start))
    return {"median": statistics.median(times), "min": min(times), "n": len(times)}
