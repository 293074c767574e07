"""The parsers of short texts: what is accepted has one value, and one text that it is written as."""

from __future__ import annotations

import string
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fuzz.contract import Refusal, outcome, require, require_same
from fuzz.mutators.lines import mutate_lines
from fuzz.oracles.spellings import is_spelling
from fuzz.oracles.spellings import nix32 as written_in_nix32
from fuzz.target import Target
from nixcache import nix32
from nixcache.content_address import ContentAddress
from nixcache.hashes import Hash
from nixcache.signature import PublicKey, Signature
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE, StoreDir, StorePath, parse_hash_part
from protocol.keys import BuilderName, NarFile, StagingNarInfoKey, VoteKey, WaitingKey

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_HASH_PART_LENGTH = 32
_LONGEST_NAME = 211


def _check(
    parse: Callable[[str], T],
    write: Callable[[T], str],
    text: str,
    *,
    is_text_of: Callable[[str, T], bool] | None = None,
) -> None:
    """``write`` gives back what was parsed, or, where several texts have one value, one that has the same."""
    value = outcome(lambda: parse(text))
    if isinstance(value, Refusal):
        return
    written = write(value)
    require_same(write(parse(written)), written, "What was written is read as the same")
    require(is_text_of(text, value) if is_text_of else written == text, f"{text!r} is not {written!r}")


def _is_text_of_hash(text: str, value: Hash) -> bool:
    return is_spelling(text, value.algorithm.value, value.digest)


def _is_base_name(text: str, path: StorePath) -> bool:
    """What is written to file systems, narinfos and shells is what Nix allows there, character by character."""
    first_word, *_ = path.name.split("-")
    return (
        text == f"{path.hash_part}-{path.name}"
        and len(path.hash_part) == _HASH_PART_LENGTH
        and set(path.hash_part) <= set("0123456789abcdfghijklmnpqrsvwxyz")
        and 0 < len(path.name) <= _LONGEST_NAME
        and set(path.name) <= set(f"{string.ascii_letters}{string.digits}+-._?=")
        and first_word not in {".", ".."}
    )


def _is_text_of_address(text: str, address: ContentAddress) -> bool:
    prefix = f"{address.method}:"
    return text.startswith(prefix) and _is_text_of_hash(text.removeprefix(prefix), address.hash)


def _is_text_of_key(text: str, key: SecretKey) -> bool:
    return text.removesuffix("\n") == key.reveal()


_CHECKS: tuple[Callable[[str], None], ...] = (
    partial(_check, nix32.decode, written_in_nix32),
    partial(_check, Hash.parse, str, is_text_of=_is_text_of_hash),
    partial(_check, parse_hash_part, str),
    partial(_check, StorePath.from_base_name, lambda path: path.base_name, is_text_of=_is_base_name),
    partial(_check, NIX_STORE.parse, NIX_STORE.render),
    partial(_check, StoreDir, lambda store_dir: store_dir.path),
    partial(_check, ContentAddress.parse, str, is_text_of=_is_text_of_address),
    partial(_check, Signature.parse, str),
    partial(_check, PublicKey.parse, str),
    partial(_check, SecretKey.parse, SecretKey.reveal, is_text_of=_is_text_of_key),
    partial(_check, BuilderName, str),
    partial(_check, NarFile.parse_url, lambda file: file.url),
    partial(_check, StagingNarInfoKey.parse, str),
    partial(_check, WaitingKey.parse, str),
    partial(_check, VoteKey.parse, str),
)


def check(data: bytes) -> None:
    """Hold each parser to its contract for ``data`` as text, bytes that are no UTF-8 as a command line has them."""
    text = data.decode("utf-8", "surrogateescape")
    for check_parser in _CHECKS:
        check_parser(text)


TARGET = Target(name="texts", check=check, mutate=mutate_lines, max_size=512)
