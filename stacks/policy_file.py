"""The operator's ``policy.yaml``: read, checked and resolved when the template is made, and at no other time."""

from __future__ import annotations

from nixcache.errors import AssayError, PermanentError
from protocol.policy import SubmissionPolicy
from stacks.plain_yaml import PlainYaml, PlainYamlError


class PolicyFileError(AssayError):
    """The policy file is wrong. The message names file, line and field, and says what is wanted."""

    def __init__(self, file: str, line: int, field: str, problem: str) -> None:
        super().__init__(f"{file}, line {line}{field and f', {field}'}: {problem}")
        self.line = line
        self.field = field


def parse_policy(data: bytes, *, file: str, defaults: SubmissionPolicy) -> SubmissionPolicy:
    """Read a policy file.

    ``file`` is its name for messages; ``defaults`` is the policy without rules, which says what builders there are and
    how large a NAR may be at all. Raises :class:`PolicyFileError`.
    """
    try:
        yaml = PlainYaml.parse(data)
    except PlainYamlError as error:
        raise PolicyFileError(file, error.line, error.field, error.problem) from error
    try:
        # An empty file is told what it lacks, like one that was cut off.
        return SubmissionPolicy.from_document({} if yaml.document is None else yaml.document, defaults=defaults)
    except PermanentError as error:
        field = error.field or ""
        raise PolicyFileError(file, yaml.line_of(field), field, error.problem) from error
