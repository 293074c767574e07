"""Who may act as a builder: what can be written, and what it means to AWS."""

from __future__ import annotations

import pytest

from nixcache.errors import AssayError
from protocol.fields import Fields
from stacks.identities.ec2 import Ec2Instance
from stacks.identities.iam_principal import IamPrincipal
from stacks.identities.identity import KINDS, Identity, identity
from stacks.identities.roles_anywhere import RolesAnywhere
from stacks.identities.web_identity import WebIdentity
from tests.stacks.conftest import ROOT

GITHUB = "token.actions.githubusercontent.com"
ROLE = "arn:aws:iam::444455556666:role/ci/runner"
ANCHOR = "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/01234567-89ab-cdef-0123-456789abcdef"


class WrongFieldError(AssayError):
    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


def read(entry: object) -> Identity:
    return identity(Fields("builders.ci", entry, WrongFieldError))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"githubActions": {"repository": "Example/app.nix", "branch": "release/24.11"}},
            WebIdentity(GITHUB, "repo:Example/app.nix:ref:refs/heads/release/24.11"),
        ),
        (
            {"githubActions": {"repository": "example@12/app@34", "branch": "main"}},
            WebIdentity(GITHUB, "repo:example@12/app@34:ref:refs/heads/main"),
        ),
        (
            {"githubActions": {"repository": "example/app", "environment": "Release 1"}},
            WebIdentity(GITHUB, "repo:example/app:environment:Release 1"),
        ),
        (
            {"gitlab": {"project": "group/sub/app", "branch": "main"}},
            WebIdentity("gitlab.com", "project_path:group/sub/app:ref_type:branch:ref:main"),
        ),
        (
            {"gitlab": {"project": "g/app", "branch": "main", "host": "git.example.org"}},
            WebIdentity("git.example.org", "project_path:g/app:ref_type:branch:ref:main"),
        ),
        ({"iamPrincipal": "this-account"}, IamPrincipal("this-account")),
        *(
            ({"iamPrincipal": arn}, IamPrincipal(arn))
            for arn in (
                ROLE,
                "arn:aws:iam::444455556666:root",
                "arn:aws-cn:iam::444455556666:user/alice",
                "arn:aws:sts::444455556666:assumed-role/runner/session",
            )
        ),
        ({"ec2": "this-account"}, Ec2Instance()),
        (
            {"rolesAnywhere": {"trustAnchor": ANCHOR, "commonName": "mac.example.org"}},
            RolesAnywhere(ANCHOR, "mac.example.org"),
        ),
    ],
)
def test_each_kind(entry: object, expected: Identity) -> None:
    assert read(entry) == expected


