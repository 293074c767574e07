"""The fuzz targets, one file an idea. What they import of nixcache and protocol is what gets instrumented."""

from __future__ import annotations

from fuzz.target import Target
from fuzz.targets import addresses, attestations, decompressors, nar, narinfo, references, results, texts, verify

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        nar.TARGET,
        narinfo.TARGET,
        *decompressors.TARGETS,
        references.TARGET,
        addresses.TARGET,
        verify.TARGET,
        texts.TARGET,
        results.TARGET,
        attestations.TARGET,
    )
}
