"""A small storm; ``make storm`` lets a large one pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storm.storm import Storm


@pytest.mark.timeout(300)
def test_everything_that_was_built_is_published_whoever_is_killed(tmp_path: Path) -> None:
    """I6, I9: hooks, uploaders and machines die while garbage is collected; see :mod:`tests.storm.storm`."""
    figures = Storm(tmp_path, derivations=30, kills=8, seed=30).run()
    assert figures.killed_hooks.total() + figures.deaths.total() == 8
