"""The distribution's own name: `import lattice_sparse` checks that `lattice` is this package and not another one.

Several distributions install a package called `lattice`. Where another one is found first, or was installed over ours,
this module says so.
"""
import importlib.util


def _check() -> None:
    spec = importlib.util.find_spec("lattice")
    place = "nowhere" if spec is None else spec.origin or str(spec.submodule_search_locations)
    try:
        from lattice._version import DISTRIBUTION
    except ImportError as error:
        raise ImportError(
            f"lattice_sparse: the package 'lattice' is not ours: got {place}, which belongs to another distribution, "
            "expected the one of lattice-sparse. Uninstall the other one (or take its folder out of sys.path), then "
            "install lattice-sparse again."
        ) from error
    assert DISTRIBUTION == "lattice-sparse"


_check()

from lattice import *  # noqa: E402,F401,F403
from lattice import __version__  # noqa: E402,F401
