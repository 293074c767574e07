"""The demo where there is no Nix: the same service and the same proofs, with nixcache in the place of both clients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.request import ProxyHandler, build_opener

from local.demo.story import DemoError, Story, expect
from local.demo.submission import Sender, pack
from local.service import LocalService
from nixcache.errors import Code, PermanentError
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.store_path import StorePath
from nixcache.verify import verify
from protocol.keys import BuilderName, CacheNarInfoKey
from protocol.verdicts import Published

NOT_SHOWN: Final = (
    "Not shown, since there is no Nix on this machine: the post-build hook inside a build, the uploader reading a real "
    "store, and a real client that installs, and that refuses what is unsigned or altered. Install Nix (on Debian: "
    "apt-get install nix-bin) and run the demo again to see them."
)


def publish_and_read(service: LocalService, story: Story, directory: Path, builder: BuilderName) -> NarInfo:
    """Publish two paths, one referencing the other, and read both as a client would; return that one's narinfo."""
    alice = Sender(service, builder)
    store_dir = service.deployment.settings.store_dir
    with story.step("Pack two directories with our own NAR writer; one mentions the other's store path"):
        library, program = directory / "library", directory / "program"
        for path in (library, program):
            path.mkdir()
        (library / "greeting").write_text("hello\n")
        first = pack(library, store_dir, "library")
        (program / "run").write_text(f"#!/bin/sh\ncat {store_dir.render(first.narinfo.store_path)}/greeting\n")
        (program / "run").chmod(0o755)
        second = pack(program, store_dir, "program", references=(first.narinfo.store_path,))
    with story.step("Upload the one that references first: it has to wait until the other is published"):
        receipt = alice.send(second)
        for sent, verdict in ((first, alice.submit(first)), (second, alice.verdict(receipt))):
            expect(isinstance(verdict, Published), f"{sent.narinfo.store_path.base_name} is not published: {verdict}")
            story.tell(f"{sent.narinfo.store_path.base_name}: {verdict.kind}")
    with story.step(
        "Read them as a client that trusts Assay's public key alone: signatures, bytes and references hold"
    ):
        for sent in (first, second):
            _check(service, sent.narinfo.store_path)
    return _narinfo(service, second.narinfo.store_path)


def _check(service: LocalService, path: StorePath) -> None:
    """Verify a published path from its signature down to its bytes, and see that alterations do not pass."""
    narinfo = _narinfo(service, path)
    key = service.deployment.public_key
    expect(narinfo.is_signed_by(key), f"{path.base_name} is not signed by {key.name}.")
    expect(not narinfo.is_signed_by(SecretKey.generate(key.name).public_key), "Another key of that name is good, too.")
    expect(not replace(narinfo, nar_size=narinfo.nar_size + 8).is_signed_by(key), "The signature covers too little.")
    nar = _get(f"{service.cache_url}/{narinfo.url}")
    verify(narinfo, [nar])
    try:
        verify(narinfo, [nar[:-1]])
    except PermanentError as error:
        expect(error.code in (Code.COMPRESSED_DATA_MALFORMED, Code.FILE_SIZE_MISMATCH), f"Refused, but why? {error}")
    else:
        raise DemoError("A NAR that was cut off was accepted.")


def _narinfo(service: LocalService, path: StorePath) -> NarInfo:
    data = _get(f"{service.cache_url}/{CacheNarInfoKey(path.hash_part)}")
    return NarInfo.parse(data, service.deployment.settings.store_dir)


def _get(url: str) -> bytes:
    with build_opener(ProxyHandler({})).open(url) as response:
        data: bytes = response.read()
        return data
