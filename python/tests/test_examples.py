"""The example programs run."""
import importlib
import os
import re
import runpy
import subprocess
import sys

import pytest
from conftest import ROOT, need

import lattice

FOLDER = os.path.join(ROOT, "examples", "python")


def run(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["numpy", "torch", "mlx"])
def test_quickstart_example(name, capsys):
    need(name)
    try:  # here, since to import PyTorch again takes seconds
        runpy.run_path(os.path.join(FOLDER, "quickstart.py"))["main"](name)
    finally:
        lattice.use("numpy")
    out = capsys.readouterr().out
    assert "[48.0, 64.0, 64.0, 48.0]" in out and "[[0, 0, 0, 0], [0, 1, 0, 0], [0, 11, 9, 8]]" in out


def test_training_example_learns():
    need("torch")
    out = run(os.path.join(FOLDER, "train_tiny.py"), "--steps", "24")
    scores = [float(line.split("mIoU")[1].split()[0]) for line in out.splitlines() if "mIoU" in line]
    assert scores[-1] > scores[0] + 0.2


def test_the_walk_of_the_quickstart_page():
    text = open(os.path.join(ROOT, "docs", "quickstart.md"), encoding="utf-8").read()
    blocks = [part.split("```", 1)[0] for part in text.split("```python\n")[1:]]
    assert len(blocks) == 10 and all("```c\n" in text for _ in blocks)
    out = run("-c", "\n".join([*blocks, "print(summary.shape, merged.shape, again.shape, voxels.coords.tolist())"]))
    assert "[48. 64. 64. 48.] True" in out and "(2, 32)" in out
    assert "(1, 32) (4, 64) (3, 8) [[0, 0, 0, 0], [0, 1, 0, 0], [0, 11, 9, 8]]" in out


@pytest.mark.parametrize("page", ["README.md", os.path.join("docs", "python.md")])
def test_first_block_of_the_page_runs(page):
    text = open(os.path.join(ROOT, page), encoding="utf-8").read()
    block = text.split("```python\n", 1)[1].split("```", 1)[0]
    assert "SparseTensor(" in run("-c", block)


@pytest.mark.parametrize("page", ["migration.md", "python.md", "quickstart.md"])
def test_names_on_the_pages_exist(page):
    text = open(os.path.join(ROOT, "docs", page), encoding="utf-8").read()
    nn = importlib.import_module("lattice.numpy.nn")
    for module, name in ((lattice.ops, "ops"), (nn, "nn"), (lattice, "lattice")):
        # lattice.torch is a package to import, nn.h a header.
        used = set(re.findall(rf"(?<![\w./]){name}\.(\w+)", text)) - {"mlx", "torch", "numpy", "h"}
        assert [found for found in sorted(used) if not hasattr(module, found)] == []
