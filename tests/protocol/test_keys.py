"""The grammar of object keys: what each kind looks like, and the attacks that its pattern keeps out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.compression import READABLE, Compression
from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.nix32 import ALPHABET
from nixcache.store_path import HashPart, StorePath
from protocol.keys import (
    NARINFO_SUFFIX,
    NIX_CACHE_INFO_KEY,
    BuilderName,
    CacheListingKey,
    CacheNarInfoKey,
    CacheNarKey,
    KeyCode,
    NarFile,
    OrphanKey,
    ProvenanceKey,
    ResultKey,
    StagingLogKey,
    StagingNarInfoKey,
    StagingNarKey,
    VoteKey,
    WaitingKey,
)

PART = HashPart("0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b")
OTHER = HashPart("8v5wq9sk6zp7b3n2xqd1c4mmhy8fvgrc")
SHA256 = "0lsjdbg0nc5inqb1j26zzzddlf1zpa3sicws8s9a6q4yz7zxq1ba"
CI = BuilderName("ci-1")
FILE = NarFile(SHA256, ".zst")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (StagingNarInfoKey(CI, PART), f"ci-1/{PART}.narinfo"),
        (StagingNarKey(CI, FILE), f"ci-1/nar/{SHA256}.nar.zst"),
        (StagingLogKey(CI, StorePath.from_base_name(f"{PART}-x.drv")), f"ci-1/log/{PART}-x.drv"),
        (CacheNarInfoKey(PART), f"{PART}.narinfo"),
        (CacheNarKey(FILE), f"nar/{SHA256}.nar.zst"),
        (CacheListingKey(PART), f"{PART}.ls"),
        (ResultKey(CI, PART), f"results/ci-1/{PART}.json"),
        (WaitingKey(OTHER, CI, PART), f"waiting/{OTHER}/ci-1/{PART}"),
        (VoteKey(PART, CI), f"votes/{PART}/ci-1.json"),
        (OrphanKey(FILE), f"orphans/{SHA256}.nar.zst"),
        (ProvenanceKey(PART), f"provenance/{PART}.json"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_key(key: object, text: str) -> None:
    assert str(key) == text


def test_what_infrastructure_builds_its_grants_and_filters_from() -> None:
    assert str(StagingNarInfoKey(CI, PART)).startswith(CI.staging_prefix)
    assert str(StagingNarKey(CI, FILE)).startswith(CI.staging_prefix)
    assert str(StagingLogKey(CI, StorePath(PART, "x.drv"))).startswith(CI.staging_prefix)
    assert str(ResultKey(CI, PART)).startswith(CI.results_prefix)
    assert str(WaitingKey(OTHER, CI, PART)).startswith(WaitingKey.prefix(OTHER)) is True
    assert WaitingKey.prefix(OTHER) == f"waiting/{OTHER}/"
    assert str(VoteKey(OTHER, CI)).startswith(VoteKey.prefix(OTHER)) is True
    assert VoteKey.prefix(OTHER) == f"votes/{OTHER}/"
    assert str(StagingNarInfoKey(CI, PART)).endswith(NARINFO_SUFFIX)
    assert str(CacheNarInfoKey(PART)).endswith(NARINFO_SUFFIX)
    assert NIX_CACHE_INFO_KEY == "nix-cache-info"


hash_parts = st.text(ALPHABET, min_size=32, max_size=32).map(HashPart)
builders = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True).map(BuilderName)
extensions = st.sampled_from([method.extension for method in READABLE])
files = st.builds(NarFile, st.text(ALPHABET, min_size=52, max_size=52), extensions)


@given(builders, hash_parts)
def test_a_staging_narinfo_key_reads_back(builder: BuilderName, hash_part: HashPart) -> None:
    key = StagingNarInfoKey(builder, hash_part)
    assert StagingNarInfoKey.parse(str(key)) == key


@given(hash_parts, builders, hash_parts)
def test_a_waiting_key_reads_back(missing: HashPart, builder: BuilderName, hash_part: HashPart) -> None:
    key = WaitingKey(missing, builder, hash_part)
    assert WaitingKey.parse(str(key)) == key


@given(hash_parts, builders)
def test_a_vote_key_reads_back(hash_part: HashPart, builder: BuilderName) -> None:
    key = VoteKey(hash_part, builder)
    assert VoteKey.parse(str(key)) == key


@given(hash_parts)
def test_a_cache_narinfo_key_reads_back(hash_part: HashPart) -> None:
    key = CacheNarInfoKey(hash_part)
    assert CacheNarInfoKey.parse(str(key)) == key


@given(files)
def test_a_nar_files_url_reads_back(file: NarFile) -> None:
    assert NarFile.parse_url(file.url) == file


@pytest.mark.parametrize(
    ("method", "extension"),
    [("none", ""), ("zstd", ".zst"), ("xz", ".xz"), ("bzip2", ".bz2"), ("gzip", ""), ("br", ".br")],
)
def test_a_nar_file_is_named_as_nix_names_it(method: str, extension: str) -> None:
    file = NarFile.of(Hash.parse(f"sha256:{SHA256}"), Compression(method))
    assert file.url == f"nar/{SHA256}.nar{extension}"
    assert NarFile.parse_url(file.url) == file


def test_files_of_the_same_name_are_the_same() -> None:
    """Nix has no extension for gzip: what tells the method is the narinfo."""
    file_hash = Hash.parse(f"sha256:{SHA256}")
    assert NarFile.of(file_hash, Compression.GZIP) == NarFile.of(file_hash, Compression.NONE)


STAGING_NARINFO = f"ci-1/{PART}.narinfo"
WAITING = f"waiting/{OTHER}/ci-1/{PART}"
VOTE = f"votes/{PART}/ci-1.json"
URL = f"nar/{SHA256}.nar.zst"
PARSERS: list[tuple[Callable[[str], object], str]] = [
    (StagingNarInfoKey.parse, STAGING_NARINFO),
    (WaitingKey.parse, WAITING),
    (VoteKey.parse, VOTE),
    (NarFile.parse_url, URL),
]


def refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parse(text)
    assert caught.value.code is KeyCode.OBJECT_KEY_MALFORMED


@pytest.mark.parametrize(("parse", "valid"), PARSERS, ids=["staging narinfo", "waiting", "vote", "url"])
@pytest.mark.parametrize(
    "attack",
    [
        lambda _: "",
        lambda key: key + "\n",  # where `$` in a pattern looks away
        lambda key: "\n" + key,
        lambda key: key + "\0",
        lambda key: key + "/",
        lambda key: "/" + key,
        lambda key: key + " ",
        lambda key: " " + key,
        lambda key: "./" + key,
        lambda key: "../" + key,
        lambda key: key.replace("/", "//", 1),
        lambda key: key.replace("/", "/../", 1),
        lambda key: key.replace("/", "/./", 1),
        lambda key: key.replace("/", "%2f", 1),
        lambda key: key.replace("/", "%2F", 1),
        lambda key: key.replace("/", "\\", 1),
        lambda key: key.replace("/", "\u2215", 1),
        lambda key: "%2e%2e/" + key,
        lambda key: key.upper(),
        lambda key: key[:-1] + key[-1].upper(),
        lambda key: key.replace("1", "٣", 1),  # a digit, says str.isdigit
        lambda key: key.replace("1", "\uff11", 1),
        lambda key: key.replace("0", "e", 1),  # in no Nix32
        lambda key: key.replace("0", "", 1),
        lambda key: key.replace("0", "00", 1),
        lambda key: key + "?versionId=x",
        lambda key: key + "#x",
        lambda key: key + ".narinfo",
        lambda key: key + key,
        lambda key: "https://evil.example/" + key,
        lambda key: "file://" + key,
        lambda key: "\ufeff" + key,
        lambda key: key + "\ud800",
    ],
)
def test_attacks_on_every_kind(parse: Callable[[str], object], valid: str, attack: Callable[[str], str]) -> None:
    """I8: a key that means one thing to S3 and another to us points one builder at another's objects."""
    parse(valid)
    assert attack(valid) != valid
    refused(parse, attack(valid))


