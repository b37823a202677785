"""Every public name says what it is."""
import importlib
import inspect

import pytest
from conftest import need

PACKAGES = [
    "lattice", "lattice.artifact", "lattice.compat", "lattice.core", "lattice.core.coords", "lattice.core.relations", "lattice.nn",
    "lattice.ops", "lattice.ops.coords", "lattice.numpy", "lattice.numpy.nn", "lattice.torch", "lattice.torch.nn", "lattice.mlx",
    "lattice.mlx.nn", "lattice_contract",
]  # fmt: skip
OWN = ("lattice", "lattice_contract")


def is_ours(value):
    return (getattr(value, "__module__", "") or "").split(".")[0] in OWN


def members(kind):
    """Public methods and properties that a class of ours defines itself or takes over from another of ours."""
    for base in kind.__mro__:
        if is_ours(base):
            for name, value in vars(base).items():
                # A module's call is told by its class; extra_repr is PyTorch's hook.
                if not name.startswith("_") and name not in ("forward", "extra_repr") and (inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod))):
                    yield f"{kind.__name__}.{name}", getattr(kind, name) if not isinstance(value, property) else value


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_have_docstrings(package):
    for framework in ("numpy", "torch", "mlx"):
        if f".{framework}" in package:
            need(framework)
    module = importlib.import_module(package)
    silent = [] if (module.__doc__ or "").strip() else [package]
    for name in module.__all__:
        value = getattr(module, name)
        if not (inspect.isfunction(value) or inspect.isclass(value)) or not is_ours(value):
            continue
        # A dataclass without a docstring has its signature for one.
        if not (value.__doc__ or "").strip() or (value.__doc__ or "").startswith(name + "("):
            silent.append(name)
        if inspect.isclass(value):
            silent += [own for own, member in members(value) if not (inspect.getdoc(member) or "").strip()]
    assert silent == []


def test_functions_name_their_errors_and_shapes():
    """What takes arrays and refuses some says which: each operation names a shape, a dtype, an error or another function."""
    ops = importlib.import_module("lattice.ops")
    vague = []
    for name in ops.__all__:
        value = getattr(ops, name)
        if inspect.isfunction(value):
            doc = value.__doc__ or ""
            if not any(word in doc for word in ("`", "(N", "Error", "int32", "float", *ops.__all__)):
                vague.append(name)
    assert vague == []
