"""Text in a narinfo that would be another narinfo to readers: nothing of it is copied through (I5)."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from nixcache.narinfo import MAX_NARINFO_SIZE, MAX_REFERENCES
from nixcache.signature import Signature
from nixcache.signing import SecretKey
from nixcache.verify import verify
from protocol.keys import NarFile, StagingNarInfoKey, StagingNarKey
from protocol.verdicts import Published, Rejected
from tests.adversary.target import MALLORY, Target
from tests.concurrency.deployment import KEY
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject, store_path

BREAKS = {
    "newline": b"\n",
    "carriage return": b"\r",
    "both": b"\r\n",
    "null": b"\0",
    "vertical tab": b"\v",
    "form feed": b"\f",
    "file separator": b"\x1c",
    "next line in Latin-1": b"\x85",
    "line separator in UTF-8": "\u2028".encode(),
    "paragraph separator in UTF-8": "\u2029".encode(),
    "overlong newline": b"\xc0\x8a",
    "escape": b"\x1b[2K",
    "delete": b"\x7f",
    "tab": b"\t",
    "space": b" ",
    "encoded newline": b"%0a",
    "backslash n": rb"\n",
}
"""What some reader or other takes for the end of a line, or of the text."""
SPOOFED = f"Sig: {KEY.name}:{base64.b64encode(bytes(64)).decode()}".encode()
PAYLOADS = (SPOOFED, b"Evil: yes", b"URL: nar/evil.nar", b"References: ")


def _stage(target: Target, thing: StoreObject, text: bytes) -> None:
    target.upload(StagingNarKey(MALLORY, NarFile.parse_url(thing.narinfo.url)), thing.file)
    target.upload(StagingNarInfoKey(MALLORY, thing.path.hash_part), text)
    target.run()


def _complete(objects: Objects) -> StoreObject:
    """Return an object whose narinfo has every field there is, all of them true but for the signature."""
    leaf = objects.build("leaf")
    return leaf.claiming(deriver=store_path("leaf.drv"), signatures=(Signature("someone-1", bytes(64)),))


@pytest.mark.parametrize("what", BREAKS)
def test_a_break_in_any_field_adds_nothing_to_what_is_published(objects: Objects, what: str) -> None:
    """I5: either the narinfo is refused, or readers see byte for byte what they see without the attack."""
    thing = _complete(objects)
    honest = Target()
    _stage(honest, thing, thing.narinfo.render())
    expected = honest.visible(thing.path)
    assert expected
    assert expected.count(b"Sig: ") == 1
    lines = [*thing.narinfo.render().splitlines(), b"CA: fixed:r:" + str(thing.narinfo.nar_hash).encode(), b"Other: x"]
    outcomes = set()
    for attacked in range(len(lines)):
        for payload in PAYLOADS:
            for text in (
                lines[attacked] + BREAKS[what] + payload,
                lines[attacked].replace(b": ", b": " + payload + BREAKS[what]),
            ):
                # The content address is a lie: it stands there only to be attacked.
                kept = [line for line in lines if not line.startswith(b"CA: ") or line is lines[attacked]]
                target = Target()
                _stage(target, thing, b"".join((text if line is lines[attacked] else line) + b"\n" for line in kept))
                assert target.visible(thing.path) in {None, expected}
                assert target.cache.keys() in ([], honest.cache.keys())
                outcomes.add(type(target.result(thing.path, MALLORY).verdict))
                target.check()
    assert Rejected in outcomes
    assert outcomes <= {Rejected, Published}


def test_a_signature_of_ours_over_another_object_is_dropped(target: Target, objects: Objects) -> None:
    """I1 and I5: our key's name is there once, over what is published; clients would refuse it for another."""
    other, leaf = objects.build("other"), objects.build("leaf")
    target.attack(other)
    published = target.published(other.path)
    assert published is not None
    stolen = published.signatures
    namesake = SecretKey.generate(KEY.name)
    forged = (
        *stolen,
        replace(stolen[0], raw=bytes(64)),
        replace(stolen[0], raw=stolen[0].raw + b"\0"),
        namesake.sign(verify(leaf.narinfo, [leaf.file])),
        replace(stolen[0], key_name="cache.nixos.org-1"),
    )
    target.attack(leaf.claiming(signatures=forged))
    found = target.published(leaf.path)
    assert found is not None
    assert [signature.key_name for signature in found.signatures] == [KEY.name]
    assert found.is_signed_by(KEY.public_key)
    assert not set(found.signatures) & set(forged)


@pytest.mark.parametrize(
    "value",
    [
        "{name}",
        "{name}:",
        "{name}:AAAA",
        "{name}:!!!!",
        "{name} :{signature}",
        " {name}:{signature}",
        "{name}\u00a0:{signature}",
        "{name}:{signature}=",
        "{name}::{signature}",
        "{name}:{signature} {name}:{signature}",
    ],
)
def test_a_signature_that_makes_clients_refuse_the_path_is_never_published(
    target: Target, objects: Objects, value: str
) -> None:
    """I5: Nix refuses a path for one malformed signature under a name that it trusts, beside a good one."""
    leaf = objects.build("leaf")
    text = value.format(name=KEY.name, signature=base64.b64encode(bytes(64)).decode())
    _stage(target, leaf, leaf.narinfo.render() + f"Sig: {text}\n".encode())
    rejection = target.rejection(leaf.path)
    assert rejection.code == "narinfo-malformed"
    assert target.narinfos() == []


def test_a_field_given_twice_is_one_that_readers_might_read_differently(target: Target, objects: Objects) -> None:
    """Nix takes the last, others the first: whichever is true, it is refused."""
    leaf = objects.build("leaf")
    for line in leaf.narinfo.render().splitlines(keepends=True):
        _stage(target, leaf, line + leaf.narinfo.render())
        rejection = target.rejection(leaf.path)
        assert (rejection.code, rejection.field) == ("narinfo-malformed", line.split(b":")[0].decode())
    assert target.narinfos() == []


def test_the_largest_narinfo_costs_a_bounded_number_of_requests(target: Target, objects: Objects) -> None:
    """I7: 10,000 references in 1 MiB that nobody has, and one more of each, which is not even parsed."""
    leaf = objects.build("leaf")
    many = tuple(sorted(store_path("x" * 60, str(number)) for number in range(MAX_REFERENCES + 1)))
    target.attack(leaf.claiming(references=many))
    assert target.rejection(leaf.path).field == "References"
    asked = len(target.requests)
    fill = b"Note: " + b"x" * 2000 + b"\n"
    text = leaf.claiming(references=many[:-1]).narinfo.render()
    text += fill * ((MAX_NARINFO_SIZE - len(text)) // len(fill))
    _stage(target, leaf, text + b"y" * (MAX_NARINFO_SIZE - len(text)))
    assert target.rejection(leaf.path).offset is not None, "the last line has no newline"
    _stage(target, leaf, text)
    assert target.result(leaf.path, MALLORY).verdict.kind == "waiting"
    assert len(target.requests) - asked < 100
    assert len(target.ledger.keys("waiting/")) == len(target.ledger.keys("provenance/")) == 1
