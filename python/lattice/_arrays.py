"""Arrays of other libraries: in without copying where the memory allows, out in the caller's own library.

A `Library` knows one array library. Nothing here imports one: a library is found through the type of an array that a
caller hands over, so that `import lattice` needs none of them.
"""
from __future__ import annotations

import sys
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ._library import NULL, check, context, ffi, lib

F32, F16, F64, I32, I64, U8, U32, I16, BF16 = 1, 2, 3, 4, 5, 6, 7, 8, 9
ITEM_BYTES = {F32: 4, F16: 2, F64: 8, I32: 4, I64: 8, U8: 1, U32: 4, I16: 2, BF16: 2}
NAMES = {
    F32: "float32", F16: "float16", F64: "float64", I32: "int32", I64: "int64", U8: "uint8", U32: "uint32",
    I16: "int16", BF16: "bfloat16",
}  # fmt: skip
CODES = {name: code for code, name in NAMES.items()}
FLOATS = (F32, F16, BF16)

_LETTERS = {F32: "f", F64: "d", I32: "i", I64: "q", U8: "B", U32: "I", I16: "h", F16: "H", BF16: "H"}

_VIEW = ffi.typeof("lat_array_view *")
_CHARS = ffi.typeof("char *")
_VOID = ffi.typeof("void *")
MAX_RANK = 6


def make_view(data: Any, dtype: int, shape: Sequence[int], stride: Optional[Sequence[int]] = None) -> Any:
    """A `lat_array_view *`; `stride` is in elements, None means row-major without gaps."""
    if stride is None:
        step, steps = 1, []
        for length in reversed(shape):
            steps.append(step)
            step *= length
        stride = steps[::-1]
    rank = len(shape)
    if rank > MAX_RANK:
        raise ValueError(f"array: too many axes: got {rank}, expected at most {MAX_RANK}")
    return ffi.new(_VIEW, (data, dtype, 0, rank, shape, stride))


def view_shape(view: Any) -> Tuple[int, ...]:
    return tuple(view.shape[axis] for axis in range(view.rank))


def view_bytes(view: Any) -> int:
    count = ITEM_BYTES[view.dtype]
    for axis in range(view.rank):
        count *= view.shape[axis]
    return count


def is_contiguous(view: Any) -> bool:
    step = 1
    for axis in range(view.rank - 1, -1, -1):
        if view.shape[axis] == 0:
            return True
        if view.shape[axis] != 1 and view.stride[axis] != step:
            return False
        step *= view.shape[axis]
    return True


def held_buffer(data: Any, n_bytes: int, drop: Callable[[Any], None]) -> Any:
    """A Python buffer over C memory; `drop` runs when the last view of it is gone."""
    return ffi.buffer(ffi.gc(ffi.cast(_CHARS, data), drop), n_bytes)


def own(handle: Any) -> Any:
    """Takes over a reference to a `lat_array *`."""
    return ffi.gc(handle, lib.lat_array_release)


class Library:
    """One array library. `name` is how messages call it."""

    name = "array"
    stays = False  # whether an array's memory stays where it is, as `address` tells

    def view(self, array: Any) -> Tuple[Any, Any]:
        """A borrowed `lat_array_view *` of an array and an object that keeps its memory alive."""
        raise NotImplementedError

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        """An array of this library over C memory."""
        raise NotImplementedError

    def dtype_code(self, array: Any) -> int:
        """The element type as C names it."""
        return int(self.view(array)[0].dtype)

    def dtype_object(self, code: int) -> Any:
        """The library's own object for an element type."""
        raise NotImplementedError

    def cast(self, array: Any, code: int) -> Any:
        """The array with another element type; the same object when it has it already."""
        if self.dtype_code(array) == code:
            return array
        view, keep = self.view(array)
        out = ffi.new("lat_array **")
        check(lib.lat_array_cast(context(), view, code, out))
        del keep
        return self.take(out[0])

    def shape(self, array: Any) -> Tuple[int, ...]:
        return tuple(array.shape)

    def address(self, array: Any) -> int:
        """Where the memory of an array of a library with `stays` lies; 0 where that cannot change."""
        return 0

    def rows(self, array: Any, start: int, end: int) -> Any:
        """Rows start to end of an array."""
        return array[start:end]

    def parse_dtype(self, dtype: Any) -> int:
        """The C name of a dtype object or of a name like "float16"."""
        name = str(dtype).rsplit(".", 1)[-1]
        if name not in CODES:
            raise ValueError(f"dtype: unknown element type: got {dtype!r}, expected one of {', '.join(CODES)}")
        return CODES[name]

    def take(self, handle: Any) -> Any:
        """The array of a `lat_array *` whose reference is taken over. Shares its memory."""
        view = lib.lat_array_as_view(handle)
        release = lib.lat_array_release
        return self.over(view.data, view.dtype, view_shape(view), lambda _: release(handle), True)

    def borrow(self, view: Any, owner: Any) -> Any:
        """A read-only array over memory that `owner` keeps alive."""
        return self.over(view.data, view.dtype, view_shape(view), _Holder(owner), False)

    def integers(self, values: Sequence[int], code: int = I32) -> Any:
        """A vector of whole numbers."""
        n = len(values)
        data = ffi.new({I32: "int32_t[]", I64: "int64_t[]"}[code], list(values))
        return self.over(data, code, (n,), _Holder(data), True)

    def apply(self, operation: Any, arrays: List[Any]) -> Any:
        """Runs one operation; libraries that differentiate put it into their graph."""
        return operation.forward(*arrays)

    def as_bool(self, array: Any) -> Any:
        """Bytes that are 0 or 1 as the library's booleans."""
        return array

    def concatenate(self, arrays: List[Any]) -> Any:
        """Rows of several arrays."""
        raise TypeError(f"{self.name}: concatenation needs NumPy, PyTorch or MLX arrays")

    def detach(self, array: Any) -> Any:
        """The array without its history of derivatives."""
        return array


