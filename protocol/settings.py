"""The settings of the ingest Lambda, as its environment carries them: written by the stack, read by the handler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nixcache.errors import PermanentError
from nixcache.signature import PublicKey
from nixcache.store_path import NIX_STORE, StoreDir
from nixcache.verify import DEFAULT_MAX_NAR_SIZE


class SettingsCode(StrEnum):
    """What can be wrong with the settings."""

    SETTINGS_MALFORMED = "settings-malformed"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A binary cache whose paths need not be published here: its URL, and the keys that sign its narinfos."""

    url: str
    public_keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        """Raise :class:`PermanentError` (``settings-malformed``) for one that can never vouch for a path."""
        if not self.url.startswith(("https://", "http://")) or self.url.endswith("/"):
            raise _malformed(f"{self.url!r} is no binary cache's URL.", "Write https://host, without a final slash.")
        if not self.public_keys:
            raise _malformed(f"The upstream {self.url} has no public key.", "Name at least one: <key name>:<base64>.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """What the handler needs to know: bucket names, the queue's URL, the secret's name, the deployment's limits.

    ``max_nar_size`` is in bytes.
    """

    staging_bucket: str
    cache_bucket: str
    ledger_bucket: str
    queue_url: str
    signing_secret_id: str
    store_dir: StoreDir = NIX_STORE
    max_nar_size: int = DEFAULT_MAX_NAR_SIZE
    upstreams: tuple[Upstream, ...] = ()

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads."""
        return {
            "ASSAY_STAGING_BUCKET": self.staging_bucket,
            "ASSAY_CACHE_BUCKET": self.cache_bucket,
            "ASSAY_LEDGER_BUCKET": self.ledger_bucket,
            "ASSAY_QUEUE_URL": self.queue_url,
            "ASSAY_SIGNING_SECRET_ID": self.signing_secret_id,
            "ASSAY_STORE_DIR": self.store_dir.path,
            "ASSAY_MAX_NAR_SIZE": str(self.max_nar_size),
            "ASSAY_UPSTREAMS": json.dumps(
                [
                    {"url": upstream.url, "publicKeys": list(map(str, upstream.public_keys))}
                    for upstream in self.upstreams
                ]
            ),
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> IngestSettings:
        """Read the variables; raises :class:`PermanentError` (``settings-malformed``) that names the wrong one."""
        try:
            return cls(
                staging_bucket=environment["ASSAY_STAGING_BUCKET"],
                cache_bucket=environment["ASSAY_CACHE_BUCKET"],
                ledger_bucket=environment["ASSAY_LEDGER_BUCKET"],
                queue_url=environment["ASSAY_QUEUE_URL"],
                signing_secret_id=environment["ASSAY_SIGNING_SECRET_ID"],
                store_dir=StoreDir(environment["ASSAY_STORE_DIR"]),
                max_nar_size=int(environment["ASSAY_MAX_NAR_SIZE"]),
                upstreams=_upstreams(json.loads(environment["ASSAY_UPSTREAMS"])),
            )
        except KeyError as error:
            raise _malformed(f"{error.args[0]} is not set.", "Deploy the stack again: it sets all of them.") from error
        except (ValueError, TypeError) as error:
            raise _malformed(f"A setting cannot be read: {error}.", "Deploy the stack again.") from error


def _upstreams(documents: list[dict[str, Any]]) -> tuple[Upstream, ...]:
    return tuple(
        Upstream(document["url"], tuple(map(PublicKey.parse, document["publicKeys"]))) for document in documents
    )


def _malformed(problem: str, remedy: str) -> PermanentError:
    return PermanentError(SettingsCode.SETTINGS_MALFORMED, problem, remedy=remedy)
