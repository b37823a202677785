"""Artifacts of another library's exporter: checked, run over every array library, and refused where they are wrong."""
import os

import numpy as np
import pytest
from conftest import shared

import lattice
from lattice import SparseTensor, artifact

CASES = {
    "canonical_kernel_layout": ("physical", 1e-5),
    "sparse_classifier": ("physical", 1e-5),
    "target_branch": ("physical", 1e-5),
    "point_voxel": ("physical", 1e-5),
    "quantized_classifier_int8": ("physical", 1e-3),
    "pool_transpose": ("logical", 1e-5),
}


def fixture(name):
    return shared("fixtures", name)


@pytest.mark.parametrize("name", list(CASES))
def test_fixture(A, name):
    coords, tolerance = CASES[name]
    program = artifact.load_lattice_program(fixture(name), coords=coords)
    inputs = artifact.read_safetensors(os.path.join(fixture(name), "inputs.safetensors"), A.name)
    expected = artifact.read_safetensors(os.path.join(fixture(name), "expected.safetensors"))
    found = program(*[inputs[argument.abi_name] for argument in program.plan.args])
    again = program(**{argument.abi_name: inputs[argument.abi_name] for argument in program.plan.args})
    found, again = (value if isinstance(value, tuple) else (value,) for value in (found, again))
    names = [output.abi_name for output in program.plan.outputs]
    assert len(found) == len(names) > 0
    for label, value, other in zip(names, found, again):
        if isinstance(value, SparseTensor):
            assert A.owns(value.feats) and value.coords.shape == other.coords.shape
            assert np.array_equal(A.np(value.feats), A.np(other.feats))
            continue
        got, want = A.np(value), expected[label]
        if want.dtype.kind == "i":
            assert np.array_equal(got, want), label
        else:
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=label)


def test_shorthand_and_bundles(tmp_path):
    path = fixture("sparse_classifier")
    bundle = artifact.load_lattice_artifact(path)
    artifact.save_lattice_artifact(tmp_path / "copy", bundle.graph, bundle.weights)
    again = artifact.load_lattice_artifact(tmp_path / "copy")
    assert again.graph == bundle.graph and sorted(again.weights) == sorted(bundle.weights)
    assert all(np.array_equal(again.weights[k], bundle.weights[k]) for k in bundle.weights)
    programs = [
        artifact.load_lattice_program(path),
        artifact.compile_lattice_artifact(again),
        artifact.LatticeProgram(artifact.RuntimePlan(bundle.graph), bundle.weights),
    ]
    inputs = artifact.read_safetensors(os.path.join(path, "inputs.safetensors"))
    arrays = [inputs[argument.abi_name] for argument in programs[0].plan.args]
    want = programs[0](*arrays)
    n = int(arrays[2][0])
    x = SparseTensor(np.ascontiguousarray(arrays[0][:n]), np.ascontiguousarray(arrays[1][:n]))
    for program in programs:
        np.testing.assert_array_equal(program(*arrays), want)
        (name,) = program._groups
        np.testing.assert_array_equal(program(x), want)
        np.testing.assert_array_equal(program(**{name: x}), want)
    assert artifact.lattice_graph_operation_names(bundle.graph)[0] == "lattice.sparse.make"
    assert "operations" in repr(programs[0]) and programs[0].plan.ir_version == 2
    assert lattice.backend_info()["capabilities"]["mlir"] is artifact.native_artifact_execution_available() is True
    for call, kind, match in (
        (lambda p: p(), ValueError, "missing artifact input"),
        (lambda p: p(*arrays, arrays[0]), ValueError, "too many positional"),
        (lambda p: p(*arrays, other=arrays[0]), ValueError, "unexpected artifact inputs: other"),
        (lambda p: p("no", "such", "thing"), TypeError, "artifact inputs"),
        (lambda p: p(x, **{p.plan.args[0].abi_name: arrays[0]}), ValueError, "cannot be combined"),
    ):
        with pytest.raises(kind, match=match):
            call(programs[0])


def test_what_is_wrong_is_said(tmp_path):
    bundle = artifact.load_lattice_artifact(fixture("sparse_classifier"))
    assert artifact.lattice_graph_status(bundle.graph).valid and artifact.lattice_artifact_status(bundle).valid
    wrong = bundle.graph.replace("lattice.ir_version = 2", "lattice.ir_version = 9")
    status = artifact.lattice_graph_status(wrong)
    assert not status.valid and "unsupported lattice.ir_version: 9" in status.diagnostics
    with pytest.raises(ValueError, match="unsupported lattice.ir_version"):
        artifact.validate_lattice_graph(wrong)
    missing = artifact.LatticeArtifact(bundle.graph, {})
    assert "artifact weight not found" in artifact.lattice_artifact_status(missing).diagnostics
    with pytest.raises(ValueError, match="artifact weight not found"):
        artifact.validate_lattice_artifact(missing)
    with pytest.raises(ValueError, match="directory does not exist"):
        artifact.load_lattice_artifact(tmp_path / "none")
    with pytest.raises(ValueError, match="directory does not exist"):
        artifact.load_lattice_program(tmp_path / "none")
    with pytest.raises(ValueError, match="missing graph.mlir"):
        artifact.load_lattice_artifact(tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 9)
    with pytest.raises(ValueError):
        artifact.read_safetensors(tmp_path / "bad.safetensors")
