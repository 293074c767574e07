"""The reference scanner: as good as a naive search, however the bytes are cut."""

from __future__ import annotations

import random
import re
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nixcache import references
from nixcache.errors import Code, PermanentError
from nixcache.nix32 import ALPHABET
from nixcache.references import ReferenceScanner
from nixcache.store_path import NIX_STORE, HashPart, StoreDir, StorePath
from tests.nixcache.strategies import cut, piece_sizes

# A small alphabet makes hash parts that overlap one another, which random ones never do.
PARTS = st.one_of(st.text("01", min_size=32, max_size=32), st.text(ALPHABET, min_size=32, max_size=32)).map(HashPart)


def scanned(parts: list[HashPart], pieces: list[bytes]) -> ReferenceScanner:
    scanner = ReferenceScanner(NIX_STORE, parts)
    for piece in pieces:
        scanner.feed(piece)
    scanner.finish()
    return scanner


def scan(parts: list[HashPart], pieces: list[bytes]) -> frozenset[HashPart]:
    return scanned(parts, pieces).found


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[HashPart], bytes]:
    """Hash parts, and bytes that hold some of them: whole, cut off, overlapping, in runs short and long."""
    parts = draw(st.lists(PARTS, min_size=1, max_size=draw(st.sampled_from([6, 40]))))
    fragments = st.one_of(
        st.sampled_from(parts).map(str.encode),
        st.tuples(st.sampled_from(parts), st.integers(0, 32)).map(lambda of: of[0][: of[1]].encode()),
        st.tuples(st.sampled_from(parts), st.integers(0, 32)).map(lambda of: of[0][of[1] :].encode()),
        st.binary(max_size=8),
        st.sampled_from([b"/nix/store/", b"-", b"e", b"0" * 33, b"01" * 2100, b"1" * 5000, b"z" * 4096, b"z" * 4097]),
    )
    return parts, b"".join(draw(st.lists(fragments, max_size=12)))


@given(texts(), piece_sizes())
def test_it_finds_what_a_naive_search_finds(drawn: tuple[list[HashPart], bytes], sizes: list[int]) -> None:
    parts, text = drawn
    naive = frozenset(part for part in parts if part.encode() in text)
    assert scan(parts, [text]) == naive
    assert scan(parts, cut(text, sizes)) == naive


PART = HashPart("0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b")


@pytest.mark.parametrize("seam", range(33))
def test_a_mention_across_a_seam_is_found(seam: int) -> None:
    text = f"x/{PART}-y".encode()
    assert scan([PART], [text[: 2 + seam], text[2 + seam :]]) == {PART}


@pytest.mark.parametrize("around", [b"", b"e", b"0", b"0" * 5000], ids=["nothing", "other", "nix32", "a long run"])
def test_what_stands_around_a_mention_does_not_matter(around: bytes) -> None:
    assert scan([PART], [around + PART.encode() + around]) == {PART}


def test_nothing_is_found_in_almost() -> None:
    assert (
        scan([PART], [PART[:-1].encode(), b"e", PART[1:].encode(), PART.upper().encode(), PART[::-1].encode()]) == set()
    )


def test_without_references_nothing_is_looked_for() -> None:
    assert scan([], [PART.encode()]) == set()


def test_the_same_part_twice_and_found_twice_is_found_once() -> None:
    assert scan([PART, PART], [PART.encode() * 3, PART.encode()]) == {PART}


def test_it_stops_looking_once_all_are_found() -> None:
    scanner = ReferenceScanner(NIX_STORE, [PART])
    scanner.feed(PART.encode() + b"\0" + PART.encode())
    scanner.feed(PART.encode())
    assert scanner.found == {PART}


def test_memory_does_not_grow_with_the_stream() -> None:
    """I7: whatever passes, the beginning of one mention stays."""
    scanner = ReferenceScanner(NIX_STORE, [HashPart("z" * 32)])
    pieces = [bytes(random.Random(seed).choices(ALPHABET.encode(), k=100_000)) for seed in range(3)]
    tracemalloc.start()
    try:
        for piece in pieces * 5:
            scanner.feed(piece)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000
    assert peak < 500_000


