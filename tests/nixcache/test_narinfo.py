"""narinfo: what Nix wrote is read, and written again byte for byte."""

from __future__ import annotations

import base64
import dataclasses
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from nixcache.compression import Compression
from nixcache.content_address import ContentAddress
from nixcache.hashes import Hash
from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey, Signature
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE, StorePath
from tests.nixcache.golden import (
    HELLO,
    HELLO_DRV,
    HELLO_NAR_HASH,
    HELLO_NARINFO,
    HELLO_SIGNATURE,
    PUBLIC_KEY,
    ZLIB,
)
from tests.nixcache.strategies import narinfos

GOLDEN = NarInfo(
    store_dir=NIX_STORE,
    store_path=StorePath.from_base_name(HELLO),
    url="nar/0lsjdbg0nc5inqb1j26zzzddlf1zpa3sicws8s9a6q4yz7zxq1ba.nar",
    compression=Compression.NONE,
    file_hash=Hash.parse(HELLO_NAR_HASH),
    file_size=976,
    nar_hash=Hash.parse(HELLO_NAR_HASH),
    nar_size=976,
    references=(StorePath.from_base_name(ZLIB), StorePath.from_base_name(HELLO)),
    deriver=StorePath.from_base_name(HELLO_DRV),
    signatures=(Signature.parse(HELLO_SIGNATURE),),
    ca=None,
)
MINIMAL = (
    f"StorePath: /nix/store/{ZLIB}\nURL: nar/x.nar\nCompression: none\nNarHash: {HELLO_NAR_HASH}\nNarSize: 976\n"
).encode()


def test_the_golden_narinfo_is_read() -> None:
    assert NarInfo.parse(HELLO_NARINFO, NIX_STORE) == GOLDEN


def test_the_golden_narinfo_is_written_byte_for_byte() -> None:
    assert GOLDEN.render() == HELLO_NARINFO


def test_every_field_is_written_where_nix_has_it() -> None:
    narinfo = dataclasses.replace(
        GOLDEN,
        compression=Compression.ZSTD,
        signatures=(Signature.parse(HELLO_SIGNATURE), Signature("other-1", bytes(64))),
        ca=ContentAddress.parse(f"fixed:r:{HELLO_NAR_HASH}"),
    )
    keys = [line.split(": ")[0] for line in narinfo.render().decode().splitlines()]
    assert " ".join(keys) == (
        "StorePath URL Compression FileHash FileSize NarHash NarSize References Deriver Sig Sig CA"
    )


def test_what_is_unknown_is_left_out_but_references_keep_their_space() -> None:
    """Without the space after the colon a Nix client reads the next line as the references."""
    narinfo = dataclasses.replace(
        GOLDEN, file_hash=None, file_size=None, references=(), deriver=None, signatures=(), ca=None
    )
    assert narinfo.render().decode().splitlines() == [
        f"StorePath: /nix/store/{HELLO}",
        f"URL: {GOLDEN.url}",
        "Compression: none",
        f"NarHash: {HELLO_NAR_HASH}",
        "NarSize: 976",
        "References: ",
    ]


@given(narinfos())
def test_parse_undoes_render(narinfo: NarInfo) -> None:
    assert NarInfo.parse(narinfo.render(), narinfo.store_dir) == narinfo


@given(narinfos(), st.randoms())
def test_the_order_of_lines_means_nothing(narinfo: NarInfo, random: Random) -> None:
    narinfo = dataclasses.replace(narinfo, signatures=narinfo.signatures[:1])
    lines = narinfo.render().splitlines(keepends=True)
    random.shuffle(lines)
    assert NarInfo.parse(b"".join(lines), narinfo.store_dir) == narinfo


def test_the_least_that_a_narinfo_holds() -> None:
    narinfo = NarInfo.parse(MINIMAL, NIX_STORE)
    assert (narinfo.file_hash, narinfo.file_size, narinfo.deriver, narinfo.ca) == (None, None, None, None)
    assert (narinfo.references, narinfo.signatures) == ((), ())


@pytest.mark.parametrize("line", [b"", b"Compression: \n"])
def test_no_compression_means_bzip2(line: bytes) -> None:
    data = MINIMAL.replace(b"Compression: none\n", line)
    assert NarInfo.parse(data, NIX_STORE).compression is Compression.BZIP2


@pytest.mark.parametrize("name", [method.value for method in Compression])
def test_every_method_that_nix_knows_can_be_declared(name: str) -> None:
    data = MINIMAL.replace(b"Compression: none", b"Compression: " + name.encode())
    assert NarInfo.parse(data, NIX_STORE).compression == name


@pytest.mark.parametrize("line", ["References: \n", "CA: \n"])
def test_these_fields_may_be_empty(line: str) -> None:
    """To every client they are then absent; an empty FileHash, FileSize or Deriver makes every client refuse."""
    assert NarInfo.parse(MINIMAL + line.encode(), NIX_STORE) == NarInfo.parse(MINIMAL, NIX_STORE)


def test_unknown_fields_are_passed_over_and_an_unknown_deriver_is_none() -> None:
    data = MINIMAL + b"System: x86_64-linux\nX-Thing: a: b\nSystem: again\nDeriver: unknown-deriver\n"
    assert NarInfo.parse(data, NIX_STORE) == NarInfo.parse(MINIMAL, NIX_STORE)


def test_references_are_sorted_as_the_fingerprint_needs_them() -> None:
    narinfo = NarInfo.parse(MINIMAL + f"References: {HELLO} {ZLIB}\n".encode(), NIX_STORE)
    assert [reference.base_name for reference in narinfo.references] == [ZLIB, HELLO]


