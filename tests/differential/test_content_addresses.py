"""What each generation makes of store objects on whose content address they disagree, and of derivations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nixcache.errors import Code, PermanentError
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.verify import verify
from tests.differential.cache import Cache
from tests.differential.nix_generations import Generation
from tests.nixcache.claims import sha256
from tests.nixcache.nix_derivations import FLOATING, instantiate, realise
from tests.nixcache.relocated_nix import RelocatedNix
from tests.nixcache.test_nix_store_paths import numbers, proven, rewritten, version

KEY = SecretKey.generate("differential-1")
_TRUSTING_US = ("--option", "trusted-public-keys", str(KEY.public_key), "--option", "require-sigs", "true")


def floating(nix: RelocatedNix) -> str:
    (out,) = realise(nix, instantiate(nix, "echo $out $out > $out", name="floating", **FLOATING))
    return out


def made_content_addressed(nix: RelocatedNix) -> str:
    (out,) = realise(nix, instantiate(nix, "echo $out $out > $out", name="made-content-addressed"))
    return rewritten(nix, out)


def without_a_mention(nix: RelocatedNix) -> str:
    (out,) = realise(nix, instantiate(nix, "echo > $out", name="plain", **FLOATING))
    return out


def derivation(nix: RelocatedNix) -> str:
    return instantiate(nix, "echo $out > $out", name="derived")


def installs(
    generation: Generation,
    nix: RelocatedNix,
    narinfo: NarInfo,
    nar: bytes,
    directory: Path,
    trusting: Sequence[str] = _TRUSTING_US,
) -> bool:
    """Tell whether ``generation`` installs ``narinfo`` into an empty store, trusting our key alone by default."""
    cache = Cache(directory / "cache", nix.store_dir)
    cache.put(narinfo, nar)
    # The same store dir, but another directory that stands for it.
    client = RelocatedNix(nix.root, commands=generation.commands, configuration=generation.configuration)
    path = nix.store_dir.render(narinfo.store_path)
    of_derivation = ["--derivation"] if narinfo.store_path.is_derivation else []
    # By default generations differ in where below the root the store is.
    store = f"local?root={directory / 'root'}&real={directory / 'store'}"
    installed = directory / "store" / narinfo.store_path.base_name
    done = client.attempt(
        "nix", "copy", *trusting, "--from", f"file://{cache.directory}", "--to", store, *of_derivation, path
    )
    if done.returncode:
        assert b"ca hash mismatch" in done.stderr, done.stderr.decode()
        return False
    assert b"".join(dump(installed)) == nar
    return True


def forgets_offsets(generation: tuple[int, int]) -> bool:
    """Tell whether ``generation`` hashes no offsets of mentions (NixOS/nix#15837)."""
    return (2, 17) <= generation < (2, 35)


@pytest.mark.parametrize("make", [floating, made_content_addressed, without_a_mention, derivation])
def test_what_is_published_installs_in_every_generation(
    nix: RelocatedNix, generation_list: list[Generation], tmp_path: Path, make: Callable[[RelocatedNix], str]
) -> None:
    """Which is why an address that some of them refuse is not published (docs/adr/0043)."""
    path = make(nix)
    nar = b"".join(dump(path))
    made = proven(nix, path)
    signatures = (KEY.sign(made.verified),)
    unchanged = NarInfo.parse(made.submitted.render() + f"Sig: {signatures[0]}\n".encode(), nix.store_dir)
    agrees = {str(client): True for client in generation_list}
    if made.verified.ca is None:
        maker = forgets_offsets(version(nix))
        agrees = {str(client): forgets_offsets(numbers(str(client))) == maker for client in generation_list}
    for client in generation_list:
        directory = tmp_path / str(client)
        assert installs(client, nix, made.verified.narinfo(signatures), nar, directory / "published")
        assert installs(client, nix, unchanged, nar, directory / "unchanged") is agrees[str(client)]


def test_clients_leave_the_contents_of_a_derivation_to_us(
    nix: RelocatedNix, generation_list: list[Generation], tmp_path: Path
) -> None:
    """Without a CA, every client takes a derivation that runs something else than its store path says."""
    path = instantiate(nix, "echo harmless > $out", name="derived", **FLOATING)
    made = proven(nix, path)
    nar = b"".join(dump(path)).replace(b"echo harmless", b"echo harmful!")
    forged = dataclasses.replace(
        made.submitted, ca=None, nar_hash=sha256(nar), file_hash=sha256(nar), url=f"nar/{sha256(nar).nix32}.nar"
    )
    assert forged.nar_hash != made.submitted.nar_hash
    for client in generation_list:
        assert installs(client, nix, forged, nar, tmp_path / str(client), trusting=["--no-check-sigs"])
    with pytest.raises(PermanentError) as caught:
        verify(forged, [nar])
    assert caught.value.code is Code.CA_MISMATCH
