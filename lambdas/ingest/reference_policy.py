"""What becomes of a store object whose declared references and whose mentions differ, as the operator's policy says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from nixcache.errors import Code, PermanentError
from nixcache.references import MAX_UNDECLARED
from nixcache.store_path import HashPart, StorePath
from nixcache.verify import Policy
from protocol.results import metadata_text
from protocol.settings import ReferencePolicy
from protocol.verdicts import PublicationWarning, ServiceCode

NAMED_IN_REJECTION: Final = 5
MAX_NAMED_LENGTH: Final = 600
"""Characters of base names in one warning: two warnings stay with the narinfo in S3's 2 KB of metadata."""


def judge(
    policy: ReferencePolicy,
    *,
    unmentioned: Sequence[StorePath],
    undeclared: Sequence[StorePath],
    more_undeclared: bool,
    in_closure: Collection[HashPart],
) -> tuple[PublicationWarning, ...]:
    """Return what to warn of; raises :class:`PermanentError` (``reference-undeclared``) where the policy rejects that.

    ``unmentioned``, ``undeclared`` and ``more_undeclared`` are a ``VerifiedStoreObject``'s: what the policy rejects of
    the first, the verifier has rejected. ``in_closure`` are those of ``undeclared`` that come with what is declared:
    by hash part, since the name of a mention may have taken in what follows it in the text.
    """
    warnings = []
    if unmentioned:
        problem = f"Declared references that the NAR never mentions: {len(unmentioned)}."
        warnings.append(PublicationWarning(Code.REFERENCE_NOT_FOUND.value, problem, _named(unmentioned)))
    left = [path for path in undeclared if path.hash_part not in in_closure]
    if left or more_undeclared:
        # What nobody has looked up may be in the closure; that it is, nobody has shown.
        problem = _problem(len(left), more=more_undeclared)
        if policy.undeclared is Policy.REJECT:
            raise _undeclared(problem, left)
        warnings.append(PublicationWarning(ServiceCode.REFERENCE_UNDECLARED.value, problem, _named(left)))
    return tuple(warnings)


def _problem(count: int, *, more: bool) -> str:
    if count == 0:
        return f"The NAR mentions more than {MAX_UNDECLARED} undeclared store paths; not all were looked up."
    counted = f"{count} or more" if more else f"{count}"
    return f"Store paths that the NAR mentions, but that are not in the closure of what is declared: {counted}."


def _undeclared(problem: str, paths: Sequence[StorePath]) -> PermanentError:
    shown = ", ".join(path.base_name for path in paths[:NAMED_IN_REJECTION])
    return PermanentError(
        ServiceCode.REFERENCE_UNDECLARED,
        f"{problem} {shown}".rstrip(),
        remedy="Declare them as references, or remove them from the contents.",
        field="References",
    )


def _named(paths: Sequence[StorePath]) -> tuple[StorePath, ...]:
    named: list[StorePath] = []
    left = MAX_NAMED_LENGTH
    for path in paths:
        left -= len(metadata_text(path.base_name))
        if left < 0:
            break
        named.append(path)
    return tuple(named)
