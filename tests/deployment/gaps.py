"""Where the emulator lets through what AWS refuses; docs/explanation/emulator-gaps.md says what holds it instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from protocol.keys import NARINFO_SUFFIX, RESULTS_PREFIX, VOTES_PREFIX
from tests.stacks import access_table, holders_table
from tests.stacks.access_table import Pair


class Gap(StrEnum):
    """What it is no judge of."""

    EMPTY_SEGMENT = "an empty segment of a key"
    HEADERS = "headers of a builder's upload"
    WRITE_ONCE = "writing over a narinfo or a vote"
    SECRETS_POLICY = "an administrator who reads the key"
    OTHER_ACCOUNT = "an ARN from another account"


_JUDGED_BY_HEADER: Final = frozenset(("s3:x-amz-storage-class", "s3:x-amz-server-side-encryption-customer-algorithm"))
_WRITERS: Final = frozenset(
    (access_table.ADMINISTRATOR, access_table.INGEST, holders_table.INGEST, holders_table.RESIGN)
)
_NOT_THERE: Final = frozenset(("ResourceNotFoundException", "InvalidAction"))


def _own(pair: Pair, key: str) -> bool:
    """Whether ``key`` is below a prefix of the builder's own."""
    name = pair.principal.removeprefix("builder ")
    return name != pair.principal and key.startswith((f"{name}/", f"{RESULTS_PREFIX}{name}/"))


def _is_empty_segment(pair: Pair, _: str) -> bool:
    """It drops them before it looks at the policies, and takes ``/ci/x`` for ``ci/x``."""
    key = pair.resource.key
    settled = "/".join(filter(None, key.split("/")))
    return settled != key and _own(pair, settled)


def _is_header(pair: Pair, _: str) -> bool:
    """It has no condition key for a storage class, nor for a key that the builder alone has."""
    said = {key for key, _ in pair.context}
    return pair.action == "s3:PutObject" and _own(pair, pair.resource.key) and bool(said & _JUDGED_BY_HEADER)


def _is_write_once(pair: Pair, _: str) -> bool:
    """The statements are left out of the template, for it knows neither ``s3:if-match`` nor ``s3:if-none-match``."""
    is_vote = pair.resource.name == "ledger" and pair.resource.key.startswith(VOTES_PREFIX)
    is_narinfo = pair.resource.name == "cache" and pair.resource.key.endswith(NARINFO_SUFFIX)
    return pair.action == "s3:PutObject" and pair.principal in _WRITERS and (is_narinfo or is_vote)


def _is_secrets_policy(pair: Pair, _: str) -> bool:
    """That, too, is left out: CloudFormation knows no ``AWS::SecretsManager::ResourcePolicy`` there."""
    return (pair.principal, pair.action) == (access_table.ADMINISTRATOR, "secretsmanager:GetSecretValue")


def _is_other_account(pair: Pair, code: str) -> bool:
    """It looks in the account that asks, whatever the ARN says, and finds nothing there."""
    return pair.principal == access_table.ELSEWHERE and not pair.action.startswith("s3:") and code in _NOT_THERE


_GAPS: Final[Mapping[Gap, Callable[[Pair, str], bool]]] = {
    Gap.EMPTY_SEGMENT: _is_empty_segment,
    Gap.HEADERS: _is_header,
    Gap.WRITE_ONCE: _is_write_once,
    Gap.SECRETS_POLICY: _is_secrets_policy,
    Gap.OTHER_ACCOUNT: _is_other_account,
}


def gap(pair: Pair, code: str) -> Gap | None:
    """Return why a denied pair was answered with ``code`` (empty: done) and not refused; nothing, if it should be."""
    return None if pair.allowed else next((name for name, is_it in _GAPS.items() if is_it(pair, code)), None)
