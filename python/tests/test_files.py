"""Point-cloud files, pictures, explanations."""
import os
import sys

import numpy as np
import pytest
from conftest import Arrays, shared

import lattice
from lattice import SparseTensor, artifact


@pytest.mark.parametrize("ending", ["ply", "las"])
def test_points_come_back(A, tmp_path, ending):
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


def test_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    a = Arrays("numpy")
    x = SparseTensor(a.line(0, 1, 5), a.f32([[1], [2], [3]]))
    path = lattice.plot(x, tmp_path / "view.png", size=60)
    assert open(path, "rb").read(8) == b"\x89PNG\r\n\x1a\n"
    assert os.path.exists(lattice.plot(SparseTensor(a.coords(np.zeros((0, 4))), a.f32(np.zeros((0, 1)))), tmp_path / "none.png"))


def test_explain():
    path = shared("fixtures", "sparse_classifier")
    program = artifact.load_lattice_program(path)
    inputs = artifact.read_safetensors(os.path.join(path, "inputs.safetensors"))
    text = lattice.explain(program, *[inputs[argument.abi_name] for argument in program.plan.args])
    assert "conv3d" in text and "algorithm" in text.splitlines()[0] and len(text.splitlines()) > 3
    with pytest.raises(TypeError, match="expected LatticeProgram"):
        lattice.explain("program")
