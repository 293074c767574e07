"""Re-signing of what ingest has published: what it adds, what it withdraws, what it leaves alone."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from nacl.signing import SigningKey

from lambdas.resign.resigner import Reason
from nixcache.errors import PermanentError, TransientError
from nixcache.narinfo import MAX_SIGNATURES
from nixcache.signature import Signature
from nixcache.signing import SecretKey
from protocol.keys import NARINFO_SUFFIX, CacheNarInfoKey, ProvenanceKey
from protocol.verdicts import Kind
from tests.concurrency.deployment import KEY
from tests.ingest.store_objects import Builder
from tests.resign.conftest import ADD, LATER, NEXT, Cache, event, reverify
from tests.simulator.bucket import ObjectVersion

Logged = Callable[[], list[dict[str, Any]]]


def _version(cache: Cache, key: object) -> ObjectVersion:
    version = cache.deployment.cache.current(str(key))
    assert version is not None
    return version


def _all_but_narinfos(cache: Cache) -> dict[str, bytes | None]:
    keys = cache.deployment.cache.keys()
    return {key: cache.deployment.cache.read(key) for key in keys if not key.endswith(NARINFO_SUFFIX)}


def test_i3_a_signature_is_added_and_nothing_else_changes(cache: Cache, builder: Builder) -> None:
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    cache.publish(leaf, top)
    keys = [CacheNarInfoKey(thing.path.hash_part) for thing in (leaf, top)]
    before = [_version(cache, key) for key in keys]
    others = _all_but_narinfos(cache)
    cache.rotate()
    assert cache.run() == {}
    for key, thing, old in zip(keys, (leaf, top), before, strict=True):
        new = _version(cache, key)
        assert cache.signers(thing.path) == [NEXT.name, KEY.name]
        assert [line for line in new.data.splitlines() if not line.startswith(b"Sig: cache.test-2:")] == (
            old.data.splitlines()
        )
        assert (new.headers, new.metadata) == (old.headers, old.metadata)
        assert old.metadata, "ingest knows its publications by it"
    assert others
    assert _all_but_narinfos(cache) == others


def test_i6_again_it_writes_nothing(cache: Cache, builder: Builder, log_lines: Logged) -> None:
    cache.publish(builder.build("leaf"))
    cache.rotate()
    cache.run()
    requests: Counter[str] = Counter()
    log_lines()
    cache.run(clients=cache.deployment.connect(before=lambda request: requests.update([request.operation])))
    assert requests == {"GetSecretValue": 2, "GetObject": 1}
    [line] = log_lines()
    assert (line["Resigned"], line["ResignedBefore"], line["NotResigned"]) == (0, 1, 0)


def test_with_the_first_key_there_is_nothing_to_do(cache: Cache, builder: Builder) -> None:
    leaf = builder.build("leaf")
    cache.publish(leaf)
    text = cache.text(leaf.path)
    assert cache.run() == {}
    assert cache.text(leaf.path) == text


def test_i1_what_no_trusted_key_has_signed_is_not_signed(cache: Cache, builder: Builder, log_lines: Logged) -> None:
    """The first key is in the secret no more: it may have leaked, or been retired for it."""
    leaf = builder.build("leaf")
    cache.publish(leaf)
    cache.rotate(NEXT)
    cache.rotate(LATER)
    text = cache.text(leaf.path)
    log_lines()
    assert cache.run() == {"notSigned": 1}
    assert cache.text(leaf.path) == text
    refused, summary = log_lines()
    assert refused["key"] == f"{leaf.path.hash_part}.narinfo"
    assert refused["reason"] == Reason.UNTRUSTED
    assert summary["NotResigned"] == 1


def test_i1_a_signature_that_does_not_hold_vouches_for_nothing(cache: Cache, builder: Builder) -> None:
    leaf, other = builder.build("leaf"), builder.build("other")
    cache.publish(leaf, other)
    cache.rotate()
    stolen = cache.narinfo(other.path).signatures
    forged = replace(cache.narinfo(leaf.path), signatures=stolen)
    cache.put(leaf.path, forged.render())
    assert cache.run() == {"notSigned": 1}
    assert cache.text(leaf.path) == forged.render()
    assert cache.signers(other.path) == [NEXT.name, KEY.name]


def test_a_false_signature_under_the_new_keys_name_gives_way(cache: Cache, builder: Builder) -> None:
    leaf = builder.build("leaf")
    cache.publish(leaf)
    cache.rotate()
    narinfo = cache.narinfo(leaf.path)
    cache.put(leaf.path, replace(narinfo, signatures=(Signature(NEXT.name, bytes(64)), *narinfo.signatures)).render())
    assert cache.run() == {}
    assert cache.signers(leaf.path) == [NEXT.name, KEY.name]


def test_signatures_of_others_stay(cache: Cache, builder: Builder) -> None:
    leaf = builder.build("leaf")
    cache.publish(leaf)
    cache.rotate()
    narinfo = cache.narinfo(leaf.path)
    theirs = Signature("cache.example.org-1", bytes(range(64)))
    cache.put(leaf.path, replace(narinfo, signatures=(*narinfo.signatures, theirs)).render())
    cache.run()
    assert cache.narinfo(leaf.path).signatures[1:] == (*narinfo.signatures, theirs)


def test_the_newest_of_three_keys_countersigns_the_one_before(cache: Cache, builder: Builder) -> None:
    leaf = builder.build("leaf")
    cache.publish(leaf)
    cache.rotate(NEXT)
    cache.run()
    cache.rotate(LATER)
    assert cache.run() == {}
    assert cache.signers(leaf.path) == [LATER.name, NEXT.name, KEY.name]


# ------------------------------------------------------------------------------------------------- a key that leaked


def _leak(cache: Cache) -> None:
    """Have the first key leave the secret, as after two rotations; or one, and `retire-key`."""
    cache.rotate(NEXT)
    cache.rotate(LATER)


def test_i1_after_a_leak_the_bytes_are_read_again(cache: Cache, builder: Builder) -> None:
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    cache.publish(leaf, top)
    unsigned = {thing: replace(cache.narinfo(thing.path), signatures=()) for thing in (leaf, top)}
    _leak(cache)
    read: Counter[str] = Counter()
    clients = cache.deployment.connect(before=lambda request: read.update([request.target]))
    assert cache.run(reverify(KEY.name), clients=clients) == {}
    for thing in (leaf, top):
        narinfo = cache.narinfo(thing.path)
        assert cache.signers(thing.path) == [LATER.name]
        assert replace(narinfo, signatures=()) == unsigned[thing]
        assert read[f"cache/{narinfo.url}"] == 1
    text = cache.text(leaf.path)
    assert cache.run(reverify(KEY.name)) == {}
    assert cache.text(leaf.path) == text


def test_i1_a_signature_beside_a_leaked_one_proves_nothing(cache: Cache, builder: Builder) -> None:
    """It may have been added to what the leaked key had signed, before anybody knew of the leak."""
    leaf, lie = builder.build("leaf"), builder.build("lie")
    cache.publish(leaf, lie)
    claims_too_much = replace(cache.narinfo(lie.path), nar_size=cache.narinfo(lie.path).nar_size + 8, signatures=())
    forged = _signed_by_who_has(KEY, claims_too_much.fingerprint())
    cache.put(lie.path, replace(claims_too_much, signatures=(forged,)).render())
    cache.rotate(NEXT)
    assert cache.run(ADD) == {}, "nobody knows yet"
    assert cache.signers(lie.path) == [NEXT.name, KEY.name]
    cache.rotate(LATER)
    text = cache.text(lie.path)
    assert cache.run(reverify(KEY.name)) == {"notSigned": 1}
    assert cache.text(lie.path) == text
    assert cache.signers(leaf.path) == [LATER.name, NEXT.name]


def test_i1_not_even_the_present_keys(cache: Cache, builder: Builder) -> None:
    leaf = builder.build("leaf")
    cache.publish(leaf)
    cache.rotate(NEXT)
    cache.run(ADD)
    assert cache.signers(leaf.path) == [NEXT.name, KEY.name]
    cache.rotate(NEXT)  # as retire-key leaves the secret: without the first key
    read: Counter[str] = Counter()
    clients = cache.deployment.connect(before=lambda request: read.update([request.target]))
    assert cache.run(reverify(KEY.name), clients=clients) == {}
    assert cache.signers(leaf.path) == [NEXT.name]
    assert read[f"cache/{cache.narinfo(leaf.path).url}"] == 1


def test_i2_what_no_signature_covers_has_to_be_true_as_well(cache: Cache, builder: Builder, log_lines: Logged) -> None:
    """Whoever had the key could name the NAR as he liked: under a name that is not its hash, it could be replaced."""
    leaf = builder.build("leaf")
    cache.publish(leaf)
    narinfo = cache.narinfo(leaf.path)
    elsewhere = f"nar/{'0' * 52}.nar.zst"
    cache.deployment.connect().s3.put_object(Bucket="cache", Key=elsewhere, Body=leaf.file)
    cache.put(leaf.path, replace(narinfo, url=elsewhere).render())
    _leak(cache)
    log_lines()
    assert cache.run(reverify(KEY.name)) == {"notSigned": 1}
    assert log_lines()[0]["reason"] == Reason.DIFFERENT


def _signed_by_who_has(key: SecretKey, message: bytes) -> Signature:
    """Return what a thief can make: he needs none of our types."""
    seed = base64.b64decode(key.reveal().partition(":")[2])[:32]
    return Signature(key.name, SigningKey(seed).sign(message).signature)


def test_what_a_trusted_key_has_signed_is_not_read(cache: Cache, builder: Builder) -> None:
    old, new = builder.build("old"), builder.build("new")
    cache.publish(old)
    cache.rotate(NEXT)
    cache.publish(new)
    cache.rotate(LATER)
    read: Counter[str] = Counter()
    clients = cache.deployment.connect(before=lambda request: read.update([request.target]))
    assert cache.run(reverify(KEY.name), clients=clients) == {}
    assert cache.signers(old.path) == [LATER.name]
    assert cache.signers(new.path) == [LATER.name, NEXT.name]
    assert read[f"cache/{cache.narinfo(old.path).url}"] == 1
    assert read[f"cache/{cache.narinfo(new.path).url}"] == 0


@pytest.mark.parametrize("what", ["other bytes", "no bytes", "another path's bytes"])
def test_i1_bytes_that_do_not_prove_it_get_no_signature(
    cache: Cache, builder: Builder, log_lines: Logged, what: str
) -> None:
    leaf, other = builder.build("leaf"), builder.build("other")
    cache.publish(leaf, other)
    url = cache.narinfo(leaf.path).url
    s3 = cache.deployment.connect().s3
    match what:
        case "no bytes":
            s3.delete_object(Bucket="cache", Key=url)
        case "other bytes":
            s3.put_object(Bucket="cache", Key=url, Body=leaf.file[:-1] + bytes([leaf.file[-1] ^ 1]))
        case _:
            s3.put_object(Bucket="cache", Key=url, Body=other.file)
    _leak(cache)
    text = cache.text(leaf.path)
    log_lines()
    assert cache.run(reverify(KEY.name)) == {"notSigned": 1}
    assert cache.text(leaf.path) == text
    assert cache.signers(other.path) == [LATER.name]
    [refused] = [line for line in log_lines() if line["level"] == "ERROR"]
    assert refused["reason"] != Reason.UNTRUSTED
    assert refused["problem"]


@pytest.mark.parametrize(
    "what", ["nobody published it", "another path's", "other bytes", "it is waited for", "no envelope"]
)
@pytest.mark.parametrize("signed", [True, False], ids=["by the thief", "by nobody"])
def test_i1_what_no_builder_vouched_for_gets_no_signature(
    cache: Cache,
    builder: Builder,
    log_lines: Logged,
    what: str,
    signed: bool,  # noqa: FBT001
) -> None:
    """Anybody can make a path whose bytes are consistent; what ingest published is in the ledger, and it writes there.

    The thief of a key can sign provenance, too, but has to put it where he cannot write.
    """
    planted, honest = builder.build("planted"), builder.build("honest")
    cache.publish(planted, honest)
    narinfo = cache.narinfo(planted.path)
    key = str(ProvenanceKey(planted.path.hash_part))
    s3, provenance = cache.deployment.connect().s3, cache.deployment.ledger.read(key)
    assert provenance is not None
    match what:
        case "nobody published it":
            s3.delete_object(Bucket="ledger", Key=key)
        case "another path's":
            other = cache.deployment.ledger.read(str(ProvenanceKey(honest.path.hash_part)))
            s3.put_object(Bucket="ledger", Key=key, Body=other or b"")
        case "other bytes":
            envelope = json.loads(provenance)
            statement = json.loads(base64.b64decode(envelope["payload"]))
            statement["subject"][0]["digest"]["sha256"] = "0" * 64
            envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
            s3.put_object(Bucket="ledger", Key=key, Body=json.dumps(envelope).encode())
        case "it is waited for":
            s3.put_object(Bucket="ledger", Key=key, Body=b"")
        case _:
            s3.put_object(Bucket="ledger", Key=key, Body=b'{"payload": 1}')
    signatures = (_signed_by_who_has(KEY, narinfo.fingerprint()),) if signed else ()
    cache.put(planted.path, replace(narinfo, signatures=signatures).render())
    _leak(cache)
    text = cache.text(planted.path)
    log_lines()
    assert cache.run(reverify(KEY.name)) == {"notSigned": 1}
    assert cache.text(planted.path) == text
    assert cache.signers(honest.path) == [LATER.name]
    [refused] = [line for line in log_lines() if line["level"] == "ERROR"]
    assert refused["reason"] == Reason.NO_PROVENANCE
    s3.put_object(Bucket="ledger", Key=key, Body=provenance)
    assert cache.run(reverify(KEY.name)) == {}, "nothing else was in the way"


def test_with_a_new_secret_everything_is_proven_again_by_its_provenance(cache: Cache, builder: Builder) -> None:
    """As after `docs/runbooks/restore.md`: no key is revoked, and none that is known has signed."""
    leaf = builder.build("leaf")
    cache.publish(leaf)
    _leak(cache)
    assert cache.run(ADD) == {"notSigned": 1}
    assert cache.run(reverify()) == {}
    assert cache.signers(leaf.path) == [LATER.name, KEY.name]


def test_a_key_that_still_signs_is_not_withdrawn(cache: Cache, builder: Builder) -> None:
    """Ingest would go on to sign with it: first it has to go, then its signatures."""
    cache.publish(builder.build("leaf"))
    cache.rotate()
    for key in (KEY, NEXT):
        with pytest.raises(PermanentError, match=f"{key.name} still signs"):
            cache.run(reverify("cache.test-0", key.name))


# --------------------------------------------------------------------------------------------- what is left as it is


def test_text_that_is_not_as_we_write_it_is_left_alone(cache: Cache, builder: Builder, log_lines: Logged) -> None:
    leaf, late = builder.build("leaf"), builder.build("late")
    cache.publish(leaf, late)
    cache.rotate()
    texts = {leaf: cache.text(leaf.path) + b"Unknown: field\n", late: b"not a narinfo"}
    for thing, text in texts.items():
        cache.put(thing.path, text)
    log_lines()
    assert cache.run() == {"notSigned": 2}
    assert {thing: cache.text(thing.path) for thing in texts} == texts
    assert {line["reason"] for line in log_lines() if line["level"] == "ERROR"} == {
        Reason.NOT_OURS,
        "narinfo-malformed",
    }


def test_a_narinfo_under_another_paths_key_is_left_alone(cache: Cache, builder: Builder) -> None:
    leaf, other = builder.build("leaf"), builder.build("other")
    cache.publish(leaf, other)
    cache.rotate()
    text = cache.text(other.path)
    cache.put(leaf.path, text)
    assert cache.run() == {"notSigned": 1}
    assert cache.text(leaf.path) == text


def test_a_narinfo_that_is_full_is_left_alone(cache: Cache, builder: Builder, log_lines: Logged) -> None:
    leaf = builder.build("leaf")
    cache.publish(leaf)
    cache.rotate()
    narinfo = cache.narinfo(leaf.path)
    others = tuple(Signature(f"other-{number}", bytes(64)) for number in range(MAX_SIGNATURES - 1))
    cache.put(leaf.path, replace(narinfo, signatures=narinfo.signatures + others).render())
    log_lines()
    assert cache.run() == {"notSigned": 1}
    assert log_lines()[0]["reason"] == Reason.TOO_LARGE


def test_what_is_no_narinfos_key_is_not_even_read(cache: Cache) -> None:
    part = "0" * 32
    keys = ["nix-cache-info", "index.html", f"{part}.ls", f"nar/{part}.narinfo", f"{part}.narinfo.gz", "x.narinfo", ""]
    requests: Counter[str] = Counter()
    cache.run(keys=keys, clients=cache.deployment.connect(before=lambda request: requests.update([request.operation])))
    assert requests["GetObject"] == 0


def test_one_that_was_unpublished_meanwhile_is_no_trouble(cache: Cache, log_lines: Logged) -> None:
    assert cache.run(keys=[f"{'0' * 32}.narinfo"]) == {}
    assert log_lines()[0]["ResignedGone"] == 1


@pytest.mark.parametrize(
    "request_",
    [
        None,
        {},
        {"mode": "all"},
        {"mode": "add", "revoked": ["cache.test-1"]},
        {"mode": "reverify"},
        {"mode": "reverify", "revoked": "cache.test-1"},
        {"mode": "reverify", "revoked": [1]},
        {"mode": "reverify", "revoked": [], "force": True},
    ],
)
def test_a_request_that_is_none_is_refused(cache: Cache, request_: object) -> None:
    with pytest.raises(PermanentError, match="no request to re-sign"):
        cache.run(request_)


def test_an_event_without_its_parts_is_refused(cache: Cache) -> None:
    whole = event([], ADD)
    for missing in whole:
        broken = {name: value for name, value in whole.items() if name != missing}
        with pytest.raises(PermanentError, match="no request to re-sign"):
            cache.run(broken)


def test_without_a_key_it_comes_again(cache: Cache) -> None:
    cache.rotate()
    cache.deployment.aws.put_secret("key", "no key")
    with pytest.raises(TransientError, match="holds no key"):
        cache.run()


def test_ingest_knows_its_own_publication_afterwards(cache: Cache, builder: Builder) -> None:
    """The metadata that says whose submission it was is there, so that a message that comes twice changes nothing."""
    leaf = builder.build("leaf")
    cache.publish(leaf)
    cache.rotate()
    cache.run()
    text = cache.text(leaf.path)
    listing = f"{leaf.path.hash_part}.ls"
    cache.deployment.connect().s3.delete_object(Bucket="cache", Key=listing)
    cache.deployment.submit(leaf)
    cache.deployment.drain()
    assert cache.deployment.result(leaf.path).verdict.kind is Kind.DUPLICATE
    assert cache.text(leaf.path) == text
