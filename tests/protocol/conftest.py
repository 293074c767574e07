"""What the tests of protocol share: patience with a busy machine."""

from __future__ import annotations

from hypothesis import settings

# No deadline: how long one example takes says more about the machine's other work than about ours.
settings.register_profile("assay", deadline=None, print_blob=True)
settings.load_profile("assay")