@pytest.mark.parametrize(
    "text",
    [
        f"{PART}.narinfo",
        f"/{PART}.narinfo",
        f"ci-1/{PART}",
        f"ci-1/{PART}.json",
        f"ci-1/{PART}.narinfo.xz",
        f"ci-1/{PART}Xnarinfo",
        f"ci-1/nar/{PART}.narinfo",
        f"ci-1/x/{PART}.narinfo",
        f"ci-1/{PART[:-1]}.narinfo",
        f"CI-1/{PART}.narinfo",
        f"-ci/{PART}.narinfo",
        f"{'c' * 64}/{PART}.narinfo",
        f"ci.1/{PART}.narinfo",
        f"ci-1/../other/{PART}.narinfo",
        f"ci-1/{PART}-name.narinfo",
        "ci-1/nix-cache-info",
        "ci-1/.narinfo",
    ],
)
def test_what_is_no_narinfo_in_staging(text: str) -> None:
    refused(StagingNarInfoKey.parse, text)


@pytest.mark.parametrize(
    "text",
    [
        f"{PART}.narinfo\n",
        f"/{PART}.narinfo",
        f"ci-1/{PART}.narinfo",
        f"nar/{PART}.narinfo",
        f"../{PART}.narinfo",
        f"{PART[:-1]}.narinfo",
        f"{PART}0.narinfo",
        f"{PART.upper()}.narinfo",
        f"{PART[:-1]}e.narinfo",
        f"{PART}.ls",
        f"{PART}xnarinfo",
        f"{PART}.narinfo.gz",
        ".narinfo",
        "nix-cache-info",
    ],
)
def test_what_is_no_narinfo_in_the_cache(text: str) -> None:
    refused(CacheNarInfoKey.parse, text)


