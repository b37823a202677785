"""Entropy coding (semantics 10): streams are `bytes`."""
from __future__ import annotations

from typing import Any

from .._arrays import Views, common_library, library_of, make_view, view_bytes
from .._library import check, context, ffi, lib


def _array(function: Any, of: Any, *arguments: Any) -> Any:
    out = ffi.new("lat_array **")
    check(function(context(), *arguments, out))
    return of.take(out[0])


def normalized_cdf(prob: Any) -> Any:
    """Cumulative counts `(rows, alphabet + 1)` int16 (bit patterns of uint16) of probabilities `(rows, alphabet)`."""
    of = library_of(prob, "prob")
    return _array(lib.lat_normalized_cdf, of, Views(of)(of.detach(prob)))


def _encode(function: Any, op: str, table: Any, symbols: Any) -> bytes:
    of = common_library(op, table, symbols)
    views = Views(of)
    out = ffi.new("lat_array **")
    check(function(context(), views(of.detach(table)), views(symbols), out))
    try:
        view = lib.lat_array_as_view(out[0])
        return bytes(ffi.buffer(view.data, view_bytes(view)))
    finally:
        lib.lat_array_release(out[0])


def _decode(function: Any, table: Any, stream: Any) -> Any:
    of = library_of(table, "table")
    data = bytes(stream)
    memory = ffi.from_buffer(data)
    return _array(function, of, Views(of)(of.detach(table)), make_view(memory, 6, (len(data),)))


def range_encode(cdf: Any, symbols: Any) -> bytes:
    """Codes one symbol of each row of `cdf` with the range coder."""
    return _encode(lib.lat_range_encode, "range_encode", cdf, symbols)


def range_decode(cdf: Any, stream: bytes) -> Any:
    """The symbols of a range stream, `(rows,)` int32."""
    return _decode(lib.lat_range_decode, cdf, stream)


def range_encode_from_prob(prob: Any, symbols: Any) -> bytes:
    """range_encode with the counts of normalized_cdf(prob)."""
    return _encode(lib.lat_range_encode_from_prob, "range_encode_from_prob", prob, symbols)


def range_decode_from_prob(prob: Any, stream: bytes) -> Any:
    """range_decode with the counts of normalized_cdf(prob)."""
    return _decode(lib.lat_range_decode_from_prob, prob, stream)


def rans_encode_from_prob(prob: Any, symbols: Any) -> bytes:
    """Codes one symbol of each row with the rANS coder.

    prob `(N, A)` float, symbols `(N,)` whole numbers; bytes. ValueError for shapes, dtypes and symbols outside the alphabet.
    """
    return _encode(lib.lat_rans_encode_from_prob, "rans_encode_from_prob", prob, symbols)


def rans_decode_from_prob(prob: Any, stream: bytes) -> Any:
    """The symbols of a rANS stream, `(rows,)` int32. ValueError for a truncated stream or bytes left over."""
    return _decode(lib.lat_rans_decode_from_prob, prob, stream)
