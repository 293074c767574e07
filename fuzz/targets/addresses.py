"""The content-address proof: a true claim holds, the same claim with one thing false does not, however the NAR is cut.

The first line of an input makes the claim: method, algorithm, whether the object references itself, how many others,
by whose rule it was made, and what is wrong with it; the rest is the NAR. A missing or unknown word means the first.
"""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, TypeVar

from fuzz.contract import Refusal, outcome, require_same
from fuzz.cuts import cuts
from fuzz.mutators.archives import mutate_archive
from fuzz.oracles import addresses, archive
from fuzz.target import Target
from nixcache.content_address import ContentAddress, ContentAddressMethod, ContentAddressProof
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import NarParser
from nixcache.store_path import NIX_STORE, HashPart, StorePath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuzz.target import Bytewise

T = TypeVar("T")

DRAFT = StorePath(HashPart("d1raf1s0123456789abcdfghijklmnpq"), "draft")
"""What an object mentions of itself before it has an address, as one that Nix has just built does."""
_OTHERS = tuple(StorePath(HashPart(digit * 32), "other") for digit in "zab")
_METHODS = tuple(ContentAddressMethod)
_ALGORITHMS = tuple(HashAlgorithm)
_ITSELF = ("alone", "itself")
_COUNTS = ("0", "1", "2", "3")
_GENERATIONS = ("newest", "2.34")
_FALSEHOODS = ("true", "unsaid", "hash", "path", "references")


def check(data: bytes) -> None:
    """Hold the proof to its contract for ``data``."""
    line, _, nar = data.partition(b"\n")
    words = [*line.decode("latin-1").split(" "), *[""] * 6]
    method = _choice(words[0], _METHODS)
    algorithm = _choice(words[1], _ALGORITHMS)
    itself = _choice(words[2], _ITSELF) == "itself"
    others = _OTHERS[: int(_choice(words[3], _COUNTS))]
    newest = _choice(words[4], _GENERATIONS) == "newest"
    drafts = addresses.addresses(nar, method, algorithm, DRAFT.hash_part)
    claim: ContentAddress | None = drafts[0 if newest else -1] if drafts else None
    store_path = claim and addresses.store_path(claim, DRAFT.name, others, itself=itself)
    true = store_path is not None
    claim = claim or ContentAddress(method, Hash(algorithm, bytes(algorithm.digest_size)))
    store_path = store_path or DRAFT
    # The address is known now, so the object can be given its name; what mentions itself was hashed without it.
    nar = nar.replace(DRAFT.hash_part.encode(), store_path.hash_part.encode())
    true = true and archive.read(nar) is not None
    published = claim if len(drafts) == 1 else None
    match _choice(words[5], _FALSEHOODS):
        case "unsaid":
            # True of a derivation only, and by the newest rule.
            true = true and (method, algorithm) == (_METHODS[0], HashAlgorithm.SHA256) and claim == drafts[0]
            claim = None
        case "hash":
            true = False
            claim = dataclasses.replace(claim, hash=_another(claim.hash))
        case "path":
            true = False
            store_path = dataclasses.replace(store_path, name="another")
        case "references":
            true = False
            others = (*others, StorePath(HashPart("v" * 32), "undeclared"))
    references = (*others, store_path) if itself else others
    result = _prove(claim, store_path, references, [nar])
    require_same(
        result if true else isinstance(result, Refusal), published if true else True, "True claims hold, alone"
    )
    for pieces in cuts(nar):
        require_same(_prove(claim, store_path, references, pieces), result, "Each cut gives the same verdict")


def _another(value: Hash) -> Hash:
    return dataclasses.replace(value, digest=bytes([value.digest[0] ^ 1]) + value.digest[1:])


def _choice(word: str, choices: Sequence[T]) -> T:
    return next((choice for choice in choices if choice == word), choices[0])


def _prove(
    claim: ContentAddress | None, store_path: StorePath, references: Sequence[StorePath], pieces: Sequence[bytes]
) -> ContentAddress | Refusal | None:
    def run() -> ContentAddress | None:
        proof = ContentAddressProof(claim, store_path, references)
        parser = NarParser()
        for piece in pieces:
            proof.feed(piece, parser.feed(piece))
        parser.close()
        return proof.finish(NIX_STORE)

    return outcome(run)


def mutate(data: bytes, source: random.Random, bytewise: Bytewise) -> bytes:
    """Return ``data`` with its NAR changed, or with another claim about it."""
    line, _, nar = data.partition(b"\n")
    match source.randrange(4):
        case 0:
            choices = (_METHODS, _ALGORITHMS, _ITSELF, _COUNTS, _GENERATIONS, _FALSEHOODS)
            line = " ".join(str(source.choice(words)) for words in choices).encode()
        case 1:
            at = source.randint(0, len(nar))
            nar = nar[:at] + DRAFT.hash_part.encode() + nar[at + source.choice((0, 32)) :]
        case _:
            nar = mutate_archive(nar, source, bytewise)
    return line + b"\n" + nar


TARGET = Target(name="content-address-proof", check=check, mutate=mutate)