@pytest.mark.parametrize(
    "text",
    [
        f"{SHA256}.nar.zst",
        f"nar/{SHA256}",
        f"nar/{SHA256}.nar.",
        f"nar/{SHA256}.nar.gz",
        f"nar/{SHA256}.nar.lz4",
        f"nar/{SHA256}.nar.lzip",
        f"nar/{SHA256}.nar.zst.xz",
        f"nar/{SHA256}.narXzst",
        f"nar/{SHA256}Xnar.zst",
        f"nar/{SHA256}.narinfo",
        f"nar/{SHA256[:-1]}.nar.zst",
        f"nar/{PART}.nar.zst",
        f"nar/{'0' * 64}.nar.zst",
        f"nar/x/{SHA256}.nar.zst",
        f"log/{SHA256}.nar.zst",
        f"ci-2/nar/{SHA256}.nar.zst",
        f"nar/{SHA256}-{PART}.nar.zst",
    ],
)
def test_what_is_no_nars_url(text: str) -> None:
    """A builder's narinfo names its own NAR and no other: not another builder's, not another host's."""
    refused(NarFile.parse_url, text)


@pytest.mark.parametrize(
    "text",
    [
        f"waiting/{OTHER}/{PART}",
        f"waiting/{OTHER}/ci-1",
        f"waiting/ci-1/{OTHER}/{PART}",
        f"results/{OTHER}/ci-1/{PART}",
        f"waiting/{OTHER}/ci-1/{PART}.json",
        f"waiting/{OTHER}/ci-1/x/{PART}",
    ],
)
def test_what_is_no_waiting_marker(text: str) -> None:
    refused(WaitingKey.parse, text)


@pytest.mark.parametrize(
    "text",
    [
        f"votes/{PART}/ci-1",
        f"votes/{PART}/ci-1.JSON",
        f"votes/{PART}/CI-1.json",
        f"votes/{PART}/ci-1.json.json",
        f"votes/{PART}/ci-1/{OTHER}.json",
        f"votes/ci-1/{PART}.json",
        f"votes/{PART}.json",
        f"provenance/{PART}/ci-1.json",
    ],
)
def test_what_is_no_vote(text: str) -> None:
    """One builder, one vote: no other spelling of a name or key is another voter's."""
    refused(VoteKey.parse, text)


@pytest.mark.parametrize(("parse", "valid"), PARSERS, ids=["staging narinfo", "waiting", "vote", "url"])
@given(st.data())
def test_any_text_is_a_key_or_refused(parse: Callable[[str], object], valid: str, data: st.DataObject) -> None:
    """The fuzz contract; and what is accepted is written back as it was."""
    characters = st.characters() | st.characters(categories=["Cs"]) | st.sampled_from("/.\n0aA-%")
    start = data.draw(st.integers(0, len(valid)))
    end = data.draw(st.integers(start, min(len(valid), start + 3)))
    text = data.draw(
        st.text(characters, max_size=60)
        | st.text(characters, max_size=3).map(lambda middle: valid[:start] + middle + valid[end:])
    )
    try:
        key = parse(text)
    except PermanentError:
        return
    assert (key.url if isinstance(key, NarFile) else str(key)) == text
