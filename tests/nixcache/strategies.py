"""Hypothesis strategies for what Nix's formats hold."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from nixcache import nix32
from nixcache.compression import Compression
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from nixcache.statement import Statement
from nixcache.store_path import HashPart, StoreDir, StorePath
from nixcache.strict_json import Json
from tests.nixcache.nar_model import File, Link, Node, Tree

NAME_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+._?=-"


def hash_parts() -> st.SearchStrategy[HashPart]:
    """Any hash part."""
    return st.text(nix32.ALPHABET, min_size=32, max_size=32).map(HashPart)


def names() -> st.SearchStrategy[str]:
    """Any name of a store path, the shortest and the longest among them."""
    return st.one_of(
        st.text(NAME_ALPHABET, min_size=1, max_size=20),
        st.sampled_from(["a", ".a", "..a", "...", "-", "x.drv", "n" * 211]),
    ).filter(lambda name: name not in {".", ".."} and not name.startswith((".-", "..-")))


def store_paths() -> st.SearchStrategy[StorePath]:
    """Any store path."""
    return st.builds(StorePath, hash_parts(), names())


def store_dirs() -> st.SearchStrategy[StoreDir]:
    """A store dir, mostly the usual one."""
    return st.sampled_from(["/nix/store", "/nix/store", "/s", "/home/x/.local/share/nix/root-1/nix/store"]).map(
        StoreDir
    )


def hashes(algorithm: HashAlgorithm | None = None) -> st.SearchStrategy[Hash]:
    """Any hash, of ``algorithm`` or of any."""
    algorithms = st.sampled_from(HashAlgorithm) if algorithm is None else st.just(algorithm)
    return algorithms.flatmap(
        lambda chosen: st.builds(
            Hash, st.just(chosen), st.binary(min_size=chosen.digest_size, max_size=chosen.digest_size)
        )
    )


def content_addresses() -> st.SearchStrategy[ContentAddress]:
    """Any content address."""
    return st.builds(ContentAddress, st.sampled_from(ContentAddressMethod), hashes())


def signatures() -> st.SearchStrategy[Signature]:
    """Any well-formed signature; none of them holds."""
    key_names = st.text("".join(map(chr, range(33, 127))).replace(":", ""), min_size=1, max_size=20)
    return st.builds(Signature, key_names, st.binary(min_size=64, max_size=64))


def narinfos() -> st.SearchStrategy[NarInfo]:
    """Any narinfo."""
    sizes = st.integers(1, 2**63)
    return st.builds(
        NarInfo,
        store_dir=store_dirs(),
        store_path=store_paths(),
        url=st.text("".join(map(chr, range(33, 127))), min_size=1, max_size=80),
        compression=st.sampled_from(Compression),
        file_hash=st.none() | hashes(HashAlgorithm.SHA256),
        file_size=st.none() | st.integers(0, 2**63),
        nar_hash=hashes(HashAlgorithm.SHA256),
        nar_size=sizes,
        references=st.sets(store_paths(), max_size=5).map(lambda found: tuple(sorted(found))),
        deriver=st.none() | store_paths(),
        signatures=st.lists(signatures(), max_size=3).map(tuple),
        ca=st.none() | content_addresses(),
    )


def predicates() -> st.SearchStrategy[dict[str, Json]]:
    """Any small predicate."""
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=10)
    values: st.SearchStrategy[Json] = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
    return st.dictionaries(st.text(max_size=5), values, max_size=4)


def statements() -> st.SearchStrategy[Statement]:
    """Any statement."""
    return st.builds(
        Statement,
        store_dir=store_dirs(),
        store_path=store_paths(),
        nar_hash=hashes(HashAlgorithm.SHA256),
        predicate_type=st.sampled_from(["urn:assay:publication:v1", "https://example.org/other/v2"]),
        predicate=predicates(),
    )


def entry_names() -> st.SearchStrategy[bytes]:
    """Any name that a directory entry may have, on a file system too; most are no UTF-8."""
    return st.one_of(
        st.binary(min_size=1, max_size=12),
        st.sampled_from(
            [b"a", b"b", b"A", b"a b", b"a.b", b"...", b"\xff\xfe", b"\xc3\xa9", b"~", b"x" * 255, b"\n", b'"']
        ),
    ).filter(lambda name: name not in {b".", b".."} and not {0, 47} & set(name))


def files() -> st.SearchStrategy[File]:
    """Any small regular file, every padding among them."""
    return st.builds(File, st.binary(max_size=40), st.booleans())


def links() -> st.SearchStrategy[Link]:
    """Any symlink."""
    return st.builds(Link, st.binary(min_size=1, max_size=40).filter(lambda target: 0 not in target))


def nodes() -> st.SearchStrategy[Node]:
    """Any small tree."""
    return st.recursive(
        files() | links(),
        lambda children: st.builds(Tree, st.dictionaries(entry_names(), children, max_size=4)),
        max_leaves=8,
    )


def piece_sizes() -> st.SearchStrategy[list[int]]:
    """Sizes of the pieces that :func:`cut` cuts, from one byte to everything at once."""
    return st.one_of(
        st.just([1]), st.just([1 << 30]), st.lists(st.integers(0, 200), min_size=1, max_size=20).filter(any)
    )


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Return ``data`` in pieces of ``sizes``, which are gone through again and again."""
    pieces: list[bytes] = []
    start = turn = 0
    while start < len(data):
        end = start + sizes[turn % len(sizes)]
        pieces.append(data[start:end])
        start, turn = end, turn + 1
    return pieces


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` with one to three small things wrong with it."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(changed)))
        end = min(len(changed), start + draw(st.integers(0, 24)))
        match draw(st.sampled_from(["flip", "delete", "insert", "repeat", "truncate"])):
            case "flip" if start < len(changed):
                changed[start] ^= 1 << draw(st.integers(0, 7))
            case "delete":
                del changed[start:end]
            case "insert":
                changed[start:start] = draw(st.binary(min_size=1, max_size=16))
            case "repeat":
                changed[start:start] = changed[start:end]
            case "truncate":
                del changed[start:]
            case _:
                changed.append(0)
    return bytes(changed)