def test_what_else_is_in_an_entry_is_left_to_the_policy() -> None:
    fields = Fields("builders.ci", {"ec2": "this-account", "names": ["a"]}, WrongFieldError)
    identity(fields)
    assert fields.names == ("names",)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        # An owner or repository of anybody's.
        ({"githubActions": {"repository": "*/app", "branch": "main"}}, "githubActions.repository"),
        ({"githubActions": {"repository": "example/*", "branch": "main"}}, "githubActions.repository"),
        ({"githubActions": {"repository": "example/ap?", "branch": "main"}}, "githubActions.repository"),
        ({"githubActions": {"repository": "example", "branch": "main"}}, "githubActions.repository"),
        ({"githubActions": {"repository": "example/app/x", "branch": "main"}}, "githubActions.repository"),
        # A repository that is written so that the subject says another branch.
        (
            {"githubActions": {"repository": "example/app:ref:refs/heads/x", "branch": "main"}},
            "githubActions.repository",
        ),
        # GitHub writes both numbers or none.
        ({"githubActions": {"repository": "example@12/app", "branch": "main"}}, "githubActions.repository"),
        ({"githubActions": {"repository": "example/app@34", "branch": "main"}}, "githubActions.repository"),
        (
            {"githubActions": {"repository": "https://github.com/example/app", "branch": "b"}},
            "githubActions.repository",
        ),
        ({"githubActions": {"branch": "main"}}, "githubActions.repository"),
        ({"githubActions": {"repository": "example/app"}}, "githubActions"),
        ({"githubActions": {"repository": "example/app", "branch": "main", "environment": "e"}}, "githubActions"),
        ({"githubActions": {"repository": "example/app", "branch": "*"}}, "githubActions.branch"),
        ({"githubActions": {"repository": "example/app", "branch": "refs/heads/ma*"}}, "githubActions.branch"),
        ({"githubActions": {"repository": "example/app", "branch": "main\n"}}, "githubActions.branch"),
        # IAM puts a value there before it compares.
        ({"githubActions": {"repository": "example/app", "branch": "${aws:username}"}}, "githubActions.branch"),
        ({"githubActions": {"repository": "example/app", "branch": ""}}, "githubActions.branch"),
        # GitHub escapes the colon: `a:ref:refs/heads/main` would be another job's subject.
        ({"githubActions": {"repository": "example/app", "environment": "a:b"}}, "githubActions.environment"),
        ({"githubActions": {"repository": "example/app", "environment": "prod*"}}, "githubActions.environment"),
        ({"githubActions": {"repository": "example/app", "tag": "v1"}}, "githubActions"),
        ({"githubActions": {"repository": "example/app", "branch": "main", "tag": "v1"}}, "githubActions.tag"),
        ({"githubActions": "example/app"}, "githubActions"),
        ({"gitlab": {"project": "app", "branch": "main"}}, "gitlab.project"),
        ({"gitlab": {"project": "*/app", "branch": "main"}}, "gitlab.project"),
        ({"gitlab": {"project": "g/app:ref_type:branch:ref:x", "branch": "main"}}, "gitlab.project"),
        ({"gitlab": {"project": "g/app"}}, "gitlab.branch"),
        ({"gitlab": {"project": "g/app", "branch": "*"}}, "gitlab.branch"),
        ({"gitlab": {"project": "g/app", "branch": "main", "host": "https://gitlab.com"}}, "gitlab.host"),
        ({"gitlab": {"project": "g/app", "branch": "main", "host": "gitlab.com/x"}}, "gitlab.host"),
        ({"gitlab": {"project": "g/app", "branch": "main", "audience": "x"}}, "gitlab.audience"),
        ({"iamPrincipal": "*"}, "iamPrincipal"),
        ({"iamPrincipal": "arn:aws:iam::444455556666:role/*"}, "iamPrincipal"),
        ({"iamPrincipal": "arn:aws:iam::*:root"}, "iamPrincipal"),
        ({"iamPrincipal": f"{ROLE}\n"}, "iamPrincipal"),
        ({"iamPrincipal": 444455556666}, "iamPrincipal"),
        ({"ec2": True}, "ec2"),
        ({"ec2": "i-0123456789abcdef0"}, "ec2"),
        ({"rolesAnywhere": {"trustAnchor": ANCHOR}}, "rolesAnywhere.commonName"),
        ({"rolesAnywhere": {"commonName": "mac"}}, "rolesAnywhere.trustAnchor"),
        ({"rolesAnywhere": {"trustAnchor": "*", "commonName": "mac"}}, "rolesAnywhere.trustAnchor"),
        ({"rolesAnywhere": {"trustAnchor": ANCHOR, "commonName": "*"}}, "rolesAnywhere.commonName"),
        # What a certificate with the two common names `a` and `b` comes with.
        ({"rolesAnywhere": {"trustAnchor": ANCHOR, "commonName": "a/b"}}, "rolesAnywhere.commonName"),
        ({"rolesAnywhere": {"trustAnchor": ANCHOR, "commonName": "mac", "issuer": "x"}}, "rolesAnywhere.issuer"),
    ],
)
def test_i8_what_would_trust_more_than_one_is_refused(entry: object, field: str) -> None:
    with pytest.raises(WrongFieldError) as caught:
        read(entry)
    assert caught.value.field == f"builders.ci.{field}"


def test_the_reference_has_every_kind() -> None:
    reference = (ROOT / "docs/reference/configuration.md").read_text()
    assert {kind for kind in KINDS if f"| `{kind}` |" in reference} == set(KINDS)
