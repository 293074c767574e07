"""`python -m nixcache provenance`: what it prints and how it exits."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from nixcache.dsse import MAX_ENVELOPE_SIZE, Envelope
from nixcache.narinfo import MAX_NARINFO_SIZE
from nixcache.signing import SecretKey
from nixcache.store_path import StoreDir
from tests.nixcache.command_line import Call, run, verdict
from tests.nixcache.golden import HELLO, HELLO_NARINFO, PUBLIC_KEY, ZLIB
from tests.nixcache.provenances import ENVELOPE, KEY, STATEMENT, STATEMENT_JSON

PRINTED = STATEMENT_JSON.decode() + "\n"
OTHER = str(SecretKey.generate("cache.example.org-1").public_key)


@pytest.fixture
def envelope(tmp_path: Path) -> Path:
    path = tmp_path / "provenance.json"
    path.write_bytes(ENVELOPE.to_json())
    return path


@pytest.fixture
def narinfo(tmp_path: Path) -> Path:
    path = tmp_path / "narinfo"
    path.write_bytes(HELLO_NARINFO)
    return path


def test_it_prints_the_statement(call: Call, envelope: Path) -> None:
    assert call("provenance", "--envelope", envelope, "--public-key", PUBLIC_KEY) == (0, PRINTED, "")


def test_one_of_several_keys_is_enough(call: Call, envelope: Path) -> None:
    keys = ("--public-key", OTHER, "--public-key", PUBLIC_KEY)
    assert call("provenance", *keys, "--envelope", envelope) == (0, PRINTED, "")


def test_it_is_about_this_narinfo(call: Call, envelope: Path, narinfo: Path) -> None:
    arguments = ("--envelope", envelope, "--public-key", PUBLIC_KEY, "--narinfo", narinfo)
    assert call("provenance", *arguments) == (0, PRINTED, "")


def test_it_is_about_a_narinfo_of_another_store_dir(call: Call, envelope: Path, narinfo: Path) -> None:
    envelope.write_bytes(KEY.attest(dataclasses.replace(STATEMENT, store_dir=StoreDir("/s"))).to_json())
    arguments = ("--envelope", envelope, "--public-key", PUBLIC_KEY, "--narinfo", narinfo)
    assert verdict(call("provenance", *arguments), 1)["code"] == "narinfo-malformed"
    narinfo.write_bytes(HELLO_NARINFO.replace(b"/nix/store", b"/s"))
    assert call("provenance", *arguments) == (0, PRINTED.replace("/nix/store", "/s"), "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"StorePath: /nix/store/{HELLO}", f"StorePath: /nix/store/{ZLIB}"),
        ("NarHash: sha256:0lsj", "NarHash: sha256:0lsk"),
    ],
)
def test_it_is_about_another_store_object(call: Call, envelope: Path, narinfo: Path, before: str, after: str) -> None:
    narinfo.write_bytes(HELLO_NARINFO.replace(before.encode(), after.encode()))
    answer = call("provenance", "--envelope", envelope, "--public-key", PUBLIC_KEY, "--narinfo", narinfo)
    document = verdict(answer, 1)
    assert (document["verdict"], document["code"], document["field"]) == ("rejected", "attestation-mismatch", "subject")
    assert HELLO in document["problem"]


@pytest.mark.parametrize("data", [b"", b"\0garbage", b"x" * (MAX_NARINFO_SIZE + 10)])
def test_a_malformed_narinfo_is_rejected(call: Call, envelope: Path, narinfo: Path, data: bytes) -> None:
    narinfo.write_bytes(data)
    answer = call("provenance", "--envelope", envelope, "--public-key", PUBLIC_KEY, "--narinfo", narinfo)
    assert verdict(answer, 1)["code"] == "narinfo-malformed"


def test_another_key_of_the_same_name_is_rejected(call: Call, envelope: Path) -> None:
    answer = call("provenance", "--envelope", envelope, "--public-key", OTHER)
    document = verdict(answer, 1)
    assert (document["verdict"], document["code"]) == ("rejected", "attestation-unsigned")
    assert document["remedy"]
    assert "builder-1" not in answer[1], "nothing is shown of what nobody signed"


def test_a_swapped_payload_is_rejected(call: Call, envelope: Path) -> None:
    forged = STATEMENT_JSON.replace(b"builder-1", b"builder-2")
    envelope.write_bytes(Envelope(ENVELOPE.payload_type, forged, ENVELOPE.signatures).to_json())
    answer = call("provenance", "--envelope", envelope, "--public-key", PUBLIC_KEY)
    assert verdict(answer, 1)["code"] == "attestation-unsigned"


def test_another_statement_under_the_same_key_is_no_provenance(call: Call, envelope: Path) -> None:
    other = dataclasses.replace(STATEMENT, predicate_type="urn:assay:other:v1")
    envelope.write_bytes(KEY.attest(other).to_json())
    document = verdict(call("provenance", "--envelope", envelope, "--public-key", PUBLIC_KEY), 1)
    assert (document["code"], document["field"]) == ("attestation-mismatch", "predicateType")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 9,
        STATEMENT_JSON,
        HELLO_NARINFO,
        b"[" * 200_000,
        b"9" * 10_000,
        ENVELOPE.to_json().ljust(MAX_ENVELOPE_SIZE + 9),
    ],
    ids=["nothing", "bytes", "a statement", "a narinfo", "nested", "digits", "too large"],
)
def test_garbage_is_rejected(call: Call, envelope: Path, data: bytes) -> None:
    envelope.write_bytes(data)
    answer = call("provenance", "--envelope", envelope, "--public-key", PUBLIC_KEY)
    assert verdict(answer, 1)["code"] == "attestation-malformed"


@pytest.mark.parametrize("key", ["", "name", PUBLIC_KEY[:-1], f"{PUBLIC_KEY} {PUBLIC_KEY}"])
def test_a_malformed_public_key_is_bad_usage(call: Call, envelope: Path, key: str) -> None:
    code, out, err = call("provenance", "--envelope", envelope, "--public-key", key)
    assert (code, out) == (2, "")
    assert "The public key is malformed." in err


def test_a_narinfo_that_is_not_there_is_bad_usage(call: Call, envelope: Path, narinfo: Path) -> None:
    narinfo.unlink()
    answer = call("provenance", "--envelope", envelope, "--public-key", PUBLIC_KEY, "--narinfo", narinfo)
    assert answer == (2, "", f"nixcache: {narinfo}: No such file or directory\n")


def test_as_a_process(envelope: Path) -> None:
    arguments = ("provenance", "--envelope", envelope, "--public-key")
    assert run(*arguments, PUBLIC_KEY) == (0, PRINTED.encode(), "")
    code, out, err = run(*arguments, OTHER)
    assert (code, json.loads(out)["code"], err) == (1, "attestation-unsigned", "")
