"""verify: what is accepted, and what is then known of it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nixcache.compression import READABLE, Compression
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from nixcache.store_path import NIX_STORE
from nixcache.verify import Limits, verify
from tests.nixcache.claims import GLIBC, SUBJECT, ZLIB, claim, sha256
from tests.nixcache.compressed import SKIPPABLE_FRAME, compressed
from tests.nixcache.golden import HELLO_LISTING, HELLO_NAR, HELLO_NARINFO
from tests.nixcache.nar_model import File, Link, Node, Tree, nar
from tests.nixcache.self_reference import addressed
from tests.nixcache.strategies import cut, nodes, piece_sizes


def test_the_golden_object() -> None:
    verified = verify(NarInfo.parse(HELLO_NARINFO, NIX_STORE), [HELLO_NAR])
    assert verified.narinfo(()).render() == b"".join(
        line for line in HELLO_NARINFO.splitlines(keepends=True) if not line.startswith(b"Sig:")
    )
    assert verified.listing is not None
    assert json.loads(verified.listing) == json.loads(HELLO_LISTING)


@pytest.mark.parametrize("method", READABLE)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_every_compression_however_it_comes(method: Compression, size: int) -> None:
    data = nar(Tree({b"f": File(ZLIB.base_name.encode()), b"g": Link(b"x")}))
    file = compressed(method, data)
    narinfo = claim(data, file=file, compression=method, references=[ZLIB])
    verified = verify(narinfo, cut(file, [size]))
    assert (verified.store_dir, verified.store_path) == (NIX_STORE, SUBJECT)
    assert (verified.nar_hash, verified.nar_size) == (sha256(data), len(data))
    assert (verified.file_hash, verified.file_size) == (sha256(file), len(file))
    assert (verified.compression, verified.references) == (method, (ZLIB,))
    assert (verified.deriver, verified.ca) == (None, None)


ZSTD, XZ, BZIP2, GZIP = Compression.ZSTD, Compression.XZ, Compression.BZIP2, Compression.GZIP
HALVES = [nar(File(b"x" * 100))[:60], nar(File(b"x" * 100))[60:]]


@pytest.mark.parametrize(
    ("method", "file"),
    [
        (ZSTD, compressed(ZSTD, HALVES[0]) + compressed(ZSTD, HALVES[1])),
        (ZSTD, SKIPPABLE_FRAME + compressed(ZSTD, b"".join(HALVES)) + SKIPPABLE_FRAME + compressed(ZSTD, b"")),
        (XZ, compressed(XZ, HALVES[0]) + compressed(XZ, HALVES[1])),
        (XZ, compressed(XZ, HALVES[0]) + bytes(4) + compressed(XZ, HALVES[1]) + bytes(8)),
        (BZIP2, compressed(BZIP2, HALVES[0]) + compressed(BZIP2, HALVES[1])),
        (GZIP, compressed(GZIP, HALVES[0]) + compressed(GZIP, HALVES[1])),
    ],
    ids=[
        "zstd frames",
        "zstd frames that stand for nothing",
        "xz streams",
        "xz stream padding",
        "bzip2 streams",
        "gzip members",
    ],
)
def test_what_clients_decompress_is_accepted(method: Compression, file: bytes) -> None:
    data = b"".join(HALVES)
    assert verify(claim(data, file=file, compression=method), cut(file, [10])).file_size == len(file)


@pytest.mark.parametrize(
    ("method", "extension"),
    [("none", ""), ("zstd", ".zst"), ("xz", ".xz"), ("bzip2", ".bz2"), ("gzip", ""), ("br", ".br")],
)
def test_the_published_narinfo_is_computed_not_copied(method: str, extension: str) -> None:
    """I5: URL, file hash and file size are ours, and a builder's signatures are gone."""
    data = nar(File(b"x"))
    file = compressed(Compression(method), data)
    narinfo = claim(
        data,
        compression=Compression(method),
        url="https://evil.example/../x",
        file_hash=None,
        file_size=None,
        signatures=(Signature("evil", bytes(64)),),
        deriver=GLIBC,
    )
    ours = Signature("ours", bytes(64))
    published = verify(narinfo, [file]).narinfo((ours,))
    assert published == NarInfo(
        store_dir=NIX_STORE,
        store_path=SUBJECT,
        url=f"nar/{sha256(file).nix32}.nar{extension}",
        compression=Compression(method),
        file_hash=sha256(file),
        file_size=len(file),
        nar_hash=sha256(data),
        nar_size=len(data),
        references=(),
        deriver=GLIBC,
        signatures=(ours,),
        ca=None,
    )


def test_a_self_reference_counts_as_mentioned() -> None:
    data = nar(File(f"/nix/store/{SUBJECT.base_name} {ZLIB.hash_part}".encode()))
    assert verify(claim(data, references=[SUBJECT, ZLIB]), [data]).references == (ZLIB, SUBJECT)


