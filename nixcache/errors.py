"""The one exception tree: *permanent* (the input is at fault) and *transient* (the world is) are its two branches."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Stable machine codes for everything that the library itself can find wrong."""

    NARINFO_MALFORMED = "narinfo-malformed"
    STORE_PATH_MALFORMED = "store-path-malformed"
    HASH_MALFORMED = "hash-malformed"
    CONTENT_ADDRESS_MALFORMED = "content-address-malformed"
    KEY_MALFORMED = "key-malformed"
    SIGNATURE_MALFORMED = "signature-malformed"
    COMPRESSION_UNSUPPORTED = "compression-unsupported"
    COMPRESSED_DATA_MALFORMED = "compressed-data-malformed"
    NAR_MALFORMED = "nar-malformed"
    NAR_TRAILING_DATA = "nar-trailing-data"
    NAR_HASH_MISMATCH = "nar-hash-mismatch"
    NAR_SIZE_MISMATCH = "nar-size-mismatch"
    FILE_HASH_MISMATCH = "file-hash-mismatch"
    FILE_SIZE_MISMATCH = "file-size-mismatch"
    REFERENCE_NOT_FOUND = "reference-not-found"
    CA_MISMATCH = "ca-mismatch"
    TOO_LARGE = "too-large"
    ATTESTATION_MALFORMED = "attestation-malformed"
    ATTESTATION_UNSIGNED = "attestation-unsigned"
    ATTESTATION_MISMATCH = "attestation-mismatch"


class AssayError(Exception):
    """Root of all errors that Assay raises on purpose."""

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        """Remember ``problem`` (what is wrong) and ``remedy`` (what to do), a sentence each."""
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class PermanentError(AssayError):
    """The input is at fault: the same bytes will fail again, so trying again is useless.

    ``code`` is stable and meant for machines; ``field`` names the narinfo field, key or setting at fault;
    ``offset`` is the byte offset, from 0, in the thing that was being read.
    """

    def __init__(
        self, code: StrEnum, problem: str, *, remedy: str = "", field: str | None = None, offset: int | None = None
    ) -> None:
        """Remember what is wrong, where, and what to do about it."""
        super().__init__(problem, remedy=remedy)
        self.code = code
        self.field = field
        self.offset = offset

    def __str__(self) -> str:
        """One line for people: code, place, problem, remedy."""
        places = [self.field] if self.field else []
        if self.offset is not None:
            places.append(f"byte {self.offset}")
        place = f" ({', '.join(places)})" if places else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{self.code}{place}: {self.problem}{remedy}"


class TransientError(AssayError):
    """The world is at fault (network, throttling, an absent service): the same input may succeed later."""

    def __str__(self) -> str:
        """One line for people: problem, remedy."""
        return f"{self.problem} {self.remedy}".rstrip()