@pytest.mark.parametrize("wanted", [64, 2000])
@pytest.mark.parametrize(
    "piece",
    [b"a" * 2**18, (b"a" * 4096 + b"-") * 64, (b"a" * 32 + b"-") * 2**13],
    ids=["one run", "long runs", "nothing but hash parts"],
)
def test_a_nar_made_of_hash_parts_is_not_searched_for_ever(
    piece: bytes, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I6: kilobytes that unpack to gigabytes of candidates would outlast the function, and end without a verdict."""
    chooser = random.Random(0)
    parts = [HashPart("".join(chooser.choices(ALPHABET, k=32))) for _ in range(wanted)]
    monkeypatch.setattr(references, "WORK_LIMIT", 2**24)
    with pytest.raises(PermanentError) as caught:
        scan(parts, [piece] * 100)
    assert (caught.value.code, caught.value.field) == (Code.TOO_LARGE, "References")


def test_a_nar_of_many_store_paths_is_searched() -> None:
    """The limit is far from what a real NAR holds: here, every 50th byte begins a store path."""
    scanner = ReferenceScanner(NIX_STORE, [PART])
    scanner.feed(b"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-name\n" * 2**14)
    assert scanner._work * 2**10 < references.WORK_LIMIT


# Written from the words of the documentation, and slow.
MENTION = re.compile(rb"(?=/nix/store/([%b]{32}-[0-9A-Za-z+._?=-]{1,211}))" % ALPHABET.encode())


def naive_undeclared(parts: list[HashPart], text: bytes) -> list[StorePath]:
    found: dict[bytes, StorePath] = {}
    for match in MENTION.finditer(text):
        base_name = match[1]
        if base_name[:32].decode() not in parts and base_name[33:] not in {b".", b".."} and base_name[33:35] != b".-":
            found.setdefault(base_name[:32], StorePath.from_base_name(base_name.decode()))
    return list(found.values())


@st.composite
def mentions(draw: st.DrawFn) -> tuple[list[HashPart], bytes]:
    """Some declared hash parts, and bytes that mention these and others as store paths, whole, cut off and nested."""
    parts = draw(st.lists(PARTS, min_size=1, max_size=5))
    names = st.text("0aZ+._?=-", min_size=1, max_size=5).filter(lambda name: not name.startswith("..-"))
    fragments = st.one_of(
        st.tuples(st.sampled_from(parts), names).map(lambda of: f"/nix/store/{of[0]}-{of[1]}".encode()),
        st.tuples(PARTS, names).map(lambda of: f"/nix/store/{of[0]}-{of[1]}".encode()),
        PARTS.map(lambda part: f"/nix/store/{part}".encode()),
        st.sampled_from([b"/nix/store/", b"/nix/stor", b"-", b".", b" ", b"\0", b"n" * 211, b"/", b"e" * 32]),
        st.binary(max_size=6),
    )
    return parts[: draw(st.integers(0, 5))], b"".join(draw(st.lists(fragments, max_size=12)))


@given(mentions(), piece_sizes())
def test_it_names_the_undeclared_store_paths(drawn: tuple[list[HashPart], bytes], sizes: list[int]) -> None:
    parts, text = drawn
    naive = naive_undeclared(parts, text)
    assert list(scanned(parts, [text]).undeclared) == naive
    assert list(scanned(parts, cut(text, sizes)).undeclared) == naive
    assert list(scanned(parts, cut(text, [1])).undeclared) == naive


def test_a_hash_part_alone_is_no_undeclared_store_path() -> None:
    """Anything may hold 32 such characters: without the store dir in front, nobody could look all of them up."""
    scanner = scanned([], [b"0" * 32 + b"-name ", b"/nix/store/" + b"0" * 32, b"/gnu/store/" + b"0" * 32 + b"-name"])
    assert scanner.undeclared == ()


def test_the_store_dir_is_the_caches_own() -> None:
    scanner = ReferenceScanner(StoreDir("/gnu/store"), [])
    scanner.feed(b"/nix/store/" + b"0" * 32 + b"-a /gnu/store/" + b"1" * 32 + b"-b")
    scanner.finish()
    assert [path.base_name for path in scanner.undeclared] == [f"{'1' * 32}-b"]


@pytest.mark.parametrize("count", [references.MAX_UNDECLARED, references.MAX_UNDECLARED + 1, 5000])
def test_undeclared_store_paths_are_named_up_to_a_limit(count: int) -> None:
    """I7: a disk image mentions thousands."""
    chooser = random.Random(1)
    parts = ["".join(chooser.choices(ALPHABET, k=32)) for _ in range(count)]
    scanner = scanned([PART], [f"/nix/store/{part}-x\n".encode() for part in parts for _ in range(2)] + [PART.encode()])
    assert [path.hash_part for path in scanner.undeclared] == parts[: references.MAX_UNDECLARED]
    assert scanner.overflowed == (count > references.MAX_UNDECLARED)
    assert scanner.found == {PART}


def test_a_nar_made_of_mentions_is_not_searched_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """I6, as above."""
    monkeypatch.setattr(references, "WORK_LIMIT", 2**24)
    with pytest.raises(PermanentError) as caught:
        scan([PART], [b"/nix/store/" * 2**14] * 100)
    assert caught.value.code is Code.TOO_LARGE


@pytest.mark.parametrize("limit", [0, 1000, 50_000])
@given(texts(), piece_sizes())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_found_does_not_depend_on_how_it_is_searched_for(
    monkeypatch: pytest.MonkeyPatch, limit: int, drawn: tuple[list[HashPart], bytes], sizes: list[int]
) -> None:
    """The search one by one is given up in mid-stream."""
    monkeypatch.setattr(references, "_SEARCHED_AT_MOST", limit)
    parts, text = drawn
    assert scan(parts, cut(text, sizes)) == frozenset(part for part in parts if part.encode() in text)


NEAR = "a" * 16 + "b" + "a" * 15
HARD = {
    "one by one": (b"a" * 2**16, [HashPart(NEAR)]),
    "names that are none": (f"/nix/store/{NEAR}-.. ".encode() * 2**10, []),
    "long names that are none": (f"/nix/store/{NEAR}-.-{'x' * 209}".encode() * 2**8, []),
    "overlapping store dirs": (b"/nix/store" * 2**12, []),
    "a mention again and again": (f"/nix/store/{PART}".encode() * 2**10, [PART]),
}


@pytest.mark.parametrize("hard", HARD)
def test_every_kind_of_work_comes_to_an_end(hard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """I6: what is not counted would outlast the function on some machines, and not on others."""
    piece, parts = HARD[hard]
    monkeypatch.setattr(references, "WORK_LIMIT", 2**24)
    monkeypatch.setattr(references, "_SEARCHED_AT_MOST", 2**20)
    with pytest.raises(PermanentError) as caught:
        scan(parts, [piece] * 2000)
    assert (caught.value.code, caught.value.field) == (Code.TOO_LARGE, "References")
