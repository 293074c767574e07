"""*Check*: everything that can be known of a submission without reading its NAR."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lambdas.ingest.ports import StagedNarInfo
from lambdas.ingest.submission import Submission
from nixcache.compression import decompressor
from nixcache.errors import Code, PermanentError
from nixcache.narinfo import NarInfo
from nixcache.store_path import HashPart, StoreDir, StorePath
from protocol.keys import NarFile, StagingNarKey
from protocol.verdicts import ServiceCode


@dataclass(frozen=True, slots=True)
class Claim:
    """A pinned submission and what it claims; well-formed, and not proven yet. ``stored_at`` is when it came."""

    submission: Submission
    narinfo: NarInfo
    stored_at: datetime

    @property
    def hash_part(self) -> HashPart:
        """The claimed store path's."""
        return self.narinfo.store_path.hash_part

    @property
    def references(self) -> tuple[StorePath, ...]:
        """The references that must be present before this: all but the one to itself."""
        return tuple(path for path in self.narinfo.references if path != self.narinfo.store_path)

    @property
    def is_content_addressed(self) -> bool:
        """Whether the bytes prove the store path: verifying recomputes a derivation's address, claimed or not."""
        return self.narinfo.ca is not None or self.narinfo.store_path.is_derivation

    @property
    def nar_key(self) -> StagingNarKey:
        """Where the NAR is; raises :class:`PermanentError` unless it is in the same builder's prefix."""
        try:
            file = NarFile.parse_url(self.narinfo.url)
        except PermanentError as error:
            # The URL decides what ingest reads with its own rights: nothing but this builder's NARs may come of it.
            raise _malformed(
                "URL", error.problem, "Write nar/<52 Nix32 characters>.nar, and .zst, .xz, .bz2 or .br behind it."
            ) from error
        compression = self.narinfo.compression
        if file.extension != compression.extension:
            raise _malformed(
                "URL",
                f"The file is named .nar{file.extension}; Compression says {compression}.",
                f"Name it .nar{compression.extension}, as Nix names files in {compression}.",
            )
        return StagingNarKey(self.submission.builder, file)


def read_claim(submission: Submission, staged: StagedNarInfo, store_dir: StoreDir) -> Claim:
    """Parse a narinfo that was staged as ``submission``.

    Raises :class:`PermanentError` (``narinfo-malformed``, ``compression-unsupported``, ``hash-part-mismatch``).
    """
    narinfo = NarInfo.parse(staged.data, store_dir)
    if narinfo.store_path.hash_part != submission.hash_part:
        raise PermanentError(
            ServiceCode.HASH_PART_MISMATCH,
            f"The narinfo is of {narinfo.store_path.base_name}, its key says {submission.hash_part}.",
            remedy="Name a narinfo after the hash part of its StorePath.",
            field="StorePath",
        )
    return Claim(submission, narinfo, staged.stored_at)


def check(claim: Claim) -> None:
    """Refuse what no reading could prove; raises :class:`PermanentError` with the field at fault."""
    decompressor(claim.narinfo.compression)
    claim.nar_key  # noqa: B018 - it raises where the URL is no NAR of this builder's
    if len({path.hash_part for path in claim.narinfo.references}) != len(claim.narinfo.references):
        # A mention is a hash part: one of it would stand for both.
        raise _malformed("References", "Two references have the same hash part.", "Name the one that there is.")
    for path in claim.references:
        if path.hash_part == claim.hash_part:
            # It could never be published beside this one, and this one would wait for itself.
            raise _malformed(
                "References", f"{path.base_name} has this path's own hash part and another name.", "Remove it."
            )


def _malformed(field: str, problem: str, remedy: str) -> PermanentError:
    return PermanentError(Code.NARINFO_MALFORMED, problem, remedy=remedy, field=field)
