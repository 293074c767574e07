"""Who may become which builder: as data, for the builders of the configuration that the tests synthesise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.stacks.access_table import Context
from tests.stacks.template import ACCOUNT, REGION

_GITHUB: Final = "token.actions.githubusercontent.com"
_GITLAB: Final = "gitlab.example.org"
_ANCHOR: Final = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:trust-anchor/01234567-89ab-cdef-0123-456789abcdef"
_RUNNER: Final = "arn:aws:iam::444455556666:role/runner"
_ADMINISTRATOR: Final = f"arn:aws:iam::{ACCOUNT}:role/administrator"
_WEB: Final = "sts:AssumeRoleWithWebIdentity"
_AUDIENCE: Final = "sts.amazonaws.com"


@dataclass(frozen=True, slots=True)
class Attempt:
    """``principal``, an ARN or a service, becoming ``builder`` by ``action``; ``context`` has IAM's condition keys."""

    builder: str
    principal: str
    action: str
    context: Context
    allowed: bool
    why: str

    def __str__(self) -> str:
        verdict = "may" if self.allowed else "may not"
        return (
            f"{self.principal} {verdict} become {self.builder} by {self.action} with {dict(self.context)}: {self.why}"
        )


def every_attempt() -> Iterator[Attempt]:
    """Yield the whole table."""
    yield from _github()
    yield from _gitlab()
    yield from _principals()
    yield from _instances()
    yield from _certificates()
    yield from _everybody()


