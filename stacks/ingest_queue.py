"""The queue between staging and ingest."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from protocol.delivery import MAX_RECEIVE_COUNT, MESSAGE_RETENTION, VISIBILITY_TIMEOUT_SECONDS


class IngestQueue(sqs.Queue):
    """One message for each narinfo in staging; what failed `MAX_RECEIVE_COUNT` times lies in `dead_letters`.

    A message keeps the age that it has when it becomes a dead letter, so dead letters are kept longer than messages (14
    days, SQS's most, after 4).
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        dead_letters = sqs.Queue(
            scope,
            f"{construct_id}DeadLetters",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        super().__init__(
            scope,
            construct_id,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(MESSAGE_RETENTION.days),
            visibility_timeout=cdk.Duration.seconds(VISIBILITY_TIMEOUT_SECONDS),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=MAX_RECEIVE_COUNT),
        )
        self.dead_letters = dead_letters

    def accept_events_from(self, bucket_name: str) -> sqs.CfnQueuePolicy:
        """Let S3 send the events of this account's bucket of that name.

        Returns the policy, for the bucket to depend on. Hence the ARN is made from the name: a reference to the bucket
        would close a circle.
        `aws:SourceAccount` keeps out a bucket of this name in another account, should ours ever be deleted.
        """
        stack = cdk.Stack.of(self)
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="StagingAnnouncesNarinfos",
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue_arn],
                conditions={
                    "ArnEquals": {
                        "aws:SourceArn": stack.format_arn(service="s3", region="", account="", resource=bucket_name)
                    },
                    "StringEquals": {"aws:SourceAccount": stack.account},
                },
            )
        )
        [policy] = [child for construct in self.node.find_all() if isinstance(child := construct, sqs.CfnQueuePolicy)]
        return policy
