"""`lattice.convert`: checkpoints in, artifacts out, and nothing of a pickle run. Layouts: tests/cli/convert_checks.py."""
import json
import os
import sys

import pytest
from conftest import ROOT, np

import lattice
from lattice import artifact

sys.path.insert(0, os.path.join(ROOT, "tests", "cli"))
import torch_zip  # noqa: E402

SHAPES = {
    "spconv1": (3, 2, 1, 2, 4),
    "spconv2": (4, 3, 2, 1, 2),
    "spconv2-rskc": (3, 2, 1, 4, 2),
    "minkowski": (6, 2, 4),
    "torchsparse": (6, 2, 4),
    "torch-lattice": (6, 2, 4),
}


def kernels(library):
    """The same kernel (C_out, K0, K1, K2, C_in) of whole numbers, and as the library stores it."""
    dense = np.arange(1.0, 49.0, dtype=np.float32).reshape(4, 3, 2, 1, 2)
    order = {"spconv1": (1, 2, 3, 4, 0), "spconv2": (0, 1, 2, 3, 4), "spconv2-rskc": (1, 2, 3, 0, 4)}
    if library == "minkowski":  # the first axis is the fastest
        stored = dense.transpose(3, 2, 1, 4, 0)
    else:
        stored = dense.transpose(order.get(library, (1, 2, 3, 4, 0)))
    return dense, stored.reshape(SHAPES[library])


def described(library):
    layer = {"type": "conv", "name": "c", "kernel": [3, 2, 1], "stride": [2, 2, 1]}
    if library != "minkowski":
        layer["padding"] = [1, 0, 0]
    return {"library": library, "axes": "xyz", "channels": 2, "shape": None, "layers": [layer]}


def checkpoint(tmp_path, library="spconv2", name="c"):
    _, stored = kernels(library)
    key = f"{name}.{'kernel' if library in ('minkowski', 'torchsparse') else 'weight'}"
    path = tmp_path / f"{library}.pth"
    torch_zip.write_checkpoint(str(path), {key: (stored.shape, stored.ravel().tolist())})
    return path


@pytest.mark.parametrize("library", SHAPES)
def test_libraries(library, tmp_path):
    dense, _ = kernels(library)
    out = tmp_path / "artifact"
    done = lattice.convert(checkpoint(tmp_path, library), described(library), out=out)
    assert set(done.errors) == {"golden", "c", ""} and set(done.errors.values()) == {0.0}
    assert [layer.step.name for layer in done.layers] == ["c"] and done.network.library == library
    bundle = artifact.load_lattice_artifact(out)
    assert bundle.graph == done.graph
    np.testing.assert_array_equal(bundle.weights["c.weight"], dense)
    coords = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [1, 3, 2, 2]], dtype=np.int32)
    feats = np.array([[1, 2], [3, -1], [2, 2]], dtype=np.float32)
    got = artifact.load_lattice_program(out)(coords, feats, np.array([3], dtype=np.int32))
    for cell, row in zip(np.asarray(got.coords), np.asarray(got.feats)):
        expected = np.zeros(4, dtype=np.float32)
        for source, values in zip(coords, feats):
            tap = source[1:] - cell[1:] * (2, 2, 1) + (1, 0, 0)
            if source[0] == cell[0] and (tap >= 0).all() and (tap < (3, 2, 1)).all():
                expected += dense[(slice(None), *tap)] @ values
        np.testing.assert_array_equal(row, expected)


def test_ways_to_say_it(tmp_path):
    """A description as a file, the library as `source`, tensors from safetensors, no proof, no artifact."""
    path, said = checkpoint(tmp_path), described("spconv2")
    expected = lattice.convert(path, said).graph
    (tmp_path / "said.json").write_text(json.dumps(said))
    assert lattice.convert(str(path), str(tmp_path / "said.json"), replay=False).errors == {}
    unsaid = {key: value for key, value in said.items() if key != "library"}
    assert lattice.convert(path, unsaid, "spconv2").graph == expected
    assert "library" not in unsaid
    _, stored = kernels("spconv2")
    artifact.write_safetensors(tmp_path / "w.safetensors", {"c.weight": stored})
    assert lattice.convert(tmp_path / "w.safetensors", said).graph == expected


