"""docs/reference/stricter-than-nix.md says what the suite found."""

from __future__ import annotations

from pathlib import Path

from tests.differential.narinfo_reasons import REASONS
from tests.differential.test_nars import STRICTER
from tests.nixcache.nar_traps import TRAPS

TEXT = (Path(__file__).parents[2] / "docs/reference/stricter-than-nix.md").read_text(encoding="utf-8")


def test_every_reason_is_there() -> None:
    reasons = [*(reason.why for reason in REASONS), *STRICTER.values()]
    assert [reason for reason in reasons if reason not in TEXT] == []


def test_every_nar_that_only_assay_refuses_is_there() -> None:
    stricter = [trap.name for trap in TRAPS if trap.restored_by and not trap.accepted]
    assert [name for name in stricter if name not in TEXT] == []
