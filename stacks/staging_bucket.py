"""Where builders upload."""

from __future__ import annotations

from typing import Final, cast

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.keys import NARINFO_SUFFIX
from stacks.ingest_queue import IngestQueue
from stacks.private_bucket import PrivateBucket, bucket_name

_KIND: Final = "staging"

# One day more than a dead letter is kept: whoever redrives one still finds the bytes that it names.
_KEPT: Final = cdk.Duration.days(15)


class StagingBucket(PrivateBucket):
    """A submission's bytes, for as long as they may be needed to judge it; each new narinfo becomes a message.

    Versioned, so that a builder who overwrites a NAR while it is being verified changes nothing: ingest reads by
    VersionId (I2). The narinfo is uploaded last, so its arrival says that the submission is whole.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: str, queue: IngestQueue, access_logs: s3.IBucket
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            kind=_KIND,
            stage=stage,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(expiration=_KEPT, noncurrent_version_expiration=_KEPT),
                # What expiry leaves in a versioned bucket. S3 takes no such rule together with an expiration in days.
                s3.LifecycleRule(expired_object_delete_marker=True),
            ],
            access_logs=access_logs,
        )
        # On the L1 resource: the L2's add_event_notification brings a hidden Lambda that may rewrite any bucket's
        # notifications.
        resource = cast("s3.CfnBucket", self.node.default_child)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            queue_configurations=[
                s3.CfnBucket.QueueConfigurationProperty(
                    event="s3:ObjectCreated:*",
                    queue=queue.queue_arn,
                    filter=s3.CfnBucket.NotificationFilterProperty(
                        s3_key=s3.CfnBucket.S3KeyFilterProperty(
                            rules=[s3.CfnBucket.FilterRuleProperty(name="suffix", value=NARINFO_SUFFIX)]
                        )
                    ),
                )
            ]
        )
        # S3 tries the queue when it takes the notification, so the queue's permission has to be there before.
        resource.add_resource_dependency(queue.accept_events_from(bucket_name(self, kind=_KIND, stage=stage)))
