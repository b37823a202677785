"""The walkthrough, block after block: with its imports changed, and unchanged after compat.install."""
import re
import subprocess
import sys
import textwrap

import pytest
from conftest import need, shared

# What the blocks use of MLX, by the names of another library.
STAND_INS = {
    "numpy": """
import numpy as _np
class mx:
    int32, float16, float32 = _np.int32, _np.float16, _np.float32
    array = staticmethod(lambda values, dtype=None: _np.array(values, dtype))
    ones = staticmethod(lambda shape, dtype=_np.float32: _np.ones(shape, dtype))
    zeros = staticmethod(lambda shape, dtype=_np.float32: _np.zeros(shape, dtype))
    class random:
        normal = staticmethod(lambda shape, dtype: _np.random.default_rng(0).normal(size=shape).astype(dtype))
""",
    "torch": """
import torch as _torch
class mx:
    int32, float16, float32 = _torch.int32, _torch.float16, _torch.float32
    array = staticmethod(lambda values, dtype=None: _torch.tensor(values, dtype=dtype))
    ones = staticmethod(lambda shape, dtype=_torch.float32: _torch.ones(shape, dtype=dtype))
    zeros = staticmethod(lambda shape, dtype=_torch.float32: _torch.zeros(shape, dtype=dtype))
    class random:
        normal = staticmethod(lambda shape, dtype: _torch.randn(shape).to(dtype))
""",
    "mlx": "import mlx.core as mx\n",
}

CHECKS = """
assert [float(v) for v in z.feats[:, 0]] == [48.0, 64.0, 64.0, 48.0]
assert z.coords is coords and x.coords is coords and x.feats is feats
assert [float(v) for v in y_target.feats[:, 0]] == [48.0, 64.0, 64.0, 48.0]
assert [[int(v) for v in row] for row in voxels.coords] == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 11, 9, 8]]
assert tuple(summary.shape) == (1, 32) and tuple(gathered.shape) == (14, 16)
assert qy.shape == (4, 32) and qh.shape == (4, 32)
print("walked")
"""


def blocks():
    text = open(shared("spec", "quickstart.md"), encoding="utf-8").read()
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(found) >= 10
    return found


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "walked" in done.stdout


@pytest.mark.parametrize("name", ["mlx", "numpy", "torch"])
def test_quickstart_with_its_imports_changed(name):
    need(name)
    code = "\n".join(blocks())
    code = code.replace("import mlx.core as mx\n", "")
    code = code.replace("from mlx_lattice import nn", f"from lattice.{name} import nn")
    code = code.replace("from mlx_lattice.nn import", f"from lattice.{name}.nn import")
    code = code.replace("mlx_lattice", "lattice")
    run(STAND_INS[name] + code + CHECKS)


def test_quickstart_unchanged_after_install():
    need("mlx")
    run("import lattice\nlattice.compat.install('mlx_lattice')\n" + "\n".join(blocks()) + CHECKS)


def test_install_gives_every_submodule():
    need("mlx")
    run(
        textwrap.dedent(
            """
            import lattice
            assert lattice.compat.install("mlx_lattice") is lattice.compat.install()
            import mlx_lattice, mlx_lattice.core.coords, mlx_lattice.core.relations, mlx_lattice.ops.coords
            import mlx_lattice.artifact, mlx_lattice.nn, lattice.mlx.nn
            assert mlx_lattice.nn is lattice.mlx.nn and mlx_lattice.ops is lattice.ops
            assert mlx_lattice.__version__ == mlx_lattice.backend_info()["version"]
            try:
                lattice.compat.install("other")
            except ValueError as error:
                assert "mlx_lattice" in str(error)
            print("walked")
            """
        )
    )