def _provider(issuer: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:oidc-provider/{issuer}"


def _token(issuer: str, subject: str | None, audience: str | None = _AUDIENCE) -> Context:
    claims = (("sub", subject), ("aud", audience))
    return tuple((f"{issuer}:{name}", value) for name, value in claims if value is not None)


def _web(builder: str, issuer: str, right: str, wrong: dict[str, str]) -> Iterator[Attempt]:
    """Yield what tokens of an issuer may do: the one subject, for the one audience, and no other."""
    provider = _provider(issuer)
    yield Attempt(builder, provider, _WEB, _token(issuer, right), allowed=True, why="the one that is configured")
    for why, subject in wrong.items():
        yield Attempt(builder, provider, _WEB, _token(issuer, subject), allowed=False, why=why)
    for audience in (None, "", "https://github.com/example", "sts.amazonaws.com.example.org", "STS.amazonaws.com"):
        context = _token(issuer, right, audience)
        yield Attempt(builder, provider, _WEB, context, allowed=False, why="made for somebody else")
    yield Attempt(builder, provider, _WEB, _token(issuer, None), allowed=False, why="says nothing of its job")
    yield Attempt(builder, provider, _WEB, (), allowed=False, why="says nothing at all")
    for action in ("sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity"):
        yield Attempt(builder, provider, action, _token(issuer, right), allowed=False, why="another way to a session")
    for other in ("evil.example.org", f"{issuer}.example.org", f"x{issuer}"):
        yield Attempt(builder, _provider(other), _WEB, _token(other, right), allowed=False, why="another issuer")
        yield Attempt(builder, _provider(other), _WEB, _token(issuer, right), allowed=False, why="another issuer")
    elsewhere = _provider(issuer, "999988887777")
    yield Attempt(builder, elsewhere, _WEB, _token(issuer, right), allowed=False, why="a provider of another account")


def _github() -> Iterator[Attempt]:
    yield from _web(
        "github-branch",
        _GITHUB,
        "repo:example/app:ref:refs/heads/main",
        {
            "a fork": "repo:mallory/app:ref:refs/heads/main",
            "another repository of the owner": "repo:example/other:ref:refs/heads/main",
            "a repository that begins alike": "repo:example/app2:ref:refs/heads/main",
            "an owner that ends alike": "repo:anexample/app:ref:refs/heads/main",
            "another branch": "repo:example/app:ref:refs/heads/dev",
            "a branch that begins alike": "repo:example/app:ref:refs/heads/main2",
            "a branch below it": "repo:example/app:ref:refs/heads/main/x",
            "a tag of the branch's name": "repo:example/app:ref:refs/tags/main",
            "a pull request": "repo:example/app:pull_request",
            "an environment": "repo:example/app:environment:main",
            "an environment that is called like a branch": "repo:example/app:environment:ref%3Arefs/heads/main",
            "no ref": "repo:example/app",
            "a wildcard in the token": "repo:example/app:ref:refs/heads/*",
            "everything": "*",
            "other case": "repo:Example/app:ref:refs/heads/main",
            "the numbers of a repository that has taken the name": "repo:example@66/app@77:ref:refs/heads/main",
        },
    )
    yield from _web(
        "github-environment",
        _GITHUB,
        "repo:example@12/app@34:environment:release",
        {
            "the owner's name, taken by somebody else": "repo:example@66/app@34:environment:release",
            "the repository's name, made anew": "repo:example@12/app@77:environment:release",
            "no numbers": "repo:example/app:environment:release",
            "the numbers under other names": "repo:mallory@12/app@34:environment:release",
            "another environment": "repo:example@12/app@34:environment:staging",
            "other case": "repo:example@12/app@34:environment:Release",
            "the branch that deploys there": "repo:example@12/app@34:ref:refs/heads/release",
            "a pull request": "repo:example@12/app@34:pull_request",
        },
    )


def _gitlab() -> Iterator[Attempt]:
    branch = "ref_type:branch:ref:main"
    yield from _web(
        "gitlab",
        _GITLAB,
        f"project_path:group/subgroup/app:{branch}",
        {
            "a fork": f"project_path:mallory/app:{branch}",
            "a project above": f"project_path:group/app:{branch}",
            "a project below": f"project_path:group/subgroup/app/x:{branch}",
            "another branch": "project_path:group/subgroup/app:ref_type:branch:ref:dev",
            "a tag of the branch's name": "project_path:group/subgroup/app:ref_type:tag:ref:main",
            "a merge request": "project_path:group/subgroup/app:ref_type:branch:ref:feature",
            "other case": f"project_path:Group/subgroup/app:{branch}",
        },
    )
    # The same path at gitlab.com is somebody else's project.
    subject = f"project_path:group/subgroup/app:{branch}"
    yield Attempt(
        "gitlab", _provider("gitlab.com"), _WEB, _token("gitlab.com", subject), allowed=False, why="gitlab.com"
    )


def _principals() -> Iterator[Attempt]:
    yield Attempt("ci", _ADMINISTRATOR, "sts:AssumeRole", (), allowed=True, why="a policy of the account lets it")
    nobody = f"arn:aws:iam::{ACCOUNT}:role/without-policies"
    yield Attempt("ci", nobody, "sts:AssumeRole", (), allowed=False, why="no policy of the account lets it")
    yield Attempt("ci-2", _RUNNER, "sts:AssumeRole", (), allowed=True, why="the one that is configured")
    for builder in ("ci", "ci-2"):
        for other in (
            "arn:aws:iam::444455556666:root",
            "arn:aws:iam::444455556666:role/runner2",
            "arn:aws:iam::444455556666:user/runner",
            "arn:aws:iam::999988887777:role/runner",
            "arn:aws:iam::999988887777:role/administrator",
        ):
            yield Attempt(builder, other, "sts:AssumeRole", (), allowed=False, why="another principal")
        for action in ("sts:TagSession", "sts:SetSourceIdentity", _WEB):
            yield Attempt(builder, "arn:aws:iam::444455556666:root", action, (), allowed=False, why="another way")
    yield Attempt("ci-2", _ADMINISTRATOR, "sts:AssumeRole", (), allowed=False, why="not even the account's own")
    yield Attempt("ci-2", _RUNNER, "sts:TagSession", (), allowed=False, why="tags could say that it is somebody else")


def _instances() -> Iterator[Attempt]:
    yield Attempt("farm", "ec2.amazonaws.com", "sts:AssumeRole", (), allowed=True, why="an instance")
    for action in ("sts:TagSession", "sts:SetSourceIdentity"):
        yield Attempt("farm", "ec2.amazonaws.com", action, (), allowed=False, why="an instance does not ask for it")


def _certificates() -> Iterator[Attempt]:
    anywhere, name = "rolesanywhere.amazonaws.com", "aws:PrincipalTag/x509Subject/CN"
    right = (("aws:SourceArn", _ANCHOR), (name, "mac.example.org"))
    for action in ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"):
        yield Attempt("mac", anywhere, action, right, allowed=True, why="the one that is configured")
        for common_name in ("", "mac2.example.org", "mac.example.org.evil.org", "MAC.example.org", "mac.example.org/x"):
            context = (("aws:SourceArn", _ANCHOR), (name, common_name))
            yield Attempt("mac", anywhere, action, context, allowed=False, why="another certificate")
        for anchor in (
            f"{_ANCHOR[:-1]}0",
            _ANCHOR.replace(ACCOUNT, "999988887777"),
            _ANCHOR.replace(REGION, "us-east-1"),
        ):
            context = (("aws:SourceArn", anchor), (name, "mac.example.org"))
            yield Attempt("mac", anywhere, action, context, allowed=False, why="another authority")
        yield Attempt("mac", anywhere, action, right[:1], allowed=False, why="no common name")
        yield Attempt("mac", anywhere, action, right[1:], allowed=False, why="no trust anchor")


def _everybody() -> Iterator[Attempt]:
    """Yield that no builder becomes another one, and that nobody does whom nothing names."""
    tokens = {
        "github-branch": (_GITHUB, "repo:example/app:ref:refs/heads/main"),
        "github-environment": (_GITHUB, "repo:example@12/app@34:environment:release"),
        "gitlab": (_GITLAB, "project_path:group/subgroup/app:ref_type:branch:ref:main"),
    }
    for builder in ("ci", "ci-2", "farm", "mac", *tokens):
        for other, (issuer, subject) in tokens.items():
            if other != builder:
                context = _token(issuer, subject)
                yield Attempt(builder, _provider(issuer), _WEB, context, allowed=False, why=f"the token of {other}")
        for service in ("lambda.amazonaws.com", "ecs-tasks.amazonaws.com", "s3.amazonaws.com"):
            yield Attempt(builder, service, "sts:AssumeRole", (), allowed=False, why="a service that is no builder")
        if builder != "farm":
            yield Attempt(builder, "ec2.amazonaws.com", "sts:AssumeRole", (), allowed=False, why="an instance")
        if builder != "mac":
            context = (("aws:SourceArn", _ANCHOR), ("aws:PrincipalTag/x509Subject/CN", "mac.example.org"))
            anywhere = "rolesanywhere.amazonaws.com"
            yield Attempt(builder, anywhere, "sts:AssumeRole", context, allowed=False, why="the certificate of mac")
        if builder != "ci-2":
            yield Attempt(builder, _RUNNER, "sts:AssumeRole", (), allowed=False, why="the principal of ci-2")
        yield Attempt(builder, "anybody", "sts:AssumeRole", (), allowed=False, why="nobody signed it")
        yield Attempt(builder, "anybody", _WEB, (), allowed=False, why="nobody signed it")
