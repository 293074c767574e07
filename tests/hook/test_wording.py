"""What people at a builder read of a verdict says what happened and what to do, each in its own words."""

from __future__ import annotations

import pytest

from hook.wording import of_conflict, of_rejection
from nixcache.hashes import Hash
from protocol.verdicts import Against, Conflict, Rejected, ServiceCode

OTHER, OURS = Hash.parse(f"sha256:{'0' * 64}"), Hash.parse(f"sha256:{'1' * 64}")


@pytest.mark.parametrize(
    ("against", "who", "remedy"),
    [
        (Against.PUBLISHED, "another object is published under this path", "take the published one"),
        (Against.UPSTREAM, "a trusted upstream has another object under this path", "take the upstream's"),
        (Against.VOTE, "a vote stands for another object under this path", "Compare the two builds"),
    ],
)
def test_a_conflict_says_with_whom_and_what_to_do(against: Against, who: str, remedy: str) -> None:
    said = of_conflict(Conflict(OTHER, OURS, against))
    assert said.startswith(f"conflict: {who}, with nar hash {OTHER}, yours has {OURS}. ")
    assert remedy in said


@pytest.mark.parametrize("against", Against)
def test_a_conflict_over_the_same_nar_says_what_differs(against: Against) -> None:
    assert ", with other references or another content address. " in of_conflict(Conflict(OURS, OURS, against))


@pytest.mark.parametrize(
    ("code", "step"),
    [
        (ServiceCode.REFERENCES_MISSING, "`assay push` submits it, with all of its closure that is missing."),
        (ServiceCode.QUORUM_MISSING, "`assay push` submits it again."),
        (ServiceCode.NOT_ALLOWED, "Pushing it again changes nothing, unless the operator changes the policy."),
        (ServiceCode.NAR_MISSING, ""),
    ],
)
def test_a_rejection_says_what_the_service_says_and_how_it_is_done_from_here(code: ServiceCode, step: str) -> None:
    rejected = Rejected(code.value, "It is so.", "Do this.", "StorePath", None)
    assert of_rejection(rejected) == f"{code.value} (StorePath): It is so. Do this. {step}".rstrip()
