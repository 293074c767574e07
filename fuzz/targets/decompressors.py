"""Each decompressor: bounded pieces, the bytes that its library gives in one call, one verdict however it is fed."""

from __future__ import annotations

from functools import partial

from fuzz.contract import require, require_same
from fuzz.cuts import cuts
from fuzz.decompression import Decompressed, decompress
from fuzz.mutators.compressed import mutate_compressed
from fuzz.oracles.codecs import AS_STRICT, LIBRARIES, LIBRARY_ERRORS
from fuzz.target import Target
from nixcache.compression import Compression
from nixcache.errors import Code

_ENOUGH = 1024 * 1024
"""Bytes: a bomb is left alone then, as verify does."""


def check(method: Compression, data: bytes) -> None:
    """Hold the decompressor of ``method`` to its contract for ``data``."""
    first = decompress(method, [data], enough=_ENOUGH)
    if len(first.data) >= _ENOUGH:
        return
    results = [decompress(method, pieces, enough=_ENOUGH) for pieces in cuts(data)]
    code = first.refusal and first.refusal.code
    codes = [result.refusal and result.refusal.code for result in results]
    require_same(codes, [code] * len(codes), "Each cut gives the same verdict")
    longest = max((result.data for result in results), key=len)
    for out, refusal, _ in results:
        # A codec that finds a fault keeps back what it had decompressed in the same call.
        require(longest.startswith(out), "Each cut gives a beginning of the same bytes")
        require(refusal or out == longest, "Each cut gives all bytes")
        if refusal and refusal.offset is not None:
            require(0 <= refusal.offset <= len(data), "The offset is in the file")
    _compare_with_library(method, data, first)


def _compare_with_library(method: Compression, data: bytes, ours: Decompressed) -> None:
    if ours.refusal and method not in AS_STRICT:
        return
    try:
        expected = LIBRARIES[method](data)
    except LIBRARY_ERRORS:
        require(ours.refusal, "What its own library refuses is refused")
        return
    refused = ours.refusal is not None and ours.refusal.code != Code.TOO_LARGE
    require(not refused, "What its own library accepts is accepted")
    require(ours.refusal or ours.data == expected, "The bytes are those of the library")


TARGETS = tuple(
    Target(name=method.value, check=partial(check, method), mutate=partial(mutate_compressed, method))
    for method in LIBRARIES
)
