"""From what the verifier found of a store object's references to what is said of it: warnings, or a rejection."""

from __future__ import annotations

from collections.abc import Callable

from lambdas.ingest.claim import Claim
from lambdas.ingest.closure import Closure
from lambdas.ingest.reference_policy import judge
from nixcache.verify import VerifiedStoreObject
from protocol.settings import ReferencePolicy
from protocol.verdicts import PublicationWarning


class ReferenceJudge:
    """Judges under ``policy``, with a look into the closure only where there is something to be looked for."""

    def __init__(self, policy: ReferencePolicy, closure: Closure) -> None:
        """Ask ``closure``."""
        self.policy = policy
        self._closure = closure

    def warnings(
        self, claim: Claim, verified: VerifiedStoreObject, *, pulse: Callable[[], None]
    ) -> tuple[PublicationWarning, ...]:
        """Return what ``verified`` is published with; ``pulse`` is called before each few look-ups, and may raise.

        Raises :class:`PermanentError` (``reference-undeclared``), and :class:`TransientError`.
        """
        undeclared = {path.hash_part for path in verified.undeclared}
        return judge(
            self.policy,
            unmentioned=verified.unmentioned,
            undeclared=verified.undeclared,
            more_undeclared=verified.more_undeclared,
            in_closure=self._closure.holds(undeclared, claim.references, pulse=pulse),
        )
