"""The proof as a whole: a submission is accepted exactly if everything that it claims is so, however it is cut.

An input is a narinfo, an empty line, and the file that it is about.
"""

from __future__ import annotations

import hashlib
import threading

from fuzz.contract import Refusal, outcome, require, require_same
from fuzz.cuts import cuts
from fuzz.decompression import decompress
from fuzz.mutators.submissions import mutate_submission
from fuzz.oracles.codecs import LIBRARIES
from fuzz.oracles.submissions import Truth, truth
from fuzz.target import Target
from nixcache.errors import Code
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE
from nixcache.verify import Limits, Policy, VerifiedStoreObject, verify

_LIMITS = Limits(max_nar_size=64 * 1024)
_BYTEWISE_UP_TO = 300
"""Bytes: each piece crosses from one thread to another, and an input must not take longer than it teaches."""


def check(data: bytes) -> None:
    """Hold verify to its contract for ``data``."""
    head, _, file = data.partition(b"\n\n")
    claim = outcome(lambda: NarInfo.parse(head + b"\n", NIX_STORE))
    if isinstance(claim, Refusal):
        return
    threads = threading.active_count()
    result = _verify(claim, [file], Policy.WARN)
    for pieces in cuts(file, bytewise_up_to=_BYTEWISE_UP_TO):
        require_same(_verify(claim, pieces, Policy.WARN), result, "Each cut gives the same verdict")
    strict = _verify(claim, [file], Policy.REJECT)
    require_same(threading.active_count(), threads, "No thread is left behind")
    nar = decompress(claim.compression, [file], enough=_LIMITS.max_nar_size + 1)
    true = truth(claim, file, nar.data) if nar.whole else None
    if true is None:
        require(isinstance(result, Refusal), "What claims something untrue is refused")
        require_same(strict, result, "A policy changes nothing about it")
        return
    require_same(result, true, "What is true is accepted, and all is found")
    code = strict.code if isinstance(strict, Refusal) else None
    require_same(code, Code.REFERENCE_NOT_FOUND if true.unmentioned else None, "Every declared reference is mentioned")


def _verify(claim: NarInfo, pieces: list[bytes], policy: Policy) -> Truth | Refusal:
    result = outcome(lambda: verify(claim, pieces, limits=_LIMITS, reference_not_found=policy))
    if isinstance(result, Refusal):
        return result
    _check_published(result, claim, b"".join(pieces))
    return Truth(
        ca=result.ca,
        listing=result.listing,
        build_ids=result.build_ids,
        unmentioned=tuple(path.base_name for path in result.unmentioned),
        undeclared=tuple(path.base_name for path in result.undeclared),
        more_undeclared=result.more_undeclared,
    )


def _check_published(result: VerifiedStoreObject, claim: NarInfo, file: bytes) -> None:
    """What would be signed and published is computed from the bytes, or was claimed and is covered by them."""
    nar = LIBRARIES[claim.compression](file)
    published = NarInfo.parse(result.narinfo(()).render(), NIX_STORE)
    require_same(published.nar_hash.digest, hashlib.sha256(nar).digest(), "NarHash")
    require_same(published.nar_size, len(nar), "NarSize")
    require(published.file_hash and published.file_hash.digest == hashlib.sha256(file).digest(), "FileHash")
    require_same(published.file_size, len(file), "FileSize")
    require_same(published.store_path, claim.store_path, "StorePath")
    require_same(published.references, claim.references, "References")
    require_same(published.deriver, claim.deriver, "Deriver")
    require_same(published.compression, claim.compression, "Compression")
    require_same(published.ca, result.ca, "CA")
    require_same(published.signatures, (), "No signature is copied")


TARGET = Target(name="verify", check=check, mutate=mutate_submission)
