"""Array libraries that are known by DLPack alone, and the capsules that arrays travel in."""
from __future__ import annotations

from typing import Any, Callable, Tuple

from .._library import NULL, check, context, ffi, lib
from .array_library import Library
from .array_views import NAMES, VIEW, make_view, own, view_shape


class _DlpackLender:
    """Lends a `lat_array *` through `__dlpack__`, for libraries that only take arrays that way."""

    def __init__(self, handle: Any) -> None:
        self.handle = own(handle)

    def __dlpack_device__(self) -> Tuple[int, int]:
        return (1, 0)

    def __dlpack__(self, **_: Any) -> Any:
        out = ffi.new("lat_dlpack_managed **")
        check(lib.lat_array_to_dlpack(self.handle, out))
        return new_capsule(out[0])


class DlpackLibrary(Library):
    """An array library that this package knows nothing of but that it speaks DLPack (JAX, CuPy and others)."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.name = module.__name__
        self.from_dlpack = _find_from_dlpack(module)

    def view(self, array: Any) -> Tuple[Any, Any]:
        device = array.__dlpack_device__()
        if int(device[0]) != 1:
            raise RuntimeError(f"array: device: got DLPack device type {int(device[0])}, expected the CPU: no CUDA module")
        out = ffi.new("lat_array **")
        check(take_capsule(array.__dlpack__(), out))
        handle = own(out[0])
        view = ffi.new(VIEW, lib.lat_array_as_view(handle))
        return view, (handle, array)

    def shape(self, array: Any) -> Tuple[int, ...]:
        return tuple(array.shape) if hasattr(array, "shape") else view_shape(self.view(array)[0])

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        out = ffi.new("lat_array **")
        check(lib.lat_array_create(context(), make_view(data, dtype, shape), out))
        drop(None)
        return self.take(out[0])

    def take(self, handle: Any) -> Any:
        return self.from_dlpack(_DlpackLender(handle))

    def dtype_object(self, code: int) -> Any:
        return getattr(self.module, NAMES[code], NAMES[code])


def _find_from_dlpack(module: Any) -> Callable[[Any], Any]:
    import importlib

    for place in (module.__name__, module.__name__ + ".numpy", module.__name__ + ".dlpack"):
        try:
            found = getattr(importlib.import_module(place), "from_dlpack", None)
        except ImportError:
            continue
        if found is not None:
            return found  # type: ignore[no-any-return]
    raise TypeError(f"array: {module.__name__} lends arrays through DLPack but takes none: it has no from_dlpack")


def _python_api() -> Any:
    import ctypes

    api = ctypes.pythonapi
    api.PyCapsule_New.restype = ctypes.py_object
    api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    api.PyCapsule_IsValid.restype = ctypes.c_int
    api.PyCapsule_IsValid.argtypes = [ctypes.py_object, ctypes.c_char_p]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    api.PyCapsule_SetName.restype = ctypes.c_int
    api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return api


# A capsule keeps the pointer of its name, so the names live as long as the process.
_LENT, _TAKEN, _LENT_1, _TAKEN_1 = b"dltensor", b"used_dltensor", b"dltensor_versioned", b"used_dltensor_versioned"


def _capsule_destructor() -> Any:
    """Frees what a capsule lends when nobody took it."""
    import ctypes

    api = _python_api()

    @ctypes.PYFUNCTYPE(None, ctypes.c_void_p)  # type: ignore[untyped-decorator]
    def destroy(address: int) -> None:
        capsule = ctypes.cast(address, ctypes.py_object)
        if api.PyCapsule_IsValid(capsule, _LENT):
            pointer = ffi.cast("lat_dlpack_managed *", api.PyCapsule_GetPointer(capsule, _LENT))
            if pointer.deleter != NULL:
                pointer.deleter(pointer)

    return destroy


_destroy_capsule: Any = None


def new_capsule(managed: Any) -> Any:
    """A DLPack capsule of a `lat_dlpack_managed *`."""
    import ctypes

    global _destroy_capsule
    if _destroy_capsule is None:
        _destroy_capsule = _capsule_destructor()
    destructor = ctypes.cast(_destroy_capsule, ctypes.c_void_p)
    return _python_api().PyCapsule_New(int(ffi.cast("intptr_t", managed)), _LENT, destructor)


def take_capsule(capsule: Any, out: Any) -> int:
    """lat_array_from_dlpack of a capsule of either version; returns the status."""
    api = _python_api()
    if api.PyCapsule_IsValid(capsule, _LENT_1):
        pointer = ffi.cast("lat_dlpack_versioned *", api.PyCapsule_GetPointer(capsule, _LENT_1))
        status = lib.lat_array_from_dlpack_versioned(context(), pointer, out)
        taken = _TAKEN_1
    elif api.PyCapsule_IsValid(capsule, _LENT):
        pointer = ffi.cast("lat_dlpack_managed *", api.PyCapsule_GetPointer(capsule, _LENT))
        status = lib.lat_array_from_dlpack(context(), pointer, out)
        taken = _TAKEN
    else:
        raise TypeError("array: __dlpack__ gave no fresh DLPack capsule (it can be taken only once)")
    if not status:
        api.PyCapsule_SetName(capsule, taken)
    return int(status)
