"""Content addresses: the text, the store path that follows, and the proof from the bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.content_address import ContentAddress, ContentAddressMethod, ContentAddressProof
from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import NarParser
from nixcache.store_path import NIX_STORE, HashPart, StorePath
from tests.nixcache.claims import sha256
from tests.nixcache.nar_model import File, Link, Node, Tree, nar
from tests.nixcache.outcomes import Failure, outcome
from tests.nixcache.self_reference import SCRATCH, addressed
from tests.nixcache.strategies import content_addresses, cut, nodes, piece_sizes, store_paths

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


def test_a_hash_in_any_encoding_that_clients_read_here_is_written_in_nix32() -> None:
    digest = hashlib.sha256(b"abc").digest()
    expected = "fixed:r:sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"
    for encoded in (digest.hex(), digest.hex().upper(), base64.b64encode(digest).decode()):
        assert str(ContentAddress.parse(f"fixed:r:sha256:{encoded}")) == expected


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
        ("fixed:", Code.CONTENT_ADDRESS_MALFORMED),
        ("fixed:r:", Code.CONTENT_ADDRESS_MALFORMED),
        ("text:r:" + ZERO, Code.CONTENT_ADDRESS_MALFORMED),
        ("fixed:r:r:" + ZERO, Code.CONTENT_ADDRESS_MALFORMED),
        ("fixed:SHA256:" + "0" * 52, Code.CONTENT_ADDRESS_MALFORMED),
        # Clients read a hash here in every encoding but SRI.
        ("text:sha256-" + "A" * 43 + "=", Code.CONTENT_ADDRESS_MALFORMED),
        # Behind experimental features, and unknown to older clients.
        ("fixed:git:sha1:" + "0" * 40, Code.CONTENT_ADDRESS_MALFORMED),
        ("fixed:r:blake3:" + "0" * 52, Code.CONTENT_ADDRESS_MALFORMED),
        ("text:sha256:", Code.HASH_MALFORMED),
        ("text:" + ZERO + "\n", Code.HASH_MALFORMED),
        ("text:" + ZERO + ":", Code.HASH_MALFORMED),
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


def prove(
    claim: ContentAddress | None,
    path: StorePath,
    node: Node,
    references: tuple[StorePath, ...] = (),
    sizes: Sequence[int] = (50,),
) -> ContentAddress | None:
    proof = ContentAddressProof(claim, path, references)
    parser = NarParser()
    for piece in cut(nar(node), sizes):
        proof.feed(piece, parser.feed(piece))
    parser.close()
    return proof.finish(NIX_STORE)


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
    assert prove(claim, path, node) == claim
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


@pytest.mark.parametrize("offsets", [False, True])
def test_a_derivation_that_mentions_itself_is_none(offsets: bool) -> None:  # noqa: FBT001
    """I3: it, and one with NULs in place of the mention, could stand under one path."""
    made = addressed(
        lambda itself: File(b"Derive(" + itself.encode() + b")"),
        offsets=offsets,
        method=ContentAddressMethod.TEXT,
        name="x.drv",
        itself=False,
    )
    for claim in (made.ca, None):
        with pytest.raises(PermanentError, match="never mentions itself"):
            prove(claim, made.path, made.node)


@given(st.binary(max_size=300), piece_sizes(), st.sampled_from(ContentAddressMethod))
def test_where_the_bytes_are_cut_does_not_matter(
    contents: bytes, sizes: list[int], method: ContentAddressMethod
) -> None:
    node = File(contents)
    hashed = nar(node) if method is ContentAddressMethod.NAR else contents
    claim = ContentAddress(method, hash_of(HashAlgorithm.SHA256, hashed))
    assert prove(claim, claim.store_path(NIX_STORE, "x", (), itself=False), node, sizes=sizes) == claim


@given(st.none() | content_addresses(), store_paths(), st.sets(store_paths(), max_size=3), nodes(), piece_sizes())
def test_any_claim_about_anything_is_refused_with_the_one_error(
    claim: ContentAddress | None, path: StorePath, references: set[StorePath], node: Node, sizes: list[int]
) -> None:
    """None of these is true, but that is found out without any other exception."""
    refused = outcome(lambda: prove(claim, path, node, tuple(references), sizes))
    assert isinstance(refused, Failure)
    assert (refused.code, refused.field) == (Code.CA_MISMATCH, "CA")


def in_contents(hash_part: HashPart) -> File:
    return File(f"/nix/store/{hash_part}-x and /nix/store/{OTHER.base_name}".encode())


def everywhere(hash_part: HashPart) -> Tree:
    """Mention ``hash_part`` in contents, twice without a gap, in a name and in a target."""
    part = hash_part.encode()
    link = Link(b"/nix/store/" + part + b"-x")
    # Wherever the hash part stands in a name, the order of the entries must not depend on it.
    return Tree({b"a": File(part * 2), b"link": link, b"name-" + part: File(b"x" * 70)})


OFFSETS = pytest.mark.parametrize("offsets", [True, False], ids=["2.16 and 2.35", "2.17 to 2.34"])


@OFFSETS
@pytest.mark.parametrize("make", [in_contents, everywhere])
@pytest.mark.parametrize("size", [1, 31, 32, 33, 10_000])
def test_an_object_that_mentions_itself_is_proven_as_either_generation_addresses_it(
    make: Callable[[HashPart], Node],
    size: int,
    offsets: bool,  # noqa: FBT001
) -> None:
    """But published without the address, which half of the clients would refuse."""
    made = addressed(make, offsets=offsets, references=[OTHER])
    assert prove(made.ca, made.path, made.node, (OTHER, made.path), [size]) is None


@OFFSETS
def test_what_is_proven_of_an_object_that_mentions_itself(offsets: bool) -> None:  # noqa: FBT001
    made = addressed(in_contents, offsets=offsets, references=[OTHER])
    with pytest.raises(PermanentError, match="The contents hash to"):
        prove(made.ca, made.path, in_contents(SCRATCH), (OTHER, made.path))
    with pytest.raises(PermanentError, match="The contents hash to"):
        prove(ContentAddress(ContentAddressMethod.NAR, sha256(made.nar)), made.path, made.node, (OTHER, made.path))
    for references in [(OTHER,), (made.path,), (OTHER, PLACEHOLDER, made.path)]:
        with pytest.raises(PermanentError, match="The address gives the store path"):
            prove(made.ca, made.path, made.node, references)


@OFFSETS
@pytest.mark.parametrize("method", ContentAddressMethod)
def test_a_mention_of_itself_that_is_no_reference_is_blotted_out_all_the_same(
    method: ContentAddressMethod,
    offsets: bool,  # noqa: FBT001
) -> None:
    """Nix makes such paths where a derivation asks for `unsafeDiscardReferences`."""
    made = addressed(in_contents, offsets=offsets, method=method, itself=False)
    assert prove(made.ca, made.path, made.node) is None


def test_a_declared_mention_that_never_comes_is_no_reason_to_keep_the_address_back() -> None:
    node = File(b"x")
    claim = ContentAddress(ContentAddressMethod.NAR, sha256(nar(node)))
    path = claim.store_path(NIX_STORE, "x", (), itself=True)
    assert prove(claim, path, node, (path,)) == claim


def itself(hash_part: str) -> File:
    """Return what the golden derivation writes."""
    path = f"/nix/store/{hash_part}-itself"
    return File(f"{path} and {path}\n".encode())


@pytest.mark.parametrize(
    ("base_name", "address"),
    [
        (
            "rk1rkidf9rwac5hwci47f0ipng5jy4ca-itself",
            "fixed:r:sha256:1p2viyfbn5hr9jl8wd11gr2aixkr23k2wpnvvj4jwrbraayn83jm",
        ),
        (
            "j2p023vjy4kfpwic8y0ajkm9lmd4zl7n-itself",
            "fixed:r:sha256:0vb6iva2b6bkglyncgpc7ahdnzp1dca3z6mm45z0a1wqyfhavbsb",
        ),
    ],
    ids=["2.8.0", "2.26.3 and 2.34.8"],
)
def test_a_floating_output_that_nix_made(base_name: str, address: str) -> None:
    path = StorePath.from_base_name(base_name)
    node = itself(path.hash_part)
    assert prove(ContentAddress.parse(address), path, node, (path,)) is None
    with pytest.raises(PermanentError, match="The contents hash to"):
        prove(ContentAddress.parse(address), path, File(node.contents.replace(b" and ", b" und ")), (path,))


DERIVATION = (
    b'Derive([("out","","r:sha256","")],[],[],"x86_64-linux","/bin/sh",["-c","echo $out and $out > $out"],'
    b'[("builder","/bin/sh"),("name","itself"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),'
    b'("outputHashAlgo","sha256"),("outputHashMode","recursive"),("system","x86_64-linux")])'
)
DERIVATION_PATH = StorePath.from_base_name("gjag43yhamy4lmg7qnj3ny7gy13r1cb0-itself.drv")


def test_a_derivation_is_content_addressed_whether_its_narinfo_says_so_or_not() -> None:
    """Its address is published then: without one, clients would take any other contents under this path."""
    address = ContentAddress(ContentAddressMethod.TEXT, sha256(DERIVATION))
    assert prove(address, DERIVATION_PATH, File(DERIVATION)) == address
    assert prove(None, DERIVATION_PATH, File(DERIVATION)) == address


@pytest.mark.parametrize(
    ("node", "references"),
    [
        (File(DERIVATION.replace(b"/bin/sh", b"/bin/ev")), ()),
        (File(DERIVATION), (OTHER,)),
        (File(DERIVATION), (DERIVATION_PATH,)),
        (File(DERIVATION, executable=True), ()),
        (Link(DERIVATION), ()),
        (Tree({b"x": File(DERIVATION)}), ()),
    ],
    ids=["contents", "reference", "itself", "executable", "symlink", "directory"],
)
def test_nothing_else_can_stand_under_the_path_of_a_derivation(node: Node, references: tuple[StorePath, ...]) -> None:
    with pytest.raises(PermanentError) as caught:
        prove(None, DERIVATION_PATH, node, references)
    assert (caught.value.code, caught.value.field) == (Code.CA_MISMATCH, "CA")
