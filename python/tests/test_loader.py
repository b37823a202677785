"""Loading: missing, foreign, old and wrong libraries, a foreign package, and an import without any array library."""
import os
import shutil
import subprocess
import sys

import pytest

import lattice
from lattice import _library


def python(code, **environment):
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)


def test_import_needs_no_array_library():
    done = python("import sys, lattice; print(sorted({'numpy', 'torch', 'mlx', 'jax'} & set(sys.modules)))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_missing_library(tmp_path):
    done = python("import lattice", LATTICE_LIBRARY_PATH=str(tmp_path))
    assert done.returncode != 0
    assert "ImportError: lattice: the shared library liblattice was not found" in done.stderr
    assert f"{tmp_path}/liblattice.so.0: no such file" in done.stderr


def build(tmp_path, source):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("skipped: no C compiler")
    (tmp_path / "fake.c").write_text(source)
    out = tmp_path / "liblattice.so.0"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(out), str(tmp_path / "fake.c")], check=True)
    return out


def test_another_version(tmp_path):
    out = build(tmp_path, 'const char *lat_version(void) { return "7.2.0"; }')
    done = python("import lattice", LATTICE_LIBRARY_PATH=str(tmp_path))
    assert f"different versions: got 7.2.0 in {out}, expected {lattice.__version__}" in done.stderr


def test_an_older_library(tmp_path):
    out = build(tmp_path, f'const char *lat_version(void) {{ return "{lattice.__version__}"; }}')
    done = python("import lattice", LATTICE_LIBRARY_PATH=str(tmp_path))
    assert f"{out} is older than the Python package" in done.stderr and "it lacks lat_" in done.stderr


def test_not_a_library(tmp_path):
    build(tmp_path, "int nothing;")
    assert "is no Lattice library" in python("import lattice", LATTICE_LIBRARY_PATH=str(tmp_path)).stderr


def test_a_foreign_package_of_the_same_name(tmp_path):
    (tmp_path / "lattice").mkdir()
    (tmp_path / "lattice" / "__init__.py").write_text("")
    ours = os.path.dirname(os.path.dirname(lattice.__file__))
    shutil.copytree(os.path.join(ours, "lattice_sparse"), tmp_path / "lattice_sparse")
    done = python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lattice_sparse")
    assert "the package 'lattice' is not ours" in done.stderr and str(tmp_path) in done.stderr
    assert python("import lattice_sparse; print(lattice_sparse.SparseTensor)").returncode == 0


@pytest.mark.parametrize(
    "status, kind",
    [(1, ValueError), (2, ValueError), (3, ValueError), (4, RuntimeError), (5, MemoryError), (6, ValueError),
     (7, ValueError), (8, OSError), (9, RuntimeError), (10, RuntimeError)],
)  # fmt: skip
def test_every_status_is_an_exception_with_the_same_text(status, kind):
    _library.lib.lat_fail(status, b"op: what was wrong: got X, expected Y")
    with pytest.raises(kind, match="^op: what was wrong: got X, expected Y$"):
        _library.check(status)
    _library.check(0)


def test_memory_cap_and_threads():
    import numpy as np

    x = lattice.SparseTensor(np.zeros((1, 4), np.int32), np.zeros((1, 1), np.float32))
    try:
        lattice.set_options(memory_cap_bytes=4096, threads=2)
        with pytest.raises(MemoryError):
            lattice.ops.to_dense(x, shape=100)
    finally:
        lattice.set_options()
    assert lattice.ops.to_dense(x, shape=2).shape == (1, 2, 2, 2, 1)


