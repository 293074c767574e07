"""What a builder may do."""

from __future__ import annotations

from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_rolesanywhere as rolesanywhere
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.keys import NIX_CACHE_INFO_KEY, BuilderName
from protocol.outputs import describe_role
from stacks.identities.ec2 import Ec2Instance
from stacks.identities.identity import Identity
from stacks.identities.roles_anywhere import RolesAnywhere
from stacks.nag import acknowledge_wildcard
from stacks.trust import principal_of


class BuilderRole(iam.Role):
    """I8: write below its own prefix of staging, read its own results, and nothing else.

    Not even reading or deleting what it uploaded: a submission is judged as it was sent. What a builder already
    uploaded it learns from its results. ``nix-cache-info`` is no part of a submission.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: BuilderName,
        stage: str,
        identity: Identity,
        staging: s3.IBucket,
        ledger: s3.IBucket,
    ) -> None:
        principal = principal_of(scope, identity)
        super().__init__(
            scope, construct_id, description=f"Uploads to Assay as the builder {name}", assumed_by=principal
        )
        uploads = staging.arn_for_objects(f"{name.staging_prefix}*")
        results = ledger.arn_for_objects(f"{name.results_prefix}*")
        self.add_to_policy(
            iam.PolicyStatement(
                sid="Upload",
                # PutObject covers every step of a multipart upload but giving it up.
                actions=["s3:PutObject", "s3:AbortMultipartUpload"],
                resources=[uploads],
                # What ingest cannot read it cannot judge: nothing archived, no key that only the builder has.
                conditions={
                    "StringEqualsIfExists": {
                        "s3:x-amz-storage-class": "STANDARD",
                        "s3:x-amz-server-side-encryption": "AES256",
                    },
                    "Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "true"},
                },
            )
        )
        self.add_to_policy(
            iam.PolicyStatement(
                # Nix's own S3 store writes nothing before it has read this, and takes a 403 for trouble.
                sid="ReadOwnCacheInfo",
                actions=["s3:GetObject"],
                resources=[staging.arn_for_objects(f"{name.staging_prefix}{NIX_CACHE_INFO_KEY}")],
            )
        )
        self.add_to_policy(iam.PolicyStatement(sid="ReadOwnResults", actions=["s3:GetObject"], resources=[results]))
        self.add_to_policy(
            iam.PolicyStatement(
                # Without it a result that is not there yet is answered with 403, like one that is forbidden.
                sid="TellMissingResultsFromForbidden",
                actions=["s3:ListBucket"],
                resources=[ledger.bucket_arn],
                conditions={"StringLike": {"s3:prefix": f"{name.results_prefix}*"}},
            )
        )
        # In the role's own scope, where two names that differ in a dash alone keep different logical ids.
        cdk.CfnOutput(self, "RoleArn", value=self.role_arn, description=describe_role(name))
        self._hand_out(identity, principal, profile_name=f"assay-{stage}-{name}")
        for resource in (uploads, results):
            acknowledge_wildcard(
                self,
                resource,
                because="The builder's own prefix is the boundary; what it names below is its own affair.",
            )

    def _hand_out(self, identity: Identity, principal: iam.IPrincipal, *, profile_name: str) -> None:
        """Make what brings the role to those who may assume it, where trust alone does not."""
        match identity:
            case Ec2Instance():
                instances = iam.CfnInstanceProfile(self, "InstanceProfile", roles=[self.role_name])
                cdk.CfnOutput(self, "InstanceProfileName", value=instances.ref)
            case RolesAnywhere():
                # The service says with each session which certificate it is for, and fails where it may not.
                cast("iam.PolicyDocument", self.assume_role_policy).add_statements(
                    iam.PolicyStatement(actions=["sts:TagSession", "sts:SetSourceIdentity"], principals=[principal])
                )
                certificates = rolesanywhere.CfnProfile(
                    self, "Profile", name=profile_name, role_arns=[self.role_arn], enabled=True
                )
                cdk.CfnOutput(self, "ProfileArn", value=certificates.attr_profile_arn)
