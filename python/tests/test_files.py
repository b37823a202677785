"""Point-cloud files, pictures, explanations."""
import os
import sys

import numpy as np
import pytest
from conftest import Arrays, shared

import lattice
from lattice import SparseTensor, artifact


@pytest.mark.parametrize("ending", ["ply", "las", "laz"])
def test_points_come_back(A, tmp_path, ending):
    if ending == "laz":
        laspy = pytest.importorskip("laspy", reason="skipped: laspy is not installed")
        if not laspy.LazBackend.detect_available():
            pytest.skip("skipped: laspy has no LAZ backend")
    path = tmp_path / f"cloud.{ending}"
    positions = np.array([[0.5, 1.25, -2.0], [3.0, 4.5, 6.75]], np.float32)
    lattice.write_points(path, A.f32(positions), {"intensity": A(np.array([1, 7], np.int32))})
    cloud = lattice.read_points(path, arrays=A.name)
    assert A.owns(cloud.positions) and np.array_equal(A.np(cloud.positions), positions)
    assert A.np(cloud.fields["intensity"]).tolist() == [1, 7]
    x = lattice.ops.voxelize(cloud.positions, A.f32([[1], [2]]), 0.5)
    assert x.capacity == 2


def test_files_that_cannot_be_had(tmp_path):
    with pytest.raises(OSError, match="none.ply"):
        lattice.read_points(tmp_path / "none.ply")
    (tmp_path / "bad.ply").write_text("ply\nformat ascii 1.0\nelement vertex 9\nend_header\n")
    with pytest.raises(ValueError):
        lattice.read_points(tmp_path / "bad.ply")
    with pytest.raises(ValueError, match="expected one ending in"):
        lattice.write_points(tmp_path / "x.xyz", np.zeros((1, 3), np.float32))
    try:
        import laspy  # noqa: F401
    except ImportError:
        with pytest.raises(RuntimeError, match="laspy"):
            lattice.read_points(tmp_path / "x.laz")
        with pytest.raises(RuntimeError, match="laspy"):
            lattice.write_points(tmp_path / "x.laz", np.zeros((1, 3), np.float32))
    assert not list(tmp_path.glob("*.la?"))


def test_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    a = Arrays("numpy")
    x = SparseTensor(a.line(0, 1, 5), a.f32([[1], [2], [3]]))
    path = lattice.plot(x, tmp_path / "view.png", size=60)
    assert open(path, "rb").read(8) == b"\x89PNG\r\n\x1a\n"
    assert os.path.exists(lattice.plot(SparseTensor(a.coords(np.zeros((0, 4))), a.f32(np.zeros((0, 1)))), tmp_path / "none.png"))


class Figure:
    """What plot asks of matplotlib."""

    def __init__(self):
        self.calls = []

    def figure(self):
        return self

    def add_subplot(self, **options):
        self.calls.append(options)
        return self

    def scatter(self, *columns, **options):
        self.calls.append(columns)

    def set(self, **names):
        self.calls.append(names)

    def savefig(self, path):
        self.calls.append(path)


def test_plot_with_matplotlib(tmp_path, monkeypatch):
    a, figure = Arrays("numpy"), Figure()
    package = type(sys)("matplotlib")
    package.pyplot = figure
    monkeypatch.setitem(sys.modules, "matplotlib", package)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", figure)
    x = SparseTensor(a.coords([(0, 1, 2, 3), (0, 4, 5, 6)]), a.f32([[1], [2]]))
    assert lattice.plot(x, tmp_path / "figure.png") is figure
    assert figure.calls[0] == {"projection": "3d"} and figure.calls[1] == ([1, 4], [2, 5], [3, 6])
    assert figure.calls[2]["title"] == repr(x) and figure.calls[3] == tmp_path / "figure.png"


def test_plot_with_the_real_matplotlib(tmp_path):
    matplotlib = pytest.importorskip("matplotlib", reason="skipped: matplotlib is not installed")
    matplotlib.use("Agg")
    a = Arrays("numpy")
    figure = lattice.plot(SparseTensor(a.line(0, 1, 5), a.f32([[1], [2], [3]])), tmp_path / "figure.png")
    assert type(figure).__name__ == "Figure" and open(tmp_path / "figure.png", "rb").read(4) == b"\x89PNG"


def test_progress(monkeypatch):
    path = shared("fixtures", "sparse_classifier")
    program = artifact.load_lattice_program(path)
    inputs = artifact.read_safetensors(os.path.join(path, "inputs.safetensors"))
    named = {argument.abi_name: inputs[argument.abi_name] for argument in program.plan.args}
    want = program(**named)
    seen = []

    def bar(items, desc):
        seen.append(desc)
        return items

    module = type(sys)("tqdm.auto")
    module.tqdm = bar
    monkeypatch.setitem(sys.modules, "tqdm", type(sys)("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    found = list(program.map([named, tuple(named.values())], progress=True)) + list(program.map([named]))
    assert seen == ["LatticeProgram.map"] and len(found) == 3
    assert all(np.array_equal(_arrays(y), _arrays(want)) for y in found)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(RuntimeError, match="tqdm"):
        list(program.map([named], progress=True))


def _arrays(value):
    return value.feats if isinstance(value, SparseTensor) else value


def test_explain():
    path = shared("fixtures", "sparse_classifier")
    program = artifact.load_lattice_program(path)
    inputs = artifact.read_safetensors(os.path.join(path, "inputs.safetensors"))
    text = lattice.explain(program, *[inputs[argument.abi_name] for argument in program.plan.args])
    assert "conv3d" in text and "algorithm" in text.splitlines()[0] and len(text.splitlines()) > 3
    with pytest.raises(TypeError, match="expected LatticeProgram"):
        lattice.explain("program")