def test_hashes_in_other_encodings_become_nix32() -> None:
    """The signature is always over Nix32, so a hex hash must never be copied through (I5)."""
    hexadecimal = Hash.parse(HELLO_NAR_HASH).hex
    narinfo = NarInfo.parse(HELLO_NARINFO.replace(HELLO_NAR_HASH.encode(), f"sha256:{hexadecimal}".encode()), NIX_STORE)
    assert narinfo.render() == HELLO_NARINFO


@pytest.mark.parametrize("field", ["NarHash", "FileHash"])
@pytest.mark.parametrize("encoding", ["hex", "upper-case hex", "base64", "SRI"])
def test_every_encoding_of_nix_is_read(field: str, encoding: str) -> None:
    digest = Hash.parse(HELLO_NAR_HASH).digest
    base64_text = base64.b64encode(digest).decode()
    written = {
        "hex": f"sha256:{digest.hex()}",
        "upper-case hex": f"sha256:{digest.hex().upper()}",
        "base64": f"sha256:{base64_text}",
        "SRI": f"sha256-{base64_text}",
    }[encoding]
    data = HELLO_NARINFO.replace(f"{field}: {HELLO_NAR_HASH}".encode(), f"{field}: {written}".encode())
    assert data != HELLO_NARINFO
    assert NarInfo.parse(data, NIX_STORE).render() == HELLO_NARINFO


def test_the_fingerprint_is_what_nix_signed() -> None:
    assert GOLDEN.fingerprint() == (
        f"1;/nix/store/{HELLO};{HELLO_NAR_HASH};976;/nix/store/{ZLIB},/nix/store/{HELLO}".encode()
    )


def test_a_signature_that_nix_made_holds() -> None:
    assert GOLDEN.is_signed_by(PublicKey.parse(PUBLIC_KEY))


def test_one_good_signature_among_others_is_enough() -> None:
    bad = Signature("cache.example.org-1", bytes(64))
    assert dataclasses.replace(GOLDEN, signatures=(bad, *GOLDEN.signatures)).is_signed_by(PublicKey.parse(PUBLIC_KEY))


def signed(narinfo: NarInfo, *keys: SecretKey) -> tuple[Signature, ...]:
    """Return the signatures of ``keys`` over an unproven narinfo, which Assay's own code never makes."""
    message = narinfo.fingerprint()
    return tuple(
        Signature(key.name, SigningKey(base64.b64decode(key.reveal().partition(":")[2])[:32]).sign(message).signature)
        for key in keys
    )


def test_only_signatures_that_hold_under_a_given_key_are_kept() -> None:
    ours, theirs, unknown = (SecretKey.generate(name) for name in ("ours-1", "theirs-1", "unknown-1"))
    good = signed(GOLDEN, ours, theirs, unknown)
    of_another = dataclasses.replace(GOLDEN, nar_size=977)
    bad = (Signature("ours-1", bytes(64)), Signature("theirs-1", good[0].raw), *signed(of_another, ours))
    narinfo = dataclasses.replace(GOLDEN, signatures=(*bad, *good, *good))
    assert narinfo.signatures_by([ours.public_key, theirs.public_key]) == good[:2]
    assert narinfo.signatures_by([theirs.public_key]) == good[1:2]
    assert narinfo.signatures_by([SecretKey.generate("ours-1").public_key]) == ()
    assert narinfo.signatures_by([]) == ()


def test_two_keys_of_one_name_may_both_have_signed() -> None:
    old, new = SecretKey.generate("ours-1"), SecretKey.generate("ours-1")
    narinfo = dataclasses.replace(GOLDEN, signatures=signed(GOLDEN, old, new))
    assert set(narinfo.signatures_by([old.public_key, new.public_key])) == set(narinfo.signatures)
    assert narinfo.signatures_by([new.public_key]) == narinfo.signatures[1:]


@given(st.permutations(["a", "a-1", "a.1", "b", "B", "0"]))
def test_kept_signatures_are_sorted_as_text(names: list[str]) -> None:
    """As Nix sorts them: `a-1:…` stands before `a:…`."""
    keys = [SecretKey.generate(name) for name in names]
    kept = dataclasses.replace(GOLDEN, signatures=signed(GOLDEN, *keys)).signatures_by([key.public_key for key in keys])
    assert [str(signature) for signature in kept] == sorted(map(str, signed(GOLDEN, *keys)))


@pytest.mark.parametrize(
    "change",
    [
        {"store_path": StorePath.from_base_name(ZLIB)},
        {"nar_hash": Hash.parse("sha256:" + "0" * 52)},
        {"nar_size": 977},
        {"references": ()},
        {"signatures": ()},
        {"signatures": (Signature("cache.example.org-1", bytes(64)),)},
        {"signatures": (Signature("cache.example.org-2", Signature.parse(HELLO_SIGNATURE).raw),)},
    ],
    ids=str,
)
def test_a_signature_holds_for_nothing_else(change: dict[str, object]) -> None:
    altered = dataclasses.replace(GOLDEN, **change)  # type: ignore[arg-type]
    assert not altered.is_signed_by(PublicKey.parse(PUBLIC_KEY))


@pytest.mark.parametrize(
    "change",
    [
        {"url": "nar/other.nar"},
        {"compression": Compression.XZ},
        {"file_hash": None},
        {"file_size": 1},
        {"deriver": None},
    ],
    ids=str,
)
def test_what_a_signature_does_not_cover(change: dict[str, object]) -> None:
    altered = dataclasses.replace(GOLDEN, **change)  # type: ignore[arg-type]
    assert altered.is_signed_by(PublicKey.parse(PUBLIC_KEY))
