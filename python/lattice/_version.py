"""Version of the package: that of the shared library it was built with, from the headers."""
from ._cdef import CONSTANTS

DISTRIBUTION = "lattice-sparse"
__version__ = "{LAT_VERSION_MAJOR}.{LAT_VERSION_MINOR}.{LAT_VERSION_PATCH}".format(**CONSTANTS)