def test_recorded(tmp_path):
    """A run of the other library is replayed, and one that differs is refused."""
    path = checkpoint(tmp_path)
    coords = np.array([[0, 0, 0, 0]], dtype=np.int32)
    dense, _ = kernels("spconv2")
    run = {"coords": coords, "features": np.ones((1, 2), dtype=np.float32), "expected.coords": coords}
    run["expected.features"] = dense[:, 1, 0, 0].sum(axis=1)[None]
    artifact.write_safetensors(tmp_path / "run.safetensors", run)
    assert lattice.convert(path, described("spconv2"), recorded=tmp_path / "run.safetensors").errors["recorded"] == 0.0
    run["expected.features"] = run["expected.features"] + 1
    artifact.write_safetensors(tmp_path / "run.safetensors", run)
    with pytest.raises(ValueError, match="recorded run: replay differs"):
        lattice.convert(path, described("spconv2"), out=tmp_path / "no", recorded=tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match="recorded: got a file and replay=False"):
        lattice.convert(path, described("spconv2"), replay=False, recorded=tmp_path / "run.safetensors")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "changes, fragment",
    [
        ({"library": "other"}, "library: got"),
        ({"channels": 3}, "c.weight: shape"),
        ({"layers": [{"type": "conv", "name": "d"}]}, "missing tensor d.weight"),
        ({"unknown": 1}, "unknown fields unknown"),
    ],
)
def test_refusals(changes, fragment, tmp_path):
    with pytest.raises(ValueError, match=fragment):
        lattice.convert(checkpoint(tmp_path), {**described("spconv2"), **changes}, out=tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_refusals_of_arguments(tmp_path):
    path, said = checkpoint(tmp_path), described("spconv2")
    with pytest.raises(ValueError, match="got minkowski, but the description says spconv2"):
        lattice.convert(path, said, source="minkowski")
    with pytest.raises(ValueError, match="expected an object"):
        (tmp_path / "list.json").write_text("[]")
        lattice.convert(path, tmp_path / "list.json")
    with pytest.raises(FileNotFoundError):
        lattice.convert(tmp_path / "none.pt", said)
    with pytest.raises(FileNotFoundError):
        lattice.convert(path, tmp_path / "none.json")


def test_pickles_are_not_run(tmp_path):
    marker = tmp_path / "marker"
    call = torch_zip.glob("posix", "system") + b"(" + torch_zip.text(f"touch {marker}") + b"tR."
    torch_zip.write_zip(str(tmp_path / "evil.pt"), b"\x80\x02" + call, {})
    with pytest.raises(ValueError, match="names 'posix system'"):
        lattice.convert(tmp_path / "evil.pt", described("spconv2"))
    assert not marker.exists()


@pytest.mark.parametrize("fold", [0, 2, None])
def test_dense_output(fold, tmp_path):
    """A bird's-eye array comes out as one array, in spconv's order."""
    said = described("spconv2")
    said.update(shape=[6, 4, 3], axes="zyx")
    said["layers"].append({"type": "to_dense", "name": "bev", "fold": fold})
    done = lattice.convert(checkpoint(tmp_path), said, out=tmp_path / "artifact")
    assert done.errors["bev"] == done.errors[""] == 0.0
    coords = np.array([[0, 1, 2, 0], [0, 5, 0, 2]], dtype=np.int32)
    feats = np.array([[1, 2], [3, -1]], dtype=np.float32)
    got = np.asarray(artifact.load_lattice_program(tmp_path / "artifact")(coords, feats, np.array([2], dtype=np.int32)))
    dense, _ = kernels("spconv2")
    expected = np.zeros((1, 4, 3, 2, 3), dtype=np.float32)
    for (_, a, b, c), row in zip(coords, feats):
        for k0, k1 in np.ndindex(3, 2):
            place, rest = divmod(np.array([a + 1 - k0, b - k1]), 2)
            if not rest.any() and (place >= 0).all() and (place < (3, 2)).all():
                expected[0, :, place[0], place[1], c] += dense[:, k0, k1, 0] @ row
    if fold is not None:
        expected = np.moveaxis(expected, 2 + fold, 2).reshape(1, -1, *np.delete([3, 2, 3], fold))
    np.testing.assert_array_equal(got, expected)