def test_calls_after_the_context_is_closed():
    code = """
import threading
import numpy as np
import lattice
from lattice import SparseTensor, ops
x = SparseTensor(np.zeros((1, 4), np.int32), np.ones((1, 2), np.float32))
y = ops.relu(x)
lattice.close()
def refused():
    for call in (lambda: ops.relu(x), lambda: ops.linear(x, np.ones((2, 2), np.float32)), lambda: SparseTensor(x.coords, x.feats)):
        try:
            call()
        except RuntimeError as error:
            assert "the context is closed" in str(error), error
        else:
            raise AssertionError("went through")
    print("refused")
refused()
other = threading.Thread(target=refused)
other.start()
other.join()
assert y.feats.tolist() == [[1, 1]] and y.coords.tolist() == [[0, 0, 0, 0]]
lattice.set_options()
assert ops.relu(y).feats.tolist() == [[1, 1]]
print("open")
"""
    done = python(code)
    assert done.stdout.split() == ["refused", "refused", "open"], done.stderr


def heavy():
    import numpy as np

    cells = np.random.default_rng(0).permutation(48**3)[:30000]
    rows = np.stack([np.zeros(len(cells)), *np.unravel_index(cells, (48, 48, 48))], 1).astype(np.int32)
    feats = np.ones((len(rows), 64), np.float32)
    weight = np.ones((64, 3, 3, 3, 64), np.float32)
    points = np.random.default_rng(1).uniform(0, 50, (400000, 3)).astype(np.float32)
    ones = np.ones((len(points), 1), np.float32)
    x = lattice.SparseTensor(rows, feats)
    return {
        "conv3d": lambda: lattice.ops.conv3d(x, weight, stride=2),
        "voxelize": lambda: lattice.ops.voxelize(points, ones, 0.5),
    }


@pytest.mark.parametrize("name", ["conv3d", "voxelize"])
def test_other_threads_run_during_a_heavy_call(name):
    import threading
    import time

    call, counted, stop = heavy()[name], [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0.0005)

    lattice.set_options(threads=1)
    thread = threading.Thread(target=count)
    thread.start()
    try:
        best = 0
        for _ in range(20):  # busy machines may not run the other thread at once
            before, start = counted[0], time.perf_counter()
            call()
            took = time.perf_counter() - start
            best = max(best, counted[0] - before)
            if best >= 6:
                break
    finally:
        stop.set()
        thread.join()
        lattice.set_options()
    # With the lock held the other thread would count once or twice, before the call and after it.
    assert best >= 6, f"{best} counts in {took:.3f} s"


def test_seed_of_dropout():
    import numpy as np

    x = lattice.SparseTensor(np.zeros((64, 4), np.int32), np.ones((64, 8), np.float32))
    a, b = lattice.ops.dropout(x).feats, lattice.ops.dropout(x).feats
    assert (a != b).any() and 0.2 < (a == 0).mean() < 0.8


def test_threads_share_tensors():
    import threading

    import numpy as np

    rows = np.stack([np.zeros(400), *np.unravel_index(np.arange(400), (8, 8, 8))], 1).astype(np.int32)
    x = lattice.SparseTensor(rows, np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32))
    weight = np.ones((8, 3, 3, 3, 8), np.float32)
    want = lattice.ops.conv3d(x, weight, stride=2)
    found, errors = [], []

    def work():
        try:
            for _ in range(20):
                found.append(lattice.ops.conv3d(x, weight, stride=2))
        except Exception as error:  # pragma: no cover
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(found) == 80
    assert all((y.feats == want.feats).all() and y.same_coords(want) for y in found)



@pytest.mark.skipif(not hasattr(os, "fork"), reason="skipped: no fork here")
def test_a_child_process_works_and_ends():
    code = """
import os, sys, time
import numpy as np
import lattice
lattice.set_options(threads=2)
rows = np.stack([np.zeros(8000), *np.unravel_index(np.arange(8000), (20, 20, 20))], 1).astype(np.int32)
x = lattice.SparseTensor(rows, np.ones((8000, 8), np.float32))
w = np.ones((8, 3, 3, 3, 8), np.float32)
want = lattice.ops.conv3d(x, w, stride=2).feats
time.sleep(0.05)
if os.fork() == 0:
    same = (lattice.ops.conv3d(x, w, stride=2).feats == want).all()
    sys.exit(0 if same else 1)
assert os.wait()[1] == 0
print("both ended")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "both ended" in done.stdout, done.stderr
