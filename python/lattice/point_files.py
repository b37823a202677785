"""Point-cloud files and pictures."""
from __future__ import annotations

import os
from typing import Any, Dict, Mapping, NamedTuple, Optional, Union

from ._arrays import Library, Views, common_library, library
from ._library import NULL, check, context, ffi, io, lib, options
from .core.sparse import SparseTensor, require_tensor

Path = Union[str, "os.PathLike[str]"]


class PointCloud(NamedTuple):
    """Positions `(N, 3)` float32 or float64, and named arrays of one value a point."""

    positions: Any
    fields: Dict[str, Any]


def _copied(of: Library, view: Any) -> Any:
    out = ffi.new("lat_array **")
    check(lib.lat_array_create(context(), ffi.new("lat_array_view *", view), out))
    return of.take(out[0])


def read_points(path: Path, *, arrays: str = "numpy") -> PointCloud:
    """Reads a .ply, .pcd, .las or KITTI .bin file into arrays of `arrays` ("numpy", "torch", "mlx").

    .laz goes through the package laspy, where it is installed (RuntimeError otherwise). OSError for a file that cannot be
    read, ValueError for one that is malformed. MLX has no float64: positions that are float64 become float32 there.
    """
    of = library(arrays)
    if os.fspath(path).lower().endswith(".laz"):
        return _read_laz(path, of)
    clouds = io()
    out = ffi.new("lat_cloud **")
    check(clouds.lat_cloud_read(context(), os.fspath(path).encode(), NULL, out))
    cloud = ffi.gc(out[0], clouds.lat_cloud_release)
    fields = {}
    for i in range(clouds.lat_cloud_n_fields(cloud)):
        name = ffi.string(clouds.lat_cloud_field_name(cloud, i)).decode()
        fields[name] = _fitting(of, clouds.lat_cloud_field(cloud, i))
    return PointCloud(_fitting(of, clouds.lat_cloud_positions(cloud)), fields)


def _fitting(of: Library, view: Any) -> Any:
    """The values in a library; float64 as float32 where the library's CPU arrays have none."""
    if of.name == "mlx" and view.dtype == 3:
        out = ffi.new("lat_array **")
        check(lib.lat_array_cast(context(), ffi.new("lat_array_view *", view), 1, out))
        return of.take(out[0])
    return _copied(of, view)


def _laspy(op: str) -> Any:
    try:
        import laspy
    except ImportError:
        laspy = None
    if laspy is None or not laspy.LazBackend.detect_available():
        raise RuntimeError(f"{op}: .laz needs the package laspy with a LAZ backend: pip install 'laspy[lazrs]'")
    return laspy


def _write_laz(path: str, positions: Any, fields: Mapping[str, Any]) -> None:
    """Through a .las file beside it, which laspy compresses."""
    laspy, plain, packed = _laspy("write_points"), path + ".part.las", path + ".part.laz"
    try:
        write_points(plain, positions, fields)
        laspy.read(plain).write(packed)
        os.replace(packed, path)
    finally:
        for name in (plain, packed):
            if os.path.exists(name):
                os.remove(name)


def _read_laz(path: Path, of: Library) -> PointCloud:
    laspy = _laspy("read_points")
    import numpy

    las = laspy.read(path)
    names = [name for name in las.point_format.dimension_names if name not in ("X", "Y", "Z")]
    numpy_of = library("numpy")

    def out(array: Any) -> Any:
        if array.dtype not in numpy_of.codes:  # type: ignore[attr-defined]
            wide = numpy.uint32 if array.dtype.kind == "u" else numpy.int32  # as the reader of .las gives 16 bits
            array = array.astype(wide if array.itemsize < 4 else numpy.int64)
        if of is numpy_of:
            return array
        view, keep = numpy_of.view(array)
        found = _fitting(of, view[0])
        del keep
        return found

    fields = {name: out(numpy.ascontiguousarray(las[name])) for name in names}
    return PointCloud(out(numpy.stack([las.x, las.y, las.z], 1).astype(numpy.float64)), fields)


