"""Store paths and the store dir they live in."""

from __future__ import annotations

import pytest
from hypothesis import given

from nixcache.errors import Code, PermanentError
from nixcache.store_path import NIX_STORE, HashPart, StoreDir, StorePath, parse_hash_part
from tests.nixcache.strategies import store_dirs, store_paths

PART = "0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b"


@pytest.mark.parametrize(
    "name", ["a", "hello-2.12", "x.drv", "+", "-", "?", "=", "_", "...", "..a", ".a", "a..", "A" * 211, "a-b--"]
)
def test_names_that_nix_allows(name: str) -> None:
    path = StorePath.from_base_name(f"{PART}-{name}")
    assert (path.hash_part, path.name, path.base_name) == (PART, name, f"{PART}-{name}")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 212,
        ".",
        "..",
        ".-",
        "..-",
        ".-x",
        "..-x",
        "a/b",
        "a b",
        "a\n",
        "\n",
        "a\0",
        "é",
        "a~",
        "٣",
        "a:b",
        "a%2e",
    ],
)
def test_names_that_some_nix_refuses(name: str) -> None:
    with pytest.raises(PermanentError) as caught:
        StorePath.from_base_name(f"{PART}-{name}")
    assert (caught.value.code, caught.value.offset) == (Code.STORE_PATH_MALFORMED, 32)


@pytest.mark.parametrize("separator", ["", "_", "/"])
def test_a_dash_ends_the_hash_part(separator: str) -> None:
    with pytest.raises(PermanentError):
        StorePath.from_base_name(f"{PART}{separator}x")


@pytest.mark.parametrize(
    ("name", "derivation"), [("x.drv", True), (".drv", True), ("x.drv-doc", False), ("drv", False)]
)
def test_a_derivation_is_one_by_its_name(name: str, *, derivation: bool) -> None:
    assert StorePath.from_base_name(f"{PART}-{name}").is_derivation is derivation


def test_a_second_dash_belongs_to_the_name() -> None:
    assert StorePath.from_base_name(f"{PART}--x").name == "-x"


@pytest.mark.parametrize(
    "text", ["", PART[:-1], PART + "0", PART.upper(), PART[:-1] + "e", PART[:-1] + "٣", PART[:-1] + "\n", PART + "\n"]
)
def test_what_is_no_hash_part(text: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parse_hash_part(text)
    assert caught.value.code is Code.STORE_PATH_MALFORMED


def test_a_hash_part_is_kept_as_it_is() -> None:
    assert parse_hash_part(PART) == PART


@given(store_paths())
def test_a_base_name_reads_back(path: StorePath) -> None:
    assert StorePath.from_base_name(path.base_name) == path


@given(store_dirs(), store_paths())
def test_a_full_path_reads_back(store_dir: StoreDir, path: StorePath) -> None:
    assert store_dir.parse(store_dir.render(path)) == path


@given(store_paths(), store_paths())
def test_the_order_is_that_of_base_names(one: StorePath, other: StorePath) -> None:
    assert (one < other) == (one.base_name < other.base_name)


@pytest.mark.parametrize(
    "text",
    [
        f"{PART}-x",
        f"/nix/store{PART}-x",
        f"/nix/stor/{PART}-x",
        f"/nix/store//{PART}-x",
        f"/nix/store/{PART}-x/bin",
        f"/nix/store/../{PART}-x",
        f"nix/store/{PART}-x",
        "/nix/store/",
        "",
    ],
)
def test_a_full_path_lies_directly_in_the_store_dir(text: str) -> None:
    with pytest.raises(PermanentError) as caught:
        NIX_STORE.parse(text)
    assert caught.value.code is Code.STORE_PATH_MALFORMED


def test_rendering_puts_the_store_dir_in_front() -> None:
    assert NIX_STORE.render(StorePath(HashPart(PART), "x")) == f"/nix/store/{PART}-x"


@pytest.mark.parametrize("path", ["/nix/store", "/s", "/tmp/pytest-of-me/nix0/store", "/a/...", "/a/.b"])  # noqa: S108
def test_store_dirs(path: str) -> None:
    assert StoreDir(path).path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "nix/store",
        "/nix/store/",
        "//nix",
        "/nix//store",
        "/nix/./store",
        "/nix/../store",
        "/nix/..",
        "/a\n",
        "/a b",
        "/ä",
    ],
)
def test_what_is_no_store_dir(path: str) -> None:
    with pytest.raises(PermanentError) as caught:
        StoreDir(path)
    assert caught.value.code is Code.STORE_PATH_MALFORMED
