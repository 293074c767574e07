"""Store paths as people name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hook.errors import BuilderCode
from hook.subject import Subject, subject
from nixcache.errors import PermanentError
from nixcache.store_path import StoreDir, StorePath

A, B = (StorePath.from_base_name(f"{digit * 32}-{digit}") for digit in "ab")


@pytest.fixture
def store(tmp_path: Path) -> StoreDir:
    directory = tmp_path / "store"
    directory.mkdir()
    (directory / A.base_name / "bin").mkdir(parents=True)
    # A store object that is a symlink to another one.
    (directory / B.base_name).symlink_to(directory / A.base_name)
    (directory / f"{A.base_name}.lock").touch()
    return StoreDir(str(directory))


def _named(text: str, store: StoreDir) -> StorePath | None:
    found = subject(text, store)
    assert found.path is None or found.path.hash_part == found.hash_part
    return found.path


def test_a_store_path_a_base_name_and_a_hash_part(store: StoreDir) -> None:
    for text in (store.render(A), f"{store.render(A)}/bin/x", A.base_name, str(A.hash_part)):
        assert _named(text, store) == A


def test_nothing_has_to_be_there(store: StoreDir) -> None:
    other = StorePath.from_base_name(f"{'c' * 32}-c")
    assert _named(store.render(other), store) == other
    assert _named(other.base_name, store) == other
    assert subject("c" * 32, store) == Subject(other.hash_part, None)


def test_links_are_followed_to_the_store_and_no_further(
    store: StoreDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store object that is itself a link is what is meant, as Nix has it, and not what it points to."""
    monkeypatch.chdir(tmp_path)
    Path("profile-1").symlink_to(store.render(B))
    Path("profile").symlink_to("profile-1")
    Path("gone").symlink_to(f"{store.path}/{'c' * 32}-c")
    assert _named("./profile", store) == B
    assert _named(store.render(B), store) == B
    Path("result").symlink_to(store.render(A))
    for text in ("result", "./result/", "result/bin", f"{tmp_path}/result/bin/../bin"):
        assert _named(text, store) == A
    assert _named("gone", store) == StorePath.from_base_name(f"{'c' * 32}-c")


def test_inside_the_store_a_relative_name_will_do(store: StoreDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(f"{store.render(A)}/bin")
    assert _named(".", store) == _named("x", store) == A


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("./result", "./result is not there: no such file."),
        ("", "An empty name is not there: no such file."),
        ("x" * 5000, "is not there: no such file."),
        (".", ". is not in the store"),
        ("loop", "loop is not in the store"),
        ("dangling", "dangling is not in the store"),
    ],
)
def test_what_names_no_path_is_told_why(
    store: StoreDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nowhere")
    with pytest.raises(PermanentError) as caught:
        subject(text, store)
    assert caught.value.code is BuilderCode.CONFIG_INVALID
    assert said in caught.value.problem
    assert len(caught.value.problem) < 1000
    assert "./result" in caught.value.remedy