def write_points(path: Path, positions: Any, fields: Optional[Mapping[str, Any]] = None) -> None:
    """Writes a .ply, .las or .laz file: positions `(N, 3)` and named arrays of one value a point. Complete or not at all.

    .laz goes through the package laspy, where it is installed (RuntimeError otherwise). ValueError for another ending, shapes
    and dtypes; OSError for a file that cannot be written.
    """
    extras = dict(fields or {})
    of = common_library("write_points", positions, *extras.values())
    name = os.fspath(path)
    if name.lower().endswith(".laz"):
        return _write_laz(name, positions, extras)
    if not name.lower().endswith((".ply", ".las")):
        raise ValueError(f"write_points: file name: got {name}, expected one ending in .ply, .las or .laz")
    clouds, views = io(), Views(of)
    out = ffi.new("lat_cloud **")
    check(clouds.lat_cloud_create(context(), views(of.detach(positions)), out))
    cloud = ffi.gc(out[0], clouds.lat_cloud_release)
    for field, values in extras.items():
        check(clouds.lat_cloud_add_field(context(), cloud, field.encode(), views(values)))
    write = clouds.lat_cloud_write_ply if name.lower().endswith(".ply") else clouds.lat_cloud_write_las
    check(write(context(), cloud, name.encode(), NULL))


def plot(x: SparseTensor, path: Optional[Path] = None, *, size: int = 512) -> Any:
    """Shows where a tensor has rows: with matplotlib a figure of points coloured by height (saved where a path is given).

    Without matplotlib a picture from above is written to `path`, "lattice.png" by default, and its name returned.
    """
    require_tensor("plot", x)
    view = lib.lat_coords_rows(x._entry.handle)
    rows = x._entry.rows
    flat = ffi.unpack(ffi.cast("const int32_t *", view.data), 4 * rows) if rows else []
    columns = [flat[axis::4] for axis in (1, 2, 3)]
    try:
        import matplotlib.pyplot as pyplot
    except ImportError:
        return _picture(columns, os.fspath(path or "lattice.png"), size)
    figure = pyplot.figure()
    axes = figure.add_subplot(projection="3d")
    axes.scatter(*columns, c=columns[2], s=4)
    axes.set(xlabel="x", ylabel="y", zlabel="z", title=repr(x))
    if path is not None:
        figure.savefig(path)
    return figure


def _picture(columns: Any, path: str, size: int) -> str:
    from ._arrays import U8, make_view

    pixels = bytearray(b"\xff" * (3 * size * size))
    if columns[0]:
        low = [min(column) for column in columns]
        extent = max(max(column) - least + 1 for column, least in zip(columns[:2], low))
        height = max(max(columns[2]) - low[2], 1)
        for x, y, z in sorted(zip(*columns), key=lambda row: row[2]):
            left, top = (x - low[0]) * size // extent, (y - low[1]) * size // extent
            wide = max(size // extent, 1)
            shade = 200 * (z - low[2]) // height
            for row in range(top, min(top + wide, size)):
                start = 3 * ((size - 1 - row) * size + left)
                n = min(wide, size - left)
                pixels[start : start + 3 * n] = bytes((shade, 80, 220 - shade)) * n
    image = ffi.from_buffer(pixels)
    check(io().lat_image_write_png(context(), make_view(image, U8, (size, size, 3)), path.encode()))
    return path


def explain(program: Any, *args: Any, **kwargs: Any) -> str:
    """What a LatticeProgram does on given inputs, layer by layer: rows, edges, algorithm, bytes, milliseconds.

    Inputs as in calling the program.
    """
    from .artifact import LatticeProgram, bound

    if not isinstance(program, LatticeProgram):
        raise TypeError(f"explain: program has the wrong class: got {type(program).__name__}, expected LatticeProgram")
    bindings, n, _, keep = bound(program._inputs(args, kwargs))
    out = ffi.new("lat_explanation **")
    opts = options("lat_run_opts", logical_coords=int(program.coords == "logical"))
    check(lib.lat_program_explain(context(), program._program, bindings, n, opts, out))
    found = ffi.gc(out[0], lib.lat_explanation_release)
    del keep
    lines = [f"{'layer':24} {'operation':34} {'rows':>9} {'channels':>8} {'edges':>11} {'map ms':>8} {'ms':>8}  algorithm"]
    for i in range(lib.lat_explanation_count(found)):
        layer = lib.lat_explanation_layer(found, i)
        name, op, how = (ffi.string(text).decode() for text in (layer.name, layer.op, layer.algorithm))
        lines.append(
            f"{name:24} {op:34} {layer.rows:9} {layer.channels:8} {layer.edges:11} {layer.map_ms:8.2f} {layer.compute_ms:8.2f}  {how}"
        )
    return "\n".join(line.rstrip() for line in lines)