class _Holder:
    """A destructor that does nothing but hold an object until it runs."""

    __slots__ = ("owner",)

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def __call__(self, _: Any) -> None:
        self.owner = None


class NumpyLibrary(Library):
    name = "numpy"
    stays = True

    def __init__(self) -> None:
        import numpy

        self.numpy = numpy
        names = [(code, name) for code, name in NAMES.items() if code != BF16]
        self.objects = {code: numpy.dtype(name) for code, name in names}
        self.codes = {dtype: code for code, dtype in self.objects.items()}
        self.codes[numpy.dtype("bool")] = U8

    def code_of(self, dtype: Any) -> int:
        code = self.codes.get(dtype)
        if code is None:
            if dtype.name == "bfloat16":  # ml_dtypes adds it
                self.codes[dtype], self.objects[BF16] = BF16, dtype
                return BF16
            native = dtype.newbyteorder("=")
            if native in self.codes and native != dtype:
                raise ValueError(f"array: byte order: got {dtype}, expected the machine's own")
            raise ValueError(
                f"array: dtype: got {dtype}, expected a float32, float16, bfloat16, float64 or integer array"
            )
        return code

    def view(self, array: Any) -> Tuple[Any, Any]:
        code = self.codes.get(array.dtype) or self.code_of(array.dtype)
        if array.flags.c_contiguous and code != BF16:
            data = ffi.from_buffer(array)
            return make_view(data, code, array.shape), data
        data = ffi.cast(_VOID, array.__array_interface__["data"][0])
        size = array.itemsize
        if any(step % size for step in array.strides):
            array = array.copy()  # a field of a record array
            return self.view(array)
        return make_view(data, code, array.shape, [step // size for step in array.strides]), array

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        kind = self.dtype_object(dtype)
        n = ITEM_BYTES[dtype]
        for length in shape:
            n *= length
        if n == 0:
            drop(None)
            return self.numpy.empty(shape, kind)
        array = self.numpy.ndarray(shape, kind, buffer=held_buffer(data, n, drop))
        if not writable:
            array.flags.writeable = False
        return array

    def dtype_code(self, array: Any) -> int:
        return self.codes.get(array.dtype) or self.code_of(array.dtype)

    def dtype_object(self, code: int) -> Any:
        if code == BF16 and BF16 not in self.objects:
            try:
                import ml_dtypes
            except ImportError:
                raise RuntimeError("numpy: bfloat16 needs the package ml_dtypes") from None
            self.code_of(self.numpy.dtype(ml_dtypes.bfloat16))
        return self.objects[code]

    def as_bool(self, array: Any) -> Any:
        return array.view(self.numpy.bool_)

    def concatenate(self, arrays: List[Any]) -> Any:
        return self.numpy.concatenate(arrays)

    def parse_dtype(self, dtype: Any) -> int:
        try:
            return self.code_of(self.numpy.dtype(dtype))
        except TypeError:
            return super().parse_dtype(dtype)


class TorchLibrary(Library):
    name = "torch"
    stays = True

    def __init__(self) -> None:
        import torch

        self.torch = torch
        names = [(code, name) for code, name in NAMES.items() if hasattr(torch, name)]
        self.objects = {code: getattr(torch, name) for code, name in names}
        self.codes = {dtype: code for code, dtype in self.objects.items()}
        self.codes[torch.bool] = U8

    def code_of(self, array: Any) -> int:
        code = self.codes.get(array.dtype)
        if code is None:
            raise ValueError(
                f"array: dtype: got {array.dtype}, expected a float32, float16, bfloat16, float64 or integer tensor"
            )
        return code

    def address(self, array: Any) -> int:
        return int(array.data_ptr())  # `array.data = other` exchanges it

    def view(self, array: Any) -> Tuple[Any, Any]:
        if array.device.type != "cpu":
            raise RuntimeError(f"array: device: got {array.device}, expected cpu: no CUDA module")
        if array.layout is not self.torch.strided:
            raise ValueError(f"array: layout: got {array.layout}, expected a strided tensor")
        if array.is_conj() or array.is_neg():
            array = array.resolve_conj().resolve_neg()
        data = ffi.cast(_VOID, array.data_ptr())
        return make_view(data, self.code_of(array), array.shape, array.stride()), array

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        kind = self.objects[dtype]
        n = ITEM_BYTES[dtype]
        for length in shape:
            n *= length
        if n == 0:
            drop(None)
            return self.torch.empty(shape, dtype=kind)
        return self.torch.frombuffer(held_buffer(data, n, drop), dtype=kind).view(shape)

    def dtype_code(self, array: Any) -> int:
        return self.code_of(array)

    def dtype_object(self, code: int) -> Any:
        return self.objects[code]

    def cast(self, array: Any, code: int) -> Any:
        return array.to(self.objects[code])  # the graph goes on

    def apply(self, operation: Any, arrays: List[Any]) -> Any:
        torch = self.torch
        if torch.is_grad_enabled() and any(array.requires_grad for array in arrays):
            from ._autodiff_torch import apply

            return apply(operation, arrays)
        return operation.forward(*arrays)

    def as_bool(self, array: Any) -> Any:
        return array.view(self.torch.bool)

    def concatenate(self, arrays: List[Any]) -> Any:
        return self.torch.cat(arrays)

    def detach(self, array: Any) -> Any:
        return array.detach()


class MlxLibrary(Library):
    name = "mlx"

    def __init__(self) -> None:
        import mlx.core as mx

        self.mx = mx
        names = [(code, name) for code, name in NAMES.items() if hasattr(mx, name)]
        self.objects = {code: getattr(mx, name) for code, name in names}
        self.codes = {dtype: code for code, dtype in self.objects.items()}
        self.codes[mx.bool_] = U8

    def code_of(self, array: Any) -> int:
        code = self.codes.get(array.dtype)
        if code is None:
            raise ValueError(
                f"array: dtype: got {array.dtype}, expected a float32, float16, bfloat16 or integer array"
            )
        return code

    def is_traced(self, array: Any) -> bool:
        """Whether the array has no value because mx.compile or mx.vmap looks at it."""
        try:
            self.mx.eval(array)
        except ValueError as error:
            if "eval" not in str(error):
                raise
            return True
        return False

    def view(self, array: Any) -> Tuple[Any, Any]:
        code = self.code_of(array)
        try:
            memory = memoryview(array)  # evaluates
        except (ValueError, RuntimeError, BufferError) as error:
            if "eval" in str(error):
                raise RuntimeError(
                    "array: an array without a value: under mx.compile coordinates and indices must be constants"
                ) from None
            raise
        if not memory.c_contiguous:
            array = self.mx.contiguous(array)
            memory = memoryview(array)
        data = ffi.from_buffer(memory)
        return make_view(data, code, array.shape), (data, array)

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        mx = self.mx
        n = ITEM_BYTES[dtype]
        for length in shape:
            n *= length
        if n == 0 or dtype not in self.objects:
            drop(None)
            return mx.zeros(shape, dtype=self.objects.get(dtype, mx.float32))
        # MLX keeps its arrays in memory of its own: this is the one copy. Halves travel as their bit patterns.
        letter: Any = _LETTERS[dtype]
        memory = memoryview(held_buffer(data, n, drop)).cast("B")
        array = mx.array(memory.cast(letter, shape) if len(shape) else memory.cast(letter))
        if dtype in (F16, BF16):
            array = array.view(self.objects[dtype])
        return array if len(shape) else array.reshape(())

    def dtype_code(self, array: Any) -> int:
        return self.code_of(array)

    def dtype_object(self, code: int) -> Any:
        return self.objects[code]

    def cast(self, array: Any, code: int) -> Any:
        return array if self.codes.get(array.dtype) == code else array.astype(self.objects[code])

    def apply(self, operation: Any, arrays: List[Any]) -> Any:
        from ._autodiff_mlx import apply

        return apply(self, operation, arrays)

    def as_bool(self, array: Any) -> Any:
        return array.astype(self.mx.bool_)

    def concatenate(self, arrays: List[Any]) -> Any:
        return self.mx.concatenate(arrays)

    def detach(self, array: Any) -> Any:
        return self.mx.stop_gradient(array)


_FORMATS = {
    "f": F32, "e": F16, "d": F64, "i": I32, "l": I64, "q": I64, "B": U8, "?": U8, "I": U32, "h": I16,
}  # fmt: skip


class BufferLibrary(Library):
    """Anything with the buffer protocol; results are memoryviews. Used where no array library is there."""

    name = "buffer"

    def view(self, array: Any) -> Tuple[Any, Any]:
        memory: Any = memoryview(array)
        code = _FORMATS.get(memory.format.lstrip("@="))
        if code is None or ITEM_BYTES[code] != memory.itemsize:
            raise ValueError(f"array: buffer format: got {memory.format!r}, expected a float or integer one")
        if not memory.c_contiguous:
            memory = memoryview(memory.tobytes()).cast("B").cast(memory.format, memory.shape)
        data = ffi.from_buffer(memory)
        return make_view(data, code, memory.shape), (data, memory)

    def shape(self, array: Any) -> Tuple[int, ...]:
        memory: Any = memoryview(array)
        return tuple(memory.shape)

    def over(self, data: Any, dtype: int, shape: Tuple[int, ...], drop: Callable[[Any], None], writable: bool) -> Any:
        import ctypes

        n = ITEM_BYTES[dtype]
        for length in shape:
            n *= length
        if n == 0:
            drop(None)
            kind: Any = {F32: ctypes.c_float, F64: ctypes.c_double, I64: ctypes.c_int64}.get(dtype, ctypes.c_int32)
            for length in reversed(shape):
                kind = kind * length
            return memoryview(kind())
        letter: Any = _LETTERS[dtype]
        memory = memoryview(held_buffer(data, n, drop)).cast("B").cast(letter, shape)
        return memory if writable else memory.toreadonly()

    def dtype_object(self, code: int) -> Any:
        return NAMES[code]


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
        view = ffi.new(_VIEW, lib.lat_array_as_view(handle))
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


_by_name: Dict[str, Library] = {}
_by_type: Dict[type, Library] = {}
_MAKERS: Dict[str, Callable[[], Library]] = {
    "numpy": NumpyLibrary, "torch": TorchLibrary, "mlx": MlxLibrary, "buffer": BufferLibrary,
}  # fmt: skip
_ARRAY_CLASSES = {"numpy": ("ndarray",), "torch": ("Tensor", "Parameter"), "mlx": ("array",)}


def library(name: str) -> Library:
    """The library called "numpy", "torch", "mlx" or "buffer"; imports it."""
    found = _by_name.get(name)
    if found is None:
        found = _by_name[name] = _MAKERS[name]()
    return found


def _discover(array: Any, what: str) -> Library:
    for base in type(array).__mro__:
        root = (base.__module__ or "").split(".")[0]
        if root in _ARRAY_CLASSES and base.__name__ in _ARRAY_CLASSES[root]:
            return library(root)
    if hasattr(array, "__dlpack__"):
        root = type(array).__module__.split(".")[0].replace("jaxlib", "jax")
        found = _by_name.get(root)
        if found is None:
            found = _by_name[root] = DlpackLibrary(sys.modules[root])
        return found
    try:
        memoryview(array)
    except TypeError:
        pass
    else:
        if not isinstance(array, (bytes, str)):
            return library("buffer")
    expected = "an array (NumPy, PyTorch, MLX, or anything with __dlpack__ or the buffer protocol)"
    raise TypeError(f"{what}: wrong class: got {type(array).__name__}, expected {expected}")


def library_of(array: Any, what: str = "array") -> Library:
    """The library of one array."""
    found = _by_type.get(type(array))
    if found is None:
        found = _discover(array, what)
        _by_type[type(array)] = found
    return found


def common_library(op: str, first: Any, *others: Any) -> Library:
    """The library that all arrays are of; None among `others` is skipped. Two libraries in one call: TypeError."""
    found = library_of(first, op)
    for other in others:
        if other is not None and _by_type.get(type(other)) is not found:
            another = library_of(other, op)
            if another is not found:
                raise TypeError(f"{op}: mixed array libraries: got {another.name}, expected {found.name}")
    return found


class Views:
    """The views of one call's arrays, and what keeps them alive."""

    __slots__ = ("library", "kept")

    def __init__(self, of: Library) -> None:
        self.library = of
        self.kept: List[Any] = []

    def __call__(self, array: Any) -> Any:
        if array is None:
            return NULL
        view, keep = self.library.view(array)
        self.kept.append(keep)
        self.kept.append(view)
        return view


def as_array(value: Any) -> Any:
    """What has only `__array__` becomes a NumPy array; everything else stays."""
    kind = type(value)
    if kind in _by_type or not hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        return value
    import numpy

    return numpy.asarray(value)
