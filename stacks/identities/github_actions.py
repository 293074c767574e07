"""Jobs of GitHub Actions.

The subject of a token is ``repo:OWNER/REPO:ref:refs/heads/BRANCH``, or ``repo:OWNER/REPO:environment:NAME`` for a job
with an environment. Repositories that were made, renamed or transferred since July 2026 have immutable subjects with
numbers in them, ``repo:OWNER@1/REPO@2:…``: whoever takes over an abandoned name gets no token for them.

A pull request's token ends in ``:pull_request``, a tag's in ``:ref:refs/tags/…``; neither can be configured, for the
first can come from anybody's fork.
"""

from __future__ import annotations

import re
from typing import Final

from protocol.fields import Fields
from stacks.identities.web_identity import REF, REF_WANTED, WebIdentity

ISSUER: Final = "token.actions.githubusercontent.com"

# Numbers at both names or at neither: GitHub writes no other subject, so another would match nothing.
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]+|@[0-9]+/[A-Za-z0-9_.-]+@[0-9]+)")
# GitHub escapes a colon, the one character that could make a subject look like another.
_ENVIRONMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./@+,=-]{0,254}")


def github_actions(fields: Fields) -> WebIdentity:
    """Read ``repository`` and one of ``branch`` and ``environment``."""
    repository = fields.text("repository", _REPOSITORY, "OWNER/REPO or OWNER@NUMBER/REPO@NUMBER, as GitHub writes it")
    if ("branch" in fields) == ("environment" in fields):
        raise fields.error(
            fields.path, "names one branch or one environment, and not both: a job's token has only one of them in it"
        )
    if "branch" in fields:
        context = f"ref:refs/heads/{fields.text('branch', REF, REF_WANTED)}"
    else:
        wanted = "the name of one environment: letters, digits, spaces and _./@+,=- without a wildcard"
        context = f"environment:{fields.text('environment', _ENVIRONMENT, wanted)}"
    fields.nothing_else()
    return WebIdentity(ISSUER, f"repo:{repository}:{context}")
