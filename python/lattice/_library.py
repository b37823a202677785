"""Loads the shared libraries and turns status codes into exceptions.

`ffi` and `lib` are the C interface; `call(name, ...)` calls a function that returns a status. A call without the GIL:
cffi lets it go around every C function.
"""
from __future__ import annotations

import functools
import os
import re
import threading
from typing import Any, List, NoReturn, Optional

import cffi

from ._cdef import CDEF, CDEF_IO
from ._version import __version__

ffi = cffi.FFI()
ffi.cdef(CDEF)
ffi.cdef(CDEF_IO)

NULL = ffi.NULL

# `ffi.new`, `ffi.gc` and `ffi.from_buffer` of types that are no text: a call less in what every operation does.
_backend: Any = ffi._backend
new, collect = _backend.newp, _backend.gcp

# Which exception a status is, by semantics 0 ("Error text").
_EXCEPTIONS = {
    1: ValueError,  # INVALID_ARGUMENT
    2: ValueError,  # INVALID_SHAPE
    3: ValueError,  # INVALID_DTYPE
    4: RuntimeError,  # UNSUPPORTED
    5: MemoryError,  # OUT_OF_MEMORY
    6: ValueError,  # OVERFLOW
    7: ValueError,  # BAD_DATA
    8: OSError,  # IO_ERROR
    9: RuntimeError,  # DEVICE_ERROR
    10: RuntimeError,  # INTERNAL
}


def _candidates(name: str) -> List[str]:
    """Files that are tried, in order. LATTICE_LIBRARY_PATH names a folder that is looked into instead."""
    folder = os.environ.get("LATTICE_LIBRARY_PATH")
    if folder:
        return [os.path.join(folder, f"lib{name}.so.0")]
    inside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_libraries", f"lib{name}.so.0")
    return [inside, f"lib{name}.so.0"]


def _open(name: str) -> "tuple[Any, str]":
    tried = []
    for path in _candidates(name):
        if os.path.isabs(path) and not os.path.exists(path):
            tried.append(f"{path}: no such file")
            continue
        try:
            return ffi.dlopen(path), path
        except OSError as error:
            tried.append(f"{path}: {error}")
    raise ImportError(f"lattice: the shared library lib{name} was not found; tried " + "; ".join(tried))


def _check_version(library: Any, path: str) -> None:
    """Before 1.0 a minor version may change the interface."""
    try:
        found = ffi.string(library.lat_version()).decode()
    except AttributeError:
        raise ImportError(f"lattice: {path} is no Lattice library: it has no lat_version") from None
    if found.split(".")[:2] != __version__.split(".")[:2]:
        raise ImportError(
            f"lattice: the shared library and the Python package have different versions: got {found} in {path}, "
            f"expected {__version__}"
        )


def _check_functions(library: Any, path: str, declarations: str) -> None:
    missing = []
    for name in re.findall(r"^[^({]*?\b(lat_\w+)\(", declarations, flags=re.MULTILINE):
        try:
            getattr(library, name)
        except AttributeError:
            missing.append(name)
    if missing:
        shown = ", ".join(missing[:4]) + (", …" if len(missing) > 4 else "")
        raise ImportError(f"lattice: {path} is older than the Python package {__version__}: it lacks {shown}")


lib, library_path = _open("lattice")
_check_version(lib, library_path)
_check_functions(lib, library_path, CDEF)

_io: Optional[Any] = None


def io() -> Any:
    """The library of files and pictures, loaded on first use (it needs libpng and zlib)."""
    global _io
    if _io is None:
        library, path = _open("lattice_io")
        _check_functions(library, path, CDEF_IO)
        _io = library
    return _io


def fail(status: int) -> NoReturn:
    """Raises the exception of a status with the library's own text."""
    text = ffi.string(lib.lat_last_error()).decode("utf-8", "replace")
    raise _EXCEPTIONS.get(status, RuntimeError)(text)


def check(status: int) -> None:
    if status:
        fail(status)


class _PerThread(threading.local):
    """One context a thread: a context is used by one thread at a time."""

    context: Any = None


_thread = _PerThread()
_options: dict = {}
_generation = 0
_closed = False


class _Context:
    __slots__ = ("handle", "generation")

    def __init__(self) -> None:
        opts = ffi.new("lat_context_opts *", {"struct_bytes": ffi.sizeof("lat_context_opts"), **_options})
        out = ffi.new("lat_context **")
        check(lib.lat_context_create(opts, out))
        self.handle = ffi.gc(out[0], lib.lat_context_destroy)
        self.generation = _generation


def context() -> Any:
    """The calling thread's `lat_context *`."""
    found = _thread.context
    if found is None or found.generation != _generation:
        if _closed:
            raise RuntimeError("lattice: the context is closed: got a call after lattice.close(), expected lattice.set_options() before it")
        found = _thread.context = _Context()
    return found.handle


def set_options(*, threads: int = 0, seed: int = 0, memory_cap_bytes: int = 0) -> None:
    """Options of the contexts that calls from now on use, in every thread. Zero: the default.

    threads: CPU threads of a call (never changes a result). seed: of the random stream that dropout draws from.
    memory_cap_bytes: most bytes a context may hold at once; beyond it calls raise MemoryError.
    """
    global _generation, _closed
    _options.update(n_threads=int(threads), seed=int(seed), memory_cap_bytes=int(memory_cap_bytes))
    _closed = False
    _generation += 1


def close() -> None:
    """Gives back the threads and the kept memory of the calling thread's context; tensors and arrays stay valid.

    Every later call in any thread raises RuntimeError ("the context is closed") until `lattice.set_options` opens new ones.
    """
    global _generation, _closed
    _closed = True
    _generation += 1
    _thread.context = None


def options(name: str, **fields: Any) -> Any:
    """A `name` options struct with its size filled in: fields that are left out are zero, which means default."""
    kind, fields["struct_bytes"] = _struct(name)
    return ffi.new(kind, fields)


@functools.lru_cache(maxsize=None)
def _struct(name: str) -> "tuple[Any, int]":
    return ffi.typeof(name + " *"), ffi.sizeof(name)
