"""The narinfo parser: what it accepts has one meaning, and is rendered so that it is read again as the same."""

from __future__ import annotations

from fuzz.contract import Refusal, outcome, require, require_same
from fuzz.mutators.lines import mutate_lines
from fuzz.oracles.spellings import is_spelling
from fuzz.target import Target
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE

_ONCE = (b"StorePath", b"URL", b"Compression", b"FileHash", b"FileSize", b"NarHash", b"NarSize", b"References", b"CA")


def check(data: bytes) -> None:
    """Hold the parser and the renderer to their contract for ``data``."""
    parsed = outcome(lambda: NarInfo.parse(data, NIX_STORE))
    if isinstance(parsed, Refusal):
        at = parsed.offset or 0
        require(0 <= at <= len(data), "The offset is in the narinfo")
        return
    rendered = parsed.render()
    again = NarInfo.parse(rendered, NIX_STORE)
    require_same(again, parsed, "What was rendered is read as the same")
    require_same(again.render(), rendered, "Rendering is a fixed point")
    require_same(again.fingerprint(), parsed.fingerprint(), "A signature covers the same")
    _check_meaning(data, parsed)


def _check_meaning(data: bytes, parsed: NarInfo) -> None:
    """Compare with what any line-by-line reader sees, such as the clients that will read a cache's narinfo."""
    lines = [line.partition(b": ") for line in data.split(b"\n")]
    require_same(lines.pop(), (b"", b"", b""), "It ends with a newline")
    require(all(separator for _, separator, _ in lines), "Each line has a colon and a space")
    values = {name: value.decode("ascii") for name, _, value in lines}
    names = [name for name, _, _ in lines]
    require(all(names.count(name) <= 1 for name in _ONCE), "No field is given twice")
    require_same(NIX_STORE.render(parsed.store_path), values[b"StorePath"], "StorePath")
    require_same(parsed.url, values[b"URL"], "URL")
    require_same(parsed.compression.value, values.get(b"Compression") or "bzip2", "Compression")
    for name, found in ((b"NarHash", parsed.nar_hash), (b"FileHash", parsed.file_hash)):
        text = values.get(name, "")
        require(is_spelling(text, "sha256", found.digest) if found else not text, "A hash is a SHA-256")
    require_same(str(parsed.nar_size), values[b"NarSize"], "NarSize")
    require_same("" if parsed.file_size is None else str(parsed.file_size), values.get(b"FileSize", ""), "FileSize")
    references = [reference.base_name for reference in parsed.references]
    require_same(references, sorted(set(values.get(b"References", "").split())), "References are a sorted set")
    deriver = "" if parsed.deriver is None else parsed.deriver.base_name
    require(values.get(b"Deriver", "") in {deriver, "unknown-deriver"}, "Deriver")
    signatures = [value.decode("ascii") for name, _, value in lines if name == b"Sig"]
    require_same([str(signature) for signature in parsed.signatures], signatures, "Signatures")
    require_same(parsed.ca is None, not values.get(b"CA"), "CA")


TARGET = Target(name="narinfo", check=check, mutate=mutate_lines)
