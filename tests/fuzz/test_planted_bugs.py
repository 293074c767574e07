"""The contracts are sharp: plant a bug in nixcache, and replaying a target's corpus finds it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from fuzz import decompression
from fuzz.contract import ContractBrokenError
from fuzz.corpus import seeds
from fuzz.targets import TARGETS
from nixcache import dsse, hashes, nar, narinfo, nix32, store_path, strict_json, verify
from nixcache.build_ids import BuildIdCollector
from nixcache.compression import Compression, Decompressor, decompressor
from nixcache.content_address import ContentAddressProof
from nixcache.dsse import Envelope
from nixcache.hash_modulo import HashModulo
from nixcache.nar import Event, NarParser
from nixcache.nar_listing import ListingBuilder
from nixcache.narinfo import NarInfo
from nixcache.references import ReferenceScanner
from nixcache.statement import Statement
from protocol.results import Result
from protocol.verdicts import Duplicate

ORIGINAL_RENDER = NarInfo.render
ORIGINAL_LISTING = ListingBuilder.finish
ORIGINAL_TO_JSON = Result.to_json
ORIGINAL_ENVELOPE = Envelope.to_json
ORIGINAL_STATEMENT = Statement.to_json


def replay(target: str) -> None:
    for path in seeds(target):
        # Past crashes are told apart: they must not be what makes a contract sharp.
        if path.name.startswith("seed-"):
            TARGETS[target].check(path.read_bytes())


class Lossy:
    """A decompressor that drops a byte, or does not mind where its input ends."""

    def __init__(self, real: Decompressor, *, dropped: int = 0, closes: bool = True) -> None:
        self.real = real
        self.dropped = dropped
        self.closes = closes

    def feed(self, data: bytes) -> Iterator[bytes]:
        for piece in self.real.feed(data):
            yield piece[self.dropped :]

    def close(self) -> None:
        if self.closes:
            self.real.close()


def whole_contents(parser: NarParser, _buffer: bytes, position: int, _events: list[Event]) -> int:
    parser._step = parser._end_of_node
    return position + parser._remaining


def unblotted(state: HashModulo, data: bytes) -> None:
    state._state.update(data)


def nothing(*_arguments: object) -> None:
    return


def without_references(claim: NarInfo) -> bytes:
    return ORIGINAL_RENDER(replace(claim, references=()))


def forgiving_base64(text: str, _field: str) -> bytes:
    return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "==")


BUGS: list[tuple[str, object, str, object]] = [
    ("nar", nar, "_is_name", lambda _name: True),
    ("nar", nar, "MAX_DEPTH", 65),
    ("nar", nar, "MAX_NAME_LENGTH", 254),
    ("nar", NarParser, "_contents", whole_contents),
    ("nar", NarParser, "_trailing_data", lambda _parser, buffer, _position, _events: len(buffer)),
    ("narinfo", narinfo, "_INTEGER", re.compile("[0-9]+")),
    ("narinfo", narinfo, "_sha256", hashes.Hash.parse),
    ("narinfo", NarInfo, "render", without_references),
    ("zstd", decompression, "decompressor", lambda method: Lossy(decompressor(method), dropped=1)),
    ("zstd", decompression, "decompressor", lambda method: Lossy(decompressor(method), closes=False)),
    ("xz", decompression, "MAX_PIECE_SIZE", 100),
    ("gzip", decompression, "decompressor", lambda _method: decompressor(Compression.NONE)),
    ("references", ReferenceScanner, "finish", nothing),
    ("references", ReferenceScanner, "_find", nothing),
    ("content-address-proof", HashModulo, "update", unblotted),
    ("content-address-proof", ContentAddressProof, "finish", lambda proof, _store_dir: proof._claim),
    ("verify", verify, "_compare", nothing),
    ("verify", verify, "_not_found", lambda _missing: ContractBrokenError("never refused")),
    ("verify", BuildIdCollector, "feed", nothing),
    ("verify", ListingBuilder, "finish", lambda listing: (ORIGINAL_LISTING(listing) or b"").replace(b"size", b"Size")),
    ("verify", ReferenceScanner, "feed", nothing),
    ("texts", nix32, "_VALUES", dict.fromkeys(nix32.ALPHABET, 0)),
    ("texts", store_path, "_NAME", re.compile(".*")),
    ("results", Result, "to_json", lambda result: ORIGINAL_TO_JSON(replace(result, verdict=Duplicate()))),
    ("results", Result, "to_json", lambda result: ORIGINAL_TO_JSON(replace(result, disputed_by=()))),
    ("attestations", strict_json, "_object", dict),
    ("attestations", dsse, "_base64", forgiving_base64),
    ("attestations", Envelope, "to_json", lambda envelope: ORIGINAL_ENVELOPE(replace(envelope, signatures=()))),
    ("attestations", Statement, "to_json", lambda statement: ORIGINAL_STATEMENT(replace(statement, predicate={}))),
]


@pytest.mark.parametrize(
    ("target", "owner", "name", "bug"), BUGS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_planted_bug_is_found(
    target: str, owner: object, name: str, bug: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    replay(target)
    monkeypatch.setattr(owner, name, bug)
    with pytest.raises(ContractBrokenError):
        replay(target)
