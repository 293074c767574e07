"""What must hold after every single step, whoever died and whoever is in the middle of what."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE
from protocol.keys import NARINFO_SUFFIX, RESULTS_PREFIX, VOTES_PREFIX, CacheNarInfoKey, VoteKey
from protocol.results import Result
from protocol.verdicts import Against, AwaitingQuorum, Conflict, Rejected, Verdict, Waiting
from tests.concurrency.deployment import KEY, SimulatedDeployment


class Violation(BaseException):
    """An invariant is broken. No ``except Exception`` of ingest's may take it for one of its own errors."""


class Checker:
    """Looks at a deployment again and again, and remembers what it saw."""

    def __init__(self, deployment: SimulatedDeployment) -> None:
        self._deployment = deployment
        self._narinfos: dict[str, bytes] = {}
        self._results: dict[str, Result] = {}

    def __call__(self) -> None:
        """Raise :class:`Violation` for what must not be."""
        self._check_cache()
        self._check_results()

    def _check_cache(self) -> None:
        cache = self._deployment.cache
        visible = {key: cache.read(key) or b"" for key in cache.keys() if key.endswith(NARINFO_SUFFIX)}  # noqa: SIM118
        for key, data in self._narinfos.items():
            _expect(visible.get(key) == data, f"I3: {key} was replaced or removed")
        for key in visible.keys() - self._narinfos.keys():
            self._check_narinfo(key, visible)
        self._narinfos = visible

    def _check_narinfo(self, key: str, visible: Mapping[str, bytes]) -> None:
        narinfo = NarInfo.parse(visible[key], NIX_STORE)
        _expect(key == str(CacheNarInfoKey(narinfo.store_path.hash_part)), f"I5: {key} is about another path")
        _expect(narinfo.is_signed_by(KEY.public_key), f"I1: {key} is not signed")
        nar = self._deployment.cache.read(narinfo.url)
        _expect(nar is not None, f"I4: {key} is visible before its NAR")
        digest = Hash(HashAlgorithm.SHA256, hashlib.sha256(nar or b"").digest())
        _expect(digest == narinfo.file_hash, f"I2: {narinfo.url} is not what was verified")
        for reference in narinfo.references:
            _expect(
                str(CacheNarInfoKey(reference.hash_part)) in visible, f"I4: {key} is visible before {reference.name}"
            )
        self._check_quorum(narinfo)

    def _check_quorum(self, narinfo: NarInfo) -> None:
        policy = self._deployment.policy
        need = policy.quorum_for(narinfo.store_path) if narinfo.ca is None else 1
        if need == 1:
            return
        keys = self._deployment.ledger.keys(f"{VOTES_PREFIX}{narinfo.store_path.hash_part}/")
        agreeing = [key for key in keys if str(narinfo.nar_hash).encode() in (self._deployment.ledger.read(key) or b"")]
        rules = [policy.rules(VoteKey.parse(key).builder) for key in agreeing]
        groups = {rule.trust_group for rule in rules if rule}
        _expect(len(groups) >= need, f"I1: {narinfo.store_path.name} is signed with {len(groups)} of {need} votes")

    def _check_results(self) -> None:
        """No builder reads that it is further, and then that it is not: neither of one version nor of an older one."""
        ledger = self._deployment.ledger
        for key in ledger.keys(RESULTS_PREFIX):
            new = Result.from_json(ledger.read(key) or b"")
            old = self._results.get(key)
            if old is not None and old != new:
                self._compare(key, old, new)
            self._results[key] = new

    def _compare(self, key: str, old: Result, new: Result) -> None:
        _expect(set(old.disputed_by) <= set(new.disputed_by), f"{key} forgets who disputed it")
        if old.version_id == new.version_id:
            _expect(rank(new.verdict) >= rank(old.verdict), f"I6: {key} goes from {old.verdict} to {new.verdict}")
            if rank(old.verdict) == 2:
                _expect(new.verdict == old.verdict, f"I6: {key} was {old.verdict} for good, and is {new.verdict}")
            if isinstance(old.verdict, AwaitingQuorum) and isinstance(new.verdict, AwaitingQuorum):
                _expect(new.verdict.have >= old.verdict.have, f"I6: {key} has fewer votes than before")
            return
        versions = [entry.version_id for entry in self._deployment.staging.all_entries(str(new.submission))]
        _expect(
            versions.index(new.version_id) < versions.index(old.version_id), f"I6: {key} goes back to an older version"
        )


def rank(verdict: Verdict) -> int:
    """How far a verdict is on the way that a submission goes."""
    match verdict:
        case Waiting() | AwaitingQuorum() | Conflict(against=Against.VOTE):
            return 0
        case Rejected():
            return 1
    return 2


def _expect(holds: object, what: str) -> None:
    if not holds:
        raise Violation(what)
