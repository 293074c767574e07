"""Content addresses: the text, the store path that follows, and the proof from the bytes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given

from nixcache.content_address import ContentAddress, ContentAddressMethod, ContentAddressProof
from nixcache.errors import Code, PermanentError
from nixcache.hash_modulo import HashModulo
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import NarParser
from nixcache.store_path import NIX_STORE, HashPart, StorePath
from tests.nixcache.nar_model import File, Link, Node, Tree, nar
from tests.nixcache.strategies import content_addresses

ZERO = "sha256:" + "0" * 52
OTHER = StorePath(HashPart("0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b"), "zlib-1.2.12")
PLACEHOLDER = StorePath(HashPart("0" * 32), "x")


@given(content_addresses())
def test_the_text_reads_back(address: ContentAddress) -> None:
    assert ContentAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "method"),
    [
        (f"text:{ZERO}", ContentAddressMethod.TEXT),
        (f"fixed:{ZERO}", ContentAddressMethod.FLAT),
        (f"fixed:r:{ZERO}", ContentAddressMethod.NAR),
        ("fixed:r:sha1:" + "0" * 32, ContentAddressMethod.NAR),
        ("fixed:md5:" + "0" * 32, ContentAddressMethod.FLAT),
    ],
)
def test_each_method(text: str, method: ContentAddressMethod) -> None:
    assert ContentAddress.parse(text).method is method


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", Code.CONTENT_ADDRESS_MALFORMED),
        (ZERO, Code.CONTENT_ADDRESS_MALFORMED),
        ("text", Code.CONTENT_ADDRESS_MALFORMED),
        ("Text:" + ZERO, Code.CONTENT_ADDRESS_MALFORMED),
        (" text:" + ZERO, Code.CONTENT_ADDRESS_MALFORMED),
        ("fixed", Code.CONTENT_ADDRESS_MALFORMED),
        ("git:" + ZERO, Code.CONTENT_ADDRESS_MALFORMED),
        ("fixed:git:sha1:" + "0" * 40, Code.HASH_MALFORMED),
        ("fixed:", Code.HASH_MALFORMED),
        ("fixed:r:", Code.HASH_MALFORMED),
        ("text:r:" + ZERO, Code.HASH_MALFORMED),
        ("fixed:r:r:" + ZERO, Code.HASH_MALFORMED),
        ("text:" + ZERO + "\n", Code.HASH_MALFORMED),
    ],
)
def test_anything_else_is_refused(text: str, code: Code) -> None:
    with pytest.raises(PermanentError) as caught:
        ContentAddress.parse(text)
    assert caught.value.code is code


def test_a_store_path_that_nix_computed() -> None:
    """``builtins.toFile "foo" "hi"`` in /nix/store, asked of Nix 2.8.0."""
    address = ContentAddress(ContentAddressMethod.TEXT, Hash(HashAlgorithm.SHA256, hashlib.sha256(b"hi").digest()))
    assert address.store_path(NIX_STORE, "foo", (), itself=False).base_name == "88hvv1a9ixsdxr2klz3gsvdrnyy59xp3-foo"


@pytest.mark.parametrize(
    ("address", "references", "itself"),
    [
        (f"text:{ZERO}", (), True),
        ("text:sha1:" + "0" * 32, (), False),
        (f"fixed:{ZERO}", (OTHER,), False),
        (f"fixed:{ZERO}", (), True),
        ("fixed:r:sha1:" + "0" * 32, (OTHER,), False),
        ("fixed:r:sha512:" + "0" * 103, (), True),
    ],
)
def test_references_that_an_address_cannot_have(
    address: str,
    references: tuple[StorePath, ...],
    itself: bool,  # noqa: FBT001
) -> None:
    with pytest.raises(PermanentError) as caught:
        ContentAddress.parse(address).store_path(NIX_STORE, "x", references, itself=itself)
    assert (caught.value.code, caught.value.field) == (Code.CA_MISMATCH, "CA")


def test_the_order_of_references_does_not_matter_but_each_of_them_does() -> None:
    address = ContentAddress.parse(f"fixed:r:{ZERO}")
    paths = [OTHER, PLACEHOLDER]
    both = address.store_path(NIX_STORE, "x", paths, itself=False)
    assert both == address.store_path(NIX_STORE, "x", reversed(paths), itself=False)
    assert both != address.store_path(NIX_STORE, "x", [OTHER], itself=False)
    assert both != address.store_path(NIX_STORE, "x", paths, itself=True)
    assert both != address.store_path(NIX_STORE, "y", paths, itself=False)


def prove(claim: ContentAddress, path: StorePath, node: Node, references: tuple[StorePath, ...] = ()) -> None:
    proof = ContentAddressProof(claim, path, references)
    parser = NarParser()
    for start in range(0, len(nar(node)), 50):
        piece = nar(node)[start : start + 50]
        proof.feed(piece, parser.feed(piece))
    proof.finish(NIX_STORE)


def hash_of(algorithm: HashAlgorithm, data: bytes) -> Hash:
    state = algorithm.new()
    state.update(data)
    return Hash(algorithm, state.digest())


@pytest.mark.parametrize("algorithm", HashAlgorithm)
@pytest.mark.parametrize("method", [ContentAddressMethod.FLAT, ContentAddressMethod.NAR])
def test_the_address_of_a_file_is_proven_and_no_other(algorithm: HashAlgorithm, method: ContentAddressMethod) -> None:
    node = File(b"contents" * 20)
    hashed = nar(node) if method is ContentAddressMethod.NAR else node.contents
    claim = ContentAddress(method, hash_of(algorithm, hashed))
    path = claim.store_path(NIX_STORE, "x", (), itself=False)
    prove(claim, path, node)
    with pytest.raises(PermanentError, match="The contents hash to") as caught:
        prove(claim, path, File(b"contents" * 19 + b"Contents"))
    assert (caught.value.code, caught.value.field) == (Code.CA_MISMATCH, "CA")
    with pytest.raises(PermanentError, match="The address gives the store path /nix/store/") as caught:
        prove(claim, StorePath(PLACEHOLDER.hash_part, "x"), node)
    assert (caught.value.code, caught.value.field) == (Code.CA_MISMATCH, "CA")


@pytest.mark.parametrize("method", [ContentAddressMethod.FLAT, ContentAddressMethod.TEXT])
@pytest.mark.parametrize("node", [File(b"x", executable=True), Link(b"x"), Tree(), Tree({b"f": File(b"x")})], ids=repr)
def test_only_a_plain_file_is_addressed_by_its_contents(method: ContentAddressMethod, node: Node) -> None:
    """A directory whose one file has the right contents must not pass for that file."""
    claim = ContentAddress(method, hash_of(HashAlgorithm.SHA256, b"x"))
    path = claim.store_path(NIX_STORE, "x", (), itself=False)
    prove(claim, path, File(b"x"))
    with pytest.raises(PermanentError, match="of one regular, not executable file") as caught:
        prove(claim, path, node)
    assert caught.value.code is Code.CA_MISMATCH


def test_an_undeclared_or_an_additional_reference_gives_another_path() -> None:
    node = File(b"x")
    claim = ContentAddress(ContentAddressMethod.TEXT, hash_of(HashAlgorithm.SHA256, b"x"))
    path = claim.store_path(NIX_STORE, "x", [OTHER], itself=False)
    prove(claim, path, node, (OTHER,))
    for references in ((), (OTHER, PLACEHOLDER)):
        with pytest.raises(PermanentError, match="The address gives the store path"):
            prove(claim, path, node, references)


def test_a_text_never_mentions_itself() -> None:
    claim = ContentAddress(ContentAddressMethod.TEXT, hash_of(HashAlgorithm.SHA256, b"x"))
    path = claim.store_path(NIX_STORE, "x", (), itself=False)
    with pytest.raises(PermanentError, match="never mentions itself"):
        prove(claim, path, File(b"x"), (path,))


def test_an_object_that_mentions_itself_is_addressed_modulo_its_own_hash_part() -> None:
    draft = f"/nix/store/{PLACEHOLDER.base_name} and /nix/store/{OTHER.base_name}".encode()
    modulo = HashModulo(HashAlgorithm.SHA256, PLACEHOLDER.hash_part)
    modulo.update(nar(File(draft)))
    claim = ContentAddress(ContentAddressMethod.NAR, Hash(HashAlgorithm.SHA256, modulo.digest()))
    path = claim.store_path(NIX_STORE, "x", [OTHER], itself=True)
    node = File(draft.replace(PLACEHOLDER.hash_part.encode(), path.hash_part.encode()))
    prove(claim, path, node, (OTHER, path))
    with pytest.raises(PermanentError, match="The contents hash to"):
        prove(claim, path, node, (OTHER,))
    with pytest.raises(PermanentError, match="The contents hash to"):
        prove(claim, path, File(draft), (OTHER, path))
