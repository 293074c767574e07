"""verify: every reason to reject, with its code, its field and its offset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.compression import READABLE, Compression
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE
from nixcache.verify import Limits, verify
from tests.nixcache.claims import GLIBC, SUBJECT, ZLIB, claim, sha256
from tests.nixcache.compressed import compressed, xz_dictionary, zstd_window
from tests.nixcache.nar_model import File, Node, Tree, nar, nested
from tests.nixcache.outcomes import Failure, outcome
from tests.nixcache.strategies import cut, mutations

NODE = Tree({b"bin": File(ZLIB.base_name.encode(), executable=True), b"doc": File(b"text" * 50)})
NAR = nar(NODE)
COMPRESSED = [method for method in READABLE if method is not Compression.NONE]
ZERO = Hash.parse("sha256:" + "0" * 52)


def rejection(narinfo: NarInfo, file: bytes, *, limits: Limits | None = None) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        verify(narinfo, cut(file, [100]), limits=limits)
    return caught.value


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"file_hash": ZERO}, Code.FILE_HASH_MISMATCH, "FileHash"),
        ({"file_size": 1}, Code.FILE_SIZE_MISMATCH, "FileSize"),
        ({"file_size": 10**12}, Code.TOO_LARGE, "FileSize"),
        ({"file_size": len(NAR) + 1}, Code.FILE_SIZE_MISMATCH, "FileSize"),
        ({"nar_hash": ZERO}, Code.NAR_HASH_MISMATCH, "NarHash"),
        ({"nar_size": len(NAR) + 1}, Code.NAR_SIZE_MISMATCH, "NarSize"),
        ({"nar_size": len(NAR) - 1}, Code.NAR_SIZE_MISMATCH, "NarSize"),
        ({"nar_size": 1, "file_size": None}, Code.NAR_SIZE_MISMATCH, "NarSize"),
        ({"references": (GLIBC,)}, Code.REFERENCE_NOT_FOUND, "References"),
        ({"references": (ZLIB, GLIBC)}, Code.REFERENCE_NOT_FOUND, "References"),
        ({"references": (SUBJECT,)}, Code.REFERENCE_NOT_FOUND, "References"),
        ({"ca": ContentAddress(ContentAddressMethod.NAR, ZERO)}, Code.CA_MISMATCH, "CA"),
        ({"ca": ContentAddress(ContentAddressMethod.FLAT, ZERO)}, Code.CA_MISMATCH, "CA"),
        ({"ca": ContentAddress(ContentAddressMethod.TEXT, ZERO)}, Code.CA_MISMATCH, "CA"),
        # The hash is right; the store path does not follow from it.
        ({"ca": ContentAddress(ContentAddressMethod.NAR, sha256(NAR))}, Code.CA_MISMATCH, "CA"),
        ({"compression": Compression.LZIP}, Code.COMPRESSION_UNSUPPORTED, "Compression"),
        ({"compression": Compression.ZSTD}, Code.COMPRESSED_DATA_MALFORMED, "URL"),
        ({"compression": Compression.XZ}, Code.COMPRESSED_DATA_MALFORMED, "URL"),
        ({"compression": Compression.BZIP2}, Code.COMPRESSED_DATA_MALFORMED, "URL"),
        ({"compression": Compression.GZIP}, Code.COMPRESSED_DATA_MALFORMED, "URL"),
        ({"compression": Compression.BR}, Code.COMPRESSED_DATA_MALFORMED, "URL"),
    ],
    ids=str,
)
def test_each_false_claim_has_its_code_and_field(changes: dict[str, Any], code: Code, field: str) -> None:
    error = rejection(claim(NAR, **changes), NAR)
    assert (error.code, error.field) == (code, field)
    assert error.remedy


def test_the_truthful_claim_is_accepted() -> None:
    """Else every rejection here could have another reason."""
    assert verify(claim(NAR, references=[ZLIB]), [NAR]).nar_size == len(NAR)


@pytest.mark.parametrize("method", READABLE)
def test_other_bytes_of_the_same_shape_are_rejected(method: Compression) -> None:
    """The builder swaps a byte of a file and uploads a well-formed NAR of the same size."""
    swapped = NAR.replace(b"texttext", b"textTEXT", 1)
    file = compressed(method, swapped)
    error = rejection(claim(NAR, file=file, compression=method), file)
    assert (error.code, error.field) == (Code.NAR_HASH_MISMATCH, "NarHash")
    assert str(sha256(NAR)) in error.problem
    assert str(sha256(swapped)) in error.problem


def test_the_missing_references_are_named() -> None:
    error = rejection(claim(NAR, references=[SUBJECT, ZLIB, GLIBC]), NAR)
    assert error.problem.startswith("The NAR never mentions 2 of its declared references: ")
    assert GLIBC.base_name in error.problem
    assert SUBJECT.base_name in error.problem
    assert ZLIB.base_name not in error.problem


def test_a_reference_is_looked_for_in_the_nar_not_in_the_file() -> None:
    """The file's bytes could mention anything behind a codec's back: in a skippable frame, say."""
    data = nar(File(b"x"))
    text = GLIBC.hash_part.encode()
    file = b"\x50\x2a\x4d\x18" + len(text).to_bytes(4, "little") + text + compressed(Compression.ZSTD, data)
    error = rejection(claim(data, file=file, compression=Compression.ZSTD, references=[GLIBC]), file)
    assert error.code is Code.REFERENCE_NOT_FOUND


@pytest.mark.parametrize("method", [Compression.NONE, Compression.ZSTD])
def test_a_malformed_nar_is_rejected_at_its_first_wrong_byte(method: Compression) -> None:
    data = NAR.replace(b"executable", b"exeCutable")
    file = compressed(method, data)
    error = rejection(claim(data, file=file, compression=method), file)
    assert (error.code, error.field, error.offset) == (Code.NAR_MALFORMED, "NAR", data.index(b"Cutable"))


def test_trailing_data_inside_the_nar_hash_is_rejected() -> None:
    """Such a path would be signed and yet install nowhere."""
    data = NAR + b"\0" * 8
    error = rejection(claim(data), data)
    assert (error.code, error.offset) == (Code.NAR_TRAILING_DATA, len(NAR))


def test_trailing_data_outside_the_nar_hash_is_rejected() -> None:
    """Clients read past it, so it could differ from reader to reader."""
    error = rejection(claim(NAR, file=NAR + b"more"), NAR + b"more")
    assert (error.code, error.offset) == (Code.NAR_SIZE_MISMATCH, len(NAR))


@pytest.mark.parametrize("data", [NAR[:-1], NAR[:-8], NAR[:1]])
def test_a_truncated_nar_is_rejected(data: bytes) -> None:
    error = rejection(claim(data), data)
    assert (error.code, error.offset) == (Code.NAR_MALFORMED, len(data))


@pytest.mark.parametrize("method", READABLE)
def test_an_empty_file_is_rejected(method: Compression) -> None:
    error = rejection(claim(NAR, compression=method), b"")
    assert error.code in {Code.FILE_SIZE_MISMATCH, Code.COMPRESSED_DATA_MALFORMED}


@pytest.mark.parametrize("method", COMPRESSED)
@pytest.mark.parametrize("damage", ["truncated", "garbage", "corrupt"])
def test_damaged_compression_is_rejected(method: Compression, damage: str) -> None:
    file = compressed(method, NAR)
    middle = len(file) // 2
    damaged = {
        "truncated": file[:-1],
        "garbage": file + b"garbage, and more than a header of it",
        "corrupt": file[:middle] + bytes([file[middle] ^ 0xFF]) + file[middle + 1 :],
    }[damage]
    error = rejection(claim(NAR, file=damaged, compression=method), damaged)
    assert error.code in {Code.COMPRESSED_DATA_MALFORMED, Code.NAR_MALFORMED}
    if damage != "corrupt":
        assert (error.code, error.field) == (Code.COMPRESSED_DATA_MALFORMED, "URL")


@pytest.mark.parametrize(
    ("method", "file"),
    [
        (Compression.XZ, compressed(Compression.XZ, NAR) + bytes(3)),
        (Compression.ZSTD, compressed(Compression.ZSTD, NAR) + bytes(4)),
        (Compression.ZSTD, zstd_window(28)),
        (Compression.XZ, xz_dictionary(40)),
    ],
    ids=["xz padding", "zstd padding", "zstd window", "xz dictionary"],
)
def test_what_clients_do_not_decompress_is_rejected(method: Compression, file: bytes) -> None:
    error = rejection(claim(NAR, file=file, compression=method), file)
    assert (error.code, error.field) == (Code.COMPRESSED_DATA_MALFORMED, "URL")


def test_what_is_larger_than_the_limit_is_never_read() -> None:
    """I7: the claim alone is enough."""
    never: Iterator[bytes] = map(pytest.fail, ["read"])
    with pytest.raises(PermanentError) as caught:
        verify(claim(NAR), never, limits=Limits(max_nar_size=len(NAR) - 1))
    assert (caught.value.code, caught.value.field) == (Code.TOO_LARGE, "NarSize")
    with pytest.raises(PermanentError) as caught:
        verify(claim(NAR, nar_size=10 * 1024**3 + 1), never)
    assert caught.value.code is Code.TOO_LARGE


def test_reading_stops_soon_after_the_first_wrong_byte() -> None:
    """I7: while a piece is examined a few more are decompressed, and no more than a few."""
    asked = []

    def pieces() -> Iterator[bytes]:
        for number in range(100):
            asked.append(number)
            yield b"no NAR!!" * 131_072

    with pytest.raises(PermanentError) as caught:
        verify(claim(NAR, nar_size=10**9, file_size=None), pieces())
    assert (caught.value.code, caught.value.offset) == (Code.NAR_MALFORMED, 0)
    assert len(asked) < 10


@pytest.mark.parametrize("length", range(50))
def test_the_first_fault_is_named_whichever_thread_is_faster(length: int) -> None:
    """I6: what is wrong with the NAR comes before what is wrong with the file behind it."""
    whole = compressed(Compression.ZSTD, b"x" * 10 + NAR) + compressed(Compression.ZSTD, b"more")
    file = whole + b"garbage" * length
    error = rejection(claim(NAR, nar_size=100_000, file_size=None, compression=Compression.ZSTD), file)
    assert (error.code, error.offset) == (Code.NAR_MALFORMED, 0)


def test_what_the_source_raises_passes_through() -> None:
    """A broken connection is no verdict."""

    def broken() -> Iterator[bytes]:
        yield NAR[:10]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        verify(claim(NAR), broken())


@pytest.mark.parametrize("method", [ContentAddressMethod.FLAT, ContentAddressMethod.TEXT])
def test_a_directory_cannot_be_addressed_by_contents(method: ContentAddressMethod) -> None:
    ca = ContentAddress(method, sha256(b"x"))
    path = ca.store_path(NIX_STORE, "x", (), itself=False)
    data = nar(Tree({b"f": File(b"x")}))
    error = rejection(claim(data, store_path=path, ca=ca), data)
    assert (error.code, error.field) == (Code.CA_MISMATCH, "CA")
    assert "regular, not executable file" in error.problem


def test_another_paths_content_address_is_rejected() -> None:
    """The hash part of one object with the bytes of another."""
    wanted, given_ = nar(File(b"wanted")), nar(File(b"given"))
    ca = ContentAddress(ContentAddressMethod.NAR, sha256(wanted))
    path = ca.store_path(NIX_STORE, "x", (), itself=False)
    assert verify(claim(wanted, store_path=path, ca=ca), [wanted]).ca == ca
    error = rejection(claim(given_, store_path=path, ca=ca), given_)
    assert (error.code, error.field) == (Code.CA_MISMATCH, "CA")


@pytest.mark.parametrize("node", [nested(65), nested(66, Tree())], ids=["file", "directory"])
def test_too_deep_a_tree_is_rejected(node: Node) -> None:
    data = nar(node)
    error = rejection(claim(data), data)
    assert error.code is Code.NAR_MALFORMED
    assert "deeper than 64" in error.problem


@given(mutations(NAR), st.integers(1, 400))
def test_no_changed_byte_goes_through(data: bytes, size: int) -> None:
    """I1: whatever is done to the bytes, they are refused; the claim itself stays."""
    result = outcome(lambda: verify(claim(NAR, references=[ZLIB]), cut(data, [size])))
    assert isinstance(result, Failure) == (data != NAR)


@given(st.data(), st.sampled_from(COMPRESSED))
def test_no_changed_byte_of_a_compressed_file_goes_through(draw: st.DataObject, method: Compression) -> None:
    """Where the NAR comes out whole in spite of it (a header's spare bits), the file hash tells."""
    file = compressed(method, NAR)
    changed = draw.draw(mutations(file))
    narinfo = claim(NAR, file=file, compression=method, references=[ZLIB])
    assert isinstance(outcome(lambda: verify(narinfo, [changed])), Failure) == (changed != file)
