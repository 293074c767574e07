"""Who may assume a builder's role, as IAM says it."""

from __future__ import annotations

from typing import assert_never

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.identities.ec2 import Ec2Instance
from stacks.identities.iam_principal import THIS_ACCOUNT, IamPrincipal
from stacks.identities.identity import Identity
from stacks.identities.roles_anywhere import RolesAnywhere
from stacks.identities.web_identity import AUDIENCE, WebIdentity


def principal_of(scope: Construct, identity: Identity) -> iam.IPrincipal:
    """Return who may assume the role of a builder with ``identity``, on what conditions."""
    match identity:
        case IamPrincipal(arn):
            return iam.AccountPrincipal(cdk.Stack.of(scope).account) if arn == THIS_ACCOUNT else iam.ArnPrincipal(arn)
        case WebIdentity(issuer, subject):
            return iam.WebIdentityPrincipal(
                provider_arn(scope, issuer),
                {"StringEquals": {f"{issuer}:aud": AUDIENCE, f"{issuer}:sub": subject}},
            )
        case Ec2Instance():
            return iam.ServicePrincipal("ec2.amazonaws.com")
        case RolesAnywhere(trust_anchor, common_name):
            return iam.ServicePrincipal(
                "rolesanywhere.amazonaws.com",
                # The service acts for every account: without the trust anchor, a certificate of anybody's would do.
                conditions={
                    "ArnEquals": {"aws:SourceArn": trust_anchor},
                    "StringEquals": {"aws:PrincipalTag/x509Subject/CN": common_name},
                },
            )
        case _:
            assert_never(identity)


def provider_arn(scope: Construct, issuer: str) -> str:
    """Return the ARN of the account's OpenID Connect provider for ``issuer``, whoever made it: the name says it all."""
    return cdk.Stack.of(scope).format_arn(
        service="iam",
        region="",
        resource="oidc-provider",
        resource_name=issuer,
        arn_format=cdk.ArnFormat.SLASH_RESOURCE_NAME,
    )
