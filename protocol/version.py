"""The version of Assay: what is installed on builders, and what a deployed service calls itself in provenance."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
"""Semantic Versioning. The package takes it from here, by reading this file: keep it a plain string."""
