#!/usr/bin/env python3
"""Runs one peer: reads requests from stdin, one JSON object a line, and answers each with one. peers.py starts it.

usage: peer_worker.py PEER THREADS       PEER: torch, spconv, mlx, mlx_lattice
"""
import importlib
import json
import os
import sys

import numpy as np

import peer_common as common


def check(peer):
    """The peer's convolution of a block against the naive one, several times: threads may get in each other's way now and
    then. Raises when they differ."""
    random = np.random.default_rng(3)
    rows = random.permutation(np.unique(random.integers(-9, 9, (3000, 3)), axis=0)).astype(np.int32)
    x = random.uniform(-1, 1, (len(rows), 8)).astype(np.float32)
    weight = random.uniform(-1, 1, (27, 8, 16)).astype(np.float32)
    expected = common.dense_reference(rows, x, weight)
    for _ in range(10):
        for y in peer.check(rows, x, weight):
            worst = np.abs(y - expected).max()
            if not worst < 1e-4:
                raise ValueError(f"wrong result: off by {worst}")


def measure(case, item, policy):
    answer = {"edges": case.edges, "how": case.how, "products": getattr(case, "products", None)}
    if hasattr(case, "build_map"):
        answer["map"] = common.repeat(case.build_map, policy)
    if item["op"] == "relation":
        answer["run"] = answer["map"]
        return answer
    if item["op"] == "network":

        def first():
            case.build_map()
            case.run()

        answer["first"] = common.repeat(first, policy)
    answer["run"] = common.repeat(case.run, policy)
    return answer


def main():
    peer = importlib.import_module("peer_" + sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not fall among the answers
    peer.start(int(sys.argv[2]))
    check(peer)
    print(json.dumps({"name": peer.name()}), file=answers, flush=True)
    problem, case, item = None, None, None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["problem"] != problem:
                problem, case = None, None
                item = common.parse(request["problem"])
                case = peer.open_problem(item, common.scene_rows(item, request["shared"]))
                problem = request["problem"]
            answer = measure(case, item, request["policy"])
        except Exception as error:  # one problem that a peer cannot do is no reason to lose the others
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
