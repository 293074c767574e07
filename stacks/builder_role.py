"""What a builder may do."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.keys import BuilderName
from stacks.config import THIS_ACCOUNT
from stacks.nag import acknowledge_wildcard


class BuilderRole(iam.Role):
    """I8: write below its own prefix of staging, read its own results, and nothing else.

    Not even reading or deleting what it uploaded: a submission is judged as it was sent. What a builder already
    uploaded it learns from its results.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: BuilderName,
        principal: str,
        staging: s3.IBucket,
        ledger: s3.IBucket,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            description=f"Uploads to Assay as the builder {name}",
            assumed_by=_principal(scope, principal),
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
        cdk.CfnOutput(self, "RoleArn", value=self.role_arn, description=f"What the builder {name} assumes")
        for resource in (uploads, results):
            acknowledge_wildcard(
                self,
                resource,
                because="The builder's own prefix is the boundary; what it names below is its own affair.",
            )


def _principal(scope: Construct, principal: str) -> iam.IPrincipal:
    if principal == THIS_ACCOUNT:
        return iam.AccountPrincipal(cdk.Stack.of(scope).account)
    return iam.ArnPrincipal(principal)
