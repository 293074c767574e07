"""Jobs of GitLab CI, at gitlab.com or elsewhere.

The subject of a token is ``project_path:GROUP/PROJECT:ref_type:branch:ref:BRANCH``. The job of a merge request from a
fork runs in the fork, whose project path is another.
"""

from __future__ import annotations

import re
from typing import Final

from protocol.fields import Fields
from stacks.identities.web_identity import REF, REF_WANTED, WebIdentity

_PROJECT: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")


def gitlab(fields: Fields) -> WebIdentity:
    """Read ``project``, ``branch`` and, where it is not gitlab.com, ``host``."""
    project = fields.text("project", _PROJECT, "the path of one project: GROUP/PROJECT, as GitLab writes it")
    branch = fields.text("branch", REF, REF_WANTED)
    host = fields.text("host", _HOST, "the name of a host, without https://") if "host" in fields else "gitlab.com"
    fields.nothing_else()
    return WebIdentity(host, f"project_path:{project}:ref_type:branch:ref:{branch}")
