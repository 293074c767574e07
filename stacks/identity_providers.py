"""The account's OpenID Connect providers, where the account does not have them yet."""

from __future__ import annotations

from collections.abc import Iterable

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.identities.identity import Identity
from stacks.identities.web_identity import AUDIENCE, WebIdentity


class IdentityProviders(Construct):
    """A provider for each issuer whose tokens a builder may come with.

    An account has one for each issuer, whoever uses it. So they stay when the stack goes: another stage, or another
    team, may have come to trust them. OidcProviderNative, for the older construct brings a Lambda of its own.
    """

    def __init__(self, scope: Construct, construct_id: str, *, identities: Iterable[Identity]) -> None:
        super().__init__(scope, construct_id)
        for issuer in sorted({identity.issuer for identity in identities if isinstance(identity, WebIdentity)}):
            iam.OidcProviderNative(
                self,
                issuer,
                url=f"https://{issuer}",
                client_ids=[AUDIENCE],
                removal_policy=cdk.RemovalPolicy.RETAIN,
            )
