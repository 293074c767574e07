"""Assay without AWS: a cache of what builders say, and beside it one of what Assay publishes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lambdas.ingest.claim import check, read_claim
from lambdas.ingest.ports import StagedNarInfo
from lambdas.ingest.submission import Submission
from nixcache.compression import Compression
from nixcache.errors import PermanentError
from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from nixcache.store_path import StorePath
from nixcache.verify import VerifiedStoreObject, verify
from protocol.keys import BuilderName, StagingNarInfoKey
from protocol.verdicts import ServiceCode
from tests.differential.cache import Cache
from tests.differential.clients import Client
from tests.differential.narinfo_cases import NarInfoCase, edited
from tests.differential.real_paths import RealPath
from tests.differential.signer import KEY, signature
from tests.differential.store_objects import StoreObject, store_object
from tests.nixcache.claims import claim
from tests.nixcache.outcomes import Failure, outcome


@dataclass(frozen=True, slots=True)
class Served:
    """One case as a cache serves it, our verdict on it, and what Assay publishes for it, if anything."""

    case: NarInfoCase
    thing: StoreObject
    text: bytes
    failure: Failure | None
    published: NarInfo | None
    signed: bool
    """Whether what the builder says carries a signature that clients trust."""

    def __str__(self) -> str:
        """What somebody needs who wants to know why."""
        return f"{self.case}, {self.failure or 'accepted'}, {self.text[:3000]!r}"


class Service:
    """The two caches. Every store object that a case may refer to is in both."""

    def __init__(self, directory: Path, closure: Sequence[RealPath]) -> None:
        """Begin with ``closure``, signed."""
        self._closure = closure
        self._known = {real.path for real in closure}
        store_dir = closure[0].store_dir
        self._submitted = Cache(directory / "submitted", store_dir)
        self._published = Cache(directory / "published", store_dir)
        for real in closure:
            thing = StoreObject(store_dir, real.path, real.nar, real.references, Compression.NONE, real.deriver)
            text = "".join(f"{line}\n" for line in [*thing.lines(), f"Sig: {_signature(thing, thing.references)}"])
            for cache in (self._submitted, self._published):
                cache.put_text(thing.path.hash_part, text.encode(), url=thing.url, file=thing.file)

    def serve(self, number: int, case: NarInfoCase) -> Served:
        """Put a case into the one cache, judge it, and publish it in the other if it holds."""
        thing = store_object(case.kind, number, self._closure, case.compression)
        text = edited(case, thing, sign=lambda references: str(_signature(thing, references)))
        self._submitted.put_text(thing.path.hash_part, text, url=thing.url, file=thing.file)
        verdict = outcome(lambda: self._prove(text, thing))
        if isinstance(verdict, Failure):
            return Served(case, thing, text, verdict, None, signed=False)
        narinfo = verdict.narinfo((KEY.sign(verdict),))
        self._published.put(narinfo, thing.file)
        signed = NarInfo.parse(text, thing.store_dir).is_signed_by(KEY.public_key)
        return Served(case, thing, text, None, narinfo, signed)

    def client_installs_submitted(self, client: Client, *served: Served) -> bool:
        """Tell whether ``client`` installs what the builders say."""
        paths = [one.thing.path for one in served]
        return client.install(self._submitted.directory, KEY.public_key, *paths, store="submitted")

    def client_installs_published(self, client: Client, *served: Served) -> bool:
        """Tell whether ``client`` installs what Assay publishes, all of it."""
        paths = [one.published.store_path for one in served if one.published]
        return client.install(self._published.directory, KEY.public_key, *paths, store="published")

    def _prove(self, text: bytes, thing: StoreObject) -> VerifiedStoreObject:
        """Do what ingest does, from the narinfo to the proof; raise what it raises."""
        submission = Submission(StagingNarInfoKey(BuilderName("builder"), thing.path.hash_part), "1")
        claimed = read_claim(submission, StagedNarInfo("1", datetime.now(UTC), text), thing.store_dir)
        check(claimed)
        if claimed.nar_key.file.url != thing.url:
            raise PermanentError(ServiceCode.NAR_MISSING, "Nothing is there.", field="URL")
        if not set(claimed.references) <= self._known:
            raise PermanentError(ServiceCode.NAR_MISSING, "It would wait for a reference.", field="References")
        return verify(claimed.narinfo, [thing.file])


def _signature(thing: StoreObject, references: Sequence[StorePath]) -> Signature:
    """Sign what a reader makes of a narinfo."""
    truth = claim(thing.nar, store_dir=thing.store_dir, store_path=thing.path, references=references)
    return signature(truth)
