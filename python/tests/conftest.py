"""Fixtures: one array library after the other, each skipped by name where it is not installed."""
from __future__ import annotations

import importlib
import os

import pytest

np = pytest.importorskip("numpy", reason="skipped: numpy is not installed")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def shared(*parts):
    """A file of the shared data; the test is skipped without it."""
    folder = os.environ.get("LATTICE_SHARED", os.path.join(ROOT, "..", "shared"))
    path = os.path.join(folder, *parts)
    if not os.path.exists(path):
        pytest.skip("skipped: no shared data")
    return path


class Arrays:
    """Arrays of one library, from NumPy and back."""

    def __init__(self, name):
        self.name = name
        if name == "torch":
            self.torch = importlib.import_module("torch")
        elif name == "mlx":
            self.mx = importlib.import_module("mlx.core")

    def __repr__(self):
        return self.name

    def __call__(self, values, dtype=None):
        values = np.asarray(values, dtype=dtype)
        if self.name == "torch":
            return self.torch.from_numpy(np.ascontiguousarray(values).copy())
        if self.name == "mlx":
            return self.mx.array(values)
        return np.ascontiguousarray(values)

    def coords(self, rows):
        return self(np.asarray(rows, np.int32).reshape(-1, 4))

    def line(self, *xs):
        return self.coords([(0, x, 0, 0) for x in xs])

    def f32(self, values):
        return self(values, np.float32)

    def np(self, array):
        if self.name == "torch":
            array = array.detach()
            if array.dtype == self.torch.bfloat16:
                array = array.float()
            return array.numpy().copy()
        if self.name == "mlx" and array.dtype == self.mx.bfloat16:
            array = array.astype(self.mx.float32)
        if self.name == "mlx":
            return np.asarray(memoryview(array)).copy() if array.size else np.zeros(array.shape, np.float32)
        return np.array(array)

    def cast(self, array, name):
        if self.name == "torch":
            return array.to(getattr(self.torch, name))
        if self.name == "mlx":
            return array.astype(getattr(self.mx, name))
        return array.astype(name)

    def owns(self, array):
        kinds = {"numpy": "numpy", "torch": "torch", "mlx": "mlx"}
        return type(array).__module__.split(".")[0] == kinds[self.name]


def need(name):
    if name != "numpy":
        module = {"torch": "torch", "mlx": "mlx.core"}[name]
        pytest.importorskip(module, reason=f"skipped: {name} is not installed")


@pytest.fixture(params=["numpy", "torch", "mlx"])
def A(request):
    need(request.param)
    return Arrays(request.param)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="skipped: torch is not installed")


@pytest.fixture
def mx():
    return pytest.importorskip("mlx.core", reason="skipped: mlx is not installed")


def random_rows(rng, n, extent=6, batches=2):
    """Distinct rows in random order."""
    box = np.stack(np.meshgrid(*(np.arange(m) for m in (batches, extent, extent, extent)), indexing="ij"), -1).reshape(-1, 4)
    rows = box[rng.permutation(len(box))[:n]].astype(np.int32)
    rows[:, 1:] -= extent // 2
    return rows