def test_a_mention_in_a_name_or_target_counts() -> None:
    data = nar(Tree({ZLIB.base_name.encode(): File(), b"x": Link(f"/nix/store/{GLIBC.base_name}".encode())}))
    assert verify(claim(data, references=[ZLIB, GLIBC]), [data]).references == (ZLIB, GLIBC)


def test_what_no_listing_can_name_is_published_without_one() -> None:
    data = nar(Tree({b"\xff": File()}))
    assert verify(claim(data), [data]).listing is None


def test_whoever_has_only_so_much_time_may_give_up_between_pieces() -> None:
    """I6: also within one small chunk that unpacks to very much."""
    data = nar(File(bytes(8 * 2**20)))
    file = compressed(Compression.ZSTD, data)
    pulses: list[None] = []

    def pulse() -> None:
        pulses.append(None)
        if len(pulses) > 5:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        verify(claim(data, file=file, compression=Compression.ZSTD), [file], pulse=pulse)
    pulses.clear()
    verify(claim(data, file=file, compression=Compression.ZSTD), [file], pulse=lambda: pulses.append(None))
    assert len(pulses) >= len(data) / 2**20


@pytest.mark.parametrize("limit", [112, 113])
def test_a_nar_may_be_as_large_as_the_limit(limit: int) -> None:
    data = nar(File())
    assert len(data) == 112
    assert verify(claim(data), [data], limits=Limits(max_nar_size=limit)).nar_size == 112


def test_the_default_limit_is_ten_gibibytes() -> None:
    assert Limits().max_nar_size == 10 * 1024**3


@pytest.mark.parametrize("algorithm", HashAlgorithm)
@pytest.mark.parametrize("method", [ContentAddressMethod.FLAT, ContentAddressMethod.NAR])
@pytest.mark.parametrize("compression", READABLE)
def test_a_content_address_is_proven(
    algorithm: HashAlgorithm, method: ContentAddressMethod, compression: Compression
) -> None:
    contents = b"contents" * 100
    data = nar(File(contents))
    state = algorithm.new()
    state.update(contents if method is ContentAddressMethod.FLAT else data)
    ca = ContentAddress(method, Hash(algorithm, state.digest()))
    path = ca.store_path(NIX_STORE, "x", (), itself=False)
    file = compressed(compression, data)
    verified = verify(claim(data, file=file, compression=compression, store_path=path, ca=ca), cut(file, [100]))
    assert (verified.ca, verified.narinfo(()).ca) == (ca, ca)


def test_a_text_with_references_is_proven() -> None:
    contents = f"/nix/store/{ZLIB.base_name}/lib".encode()
    ca = ContentAddress(ContentAddressMethod.TEXT, sha256(contents))
    path = ca.store_path(NIX_STORE, "x", [ZLIB], itself=False)
    data = nar(File(contents))
    assert verify(claim(data, store_path=path, ca=ca, references=[ZLIB]), [data]).ca == ca


@pytest.mark.parametrize("offsets", [True, False])
def test_an_address_that_clients_disagree_on_is_proven_but_not_published(offsets: bool) -> None:  # noqa: FBT001
    """Under a signature alone every client takes the path; with either address some client refuses it."""
    made = addressed(
        lambda part: Tree({b"f": File(f"/nix/store/{part}-x /nix/store/{ZLIB.base_name}".encode())}),
        offsets=offsets,
        references=[ZLIB],
    )
    submitted = claim(made.nar, store_path=made.path, ca=made.ca, references=[ZLIB, made.path])
    verified = verify(submitted, cut(made.nar, [13]))
    assert (verified.ca, verified.narinfo(()).ca) == (None, None)
    assert made.path in verified.references
    with pytest.raises(PermanentError) as caught:
        verify(dataclasses.replace(submitted, ca=ContentAddress(made.ca.method, sha256(made.nar))), [made.nar])
    assert caught.value.code is Code.CA_MISMATCH


def test_a_derivation_gets_the_address_that_its_narinfo_left_out() -> None:
    contents = b'Derive([("out","","r:sha256","")],[],[],"s","/b",[],[("name","x"),("out","")])'
    ca = ContentAddress(ContentAddressMethod.TEXT, sha256(contents))
    path = ca.store_path(NIX_STORE, "x.drv", (), itself=False)
    assert verify(claim(nar(File(contents)), store_path=path), [nar(File(contents))]).ca == ca
    other = nar(File(contents.replace(b"/b", b"/c")))
    with pytest.raises(PermanentError) as caught:
        verify(claim(other, store_path=path), [other])
    assert caught.value.code is Code.CA_MISMATCH


@settings(max_examples=60)
@given(nodes(), st.sampled_from(READABLE), piece_sizes())
def test_any_truthful_submission_is_accepted(node: Node, method: Compression, sizes: list[int]) -> None:
    data = nar(node)
    file = compressed(method, data)
    verified = verify(claim(data, file=file, compression=method), cut(file, sizes))
    assert NarInfo.parse(verified.narinfo(()).render(), NIX_STORE) == verified.narinfo(())
