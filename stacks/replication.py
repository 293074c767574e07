"""A copy of what is published, in another region, as it is published (docs/adr/0069)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.backup_stack import BACKUP
from stacks.nag import acknowledge_wildcard
from stacks.private_bucket import bucket_name


@dataclass(frozen=True, slots=True)
class Replicated:
    """What of a versioned bucket is copied: the objects whose keys begin with one of ``prefixes``."""

    bucket: s3.Bucket
    prefixes: tuple[str, ...] = ("",)


class Replication(Construct):
    """Has S3 copy objects into the backup bucket of ``region``; the copies outlive what they were made from.

    The role that S3 takes for it can write there and not delete: whoever empties a bucket here, or overwrites an
    object, adds a version there and takes none away.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: str, region: str, replicated: Sequence[Replicated]
    ) -> None:
        super().__init__(scope, construct_id)
        # By its name, and not by a reference: the bucket is another region's, and another stack's.
        destination = cdk.Stack.of(self).format_arn(
            service="s3",
            region="",
            account="",
            resource=bucket_name(self, kind=BACKUP, stage=stage, region=region),
        )
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("s3.amazonaws.com"))
        for each in replicated:
            objects = [each.bucket.arn_for_objects(f"{prefix}*") for prefix in each.prefixes]
            role.add_to_policy(
                iam.PolicyStatement(
                    actions=["s3:GetReplicationConfiguration", "s3:ListBucket"], resources=[each.bucket.bucket_arn]
                )
            )
            role.add_to_policy(
                iam.PolicyStatement(
                    actions=[
                        "s3:GetObjectVersionForReplication",
                        "s3:GetObjectVersionAcl",
                        "s3:GetObjectVersionTagging",
                    ],
                    resources=objects,
                )
            )
            for resource in objects:
                acknowledge_wildcard(role, resource, because="What is published is copied, whatever its hash.")
        copies = f"{destination}/*"
        role.add_to_policy(iam.PolicyStatement(actions=["s3:ReplicateObject", "s3:ReplicateTags"], resources=[copies]))
        acknowledge_wildcard(role, copies, because="A copy has the key of what it was made from.")
        for each in replicated:
            bucket = cast("s3.CfnBucket", each.bucket.node.default_child)
            bucket.replication_configuration = s3.CfnBucket.ReplicationConfigurationProperty(
                role=role.role_arn,
                rules=[
                    s3.CfnBucket.ReplicationRuleProperty(
                        id=f"Backup{number}",
                        status="Enabled",
                        priority=number,
                        filter=s3.CfnBucket.ReplicationRuleFilterProperty(prefix=prefix),
                        # What is deleted here stays there: that is what the copy is for.
                        delete_marker_replication=s3.CfnBucket.DeleteMarkerReplicationProperty(status="Disabled"),
                        destination=s3.CfnBucket.ReplicationDestinationProperty(
                            bucket=destination, storage_class="INTELLIGENT_TIERING"
                        ),
                    )
                    for number, prefix in enumerate(each.prefixes, start=1)
                ],
            )
