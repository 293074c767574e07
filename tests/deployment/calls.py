"""An access table's pair as a request: for each of IAM's actions the one API call that needs it, and nothing else.

The parameters do no harm where a call is let through: what they name is not there, or says what was so before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from local.aws import ACCOUNT
from tests.stacks.access_table import Context

Parameters: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Target:
    """A resource of the deployment: ``name`` is what its service's API calls it, ``key`` an object of a bucket."""

    name: str
    arn: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A method of boto3's client of a service, with the parameters that it gets for a target."""

    service: str
    method: str
    parameters: Callable[[Target], Parameters]

    def send(self, client: Any, target: Target, context: Context) -> None:  # noqa: ANN401  whatever boto3 makes
        """Ask; raises botocore's ClientError."""
        parameters = self.parameters(target)
        for condition in context:
            parameters |= _HEADERS[condition[0]](condition[1])
        getattr(client, self.method)(**parameters)


_HEADERS: Final[Mapping[str, Callable[[str], Parameters]]] = {
    "s3:prefix": lambda value: {"Prefix": value},
    "s3:if-match": lambda value: {"IfMatch": value},
    "s3:if-none-match": lambda value: {"IfNoneMatch": value},
    "s3:x-amz-storage-class": lambda value: {"StorageClass": value},
    "s3:x-amz-server-side-encryption": lambda value: {"ServerSideEncryption": value},
    "s3:x-amz-server-side-encryption-customer-algorithm": lambda value: {
        "SSECustomerAlgorithm": value,
        "SSECustomerKey": "0" * 32,
    },
}
"""What in a request makes a condition key."""

UNASKED_CONDITIONS: Final[Mapping[str, str]] = {
    "aws:SecureTransport": "the emulator speaks TLS alone",
    "s3:TlsVersion": "this machine's OpenSSL speaks TLS 1.2 and newer alone",
}
"""Condition keys that no request here can have, and why."""

UNASKED_ACTIONS: Final[Mapping[str, str]] = {
    "iam:PassRole": "no request of its own: part of others, which need more",
    "s3:BypassGovernanceRetention": "no request of its own: part of others, which need more",
}
"""Actions that no request needs alone, and why."""

_POLICY: Final = '{"Version": "2012-10-17", "Statement": []}'
_NO_UPLOAD: Final = "no-such-upload"
_NO_VERSION: Final = "00000000-0000-0000-0000-000000000000"


def _object(**more: object) -> Callable[[Target], Parameters]:
    return lambda target: {"Bucket": target.name, "Key": target.key, **more}


def _bucket(**more: object) -> Callable[[Target], Parameters]:
    return lambda target: {"Bucket": target.name, **more}


def _queue(**more: object) -> Callable[[Target], Parameters]:
    return lambda target: {"QueueUrl": target.name, **more}


def _secret(**more: object) -> Callable[[Target], Parameters]:
    return lambda target: {"SecretId": target.arn, **more}


def _function(**more: object) -> Callable[[Target], Parameters]:
    return lambda target: {"FunctionName": target.arn, **more}


def _role(**more: object) -> Callable[[Target], Parameters]:
    return lambda target: {"RoleName": target.name, **more}


CALLS: Final[Mapping[str, Call]] = {
    # Objects.
    "s3:AbortMultipartUpload": Call("s3", "abort_multipart_upload", _object(UploadId=_NO_UPLOAD)),
    "s3:DeleteObject": Call("s3", "delete_object", _object()),
    "s3:DeleteObjectTagging": Call("s3", "delete_object_tagging", _object()),
    "s3:DeleteObjectVersion": Call("s3", "delete_object", _object(VersionId=_NO_VERSION)),
    "s3:GetObject": Call("s3", "get_object", _object()),
    "s3:GetObjectAcl": Call("s3", "get_object_acl", _object()),
    "s3:GetObjectAttributes": Call("s3", "get_object_attributes", _object(ObjectAttributes=["ETag"])),
    "s3:GetObjectTagging": Call("s3", "get_object_tagging", _object()),
    "s3:GetObjectVersion": Call("s3", "get_object", _object(VersionId=_NO_VERSION)),
    "s3:ListMultipartUploadParts": Call("s3", "list_parts", _object(UploadId=_NO_UPLOAD)),
    "s3:PutObject": Call("s3", "put_object", _object(Body=b"")),
    "s3:PutObjectAcl": Call("s3", "put_object_acl", _object(ACL="private")),
    "s3:PutObjectLegalHold": Call("s3", "put_object_legal_hold", _object(LegalHold={"Status": "OFF"})),
    "s3:PutObjectRetention": Call("s3", "put_object_retention", _object(Retention={})),
    "s3:PutObjectTagging": Call("s3", "put_object_tagging", _object(Tagging={"TagSet": []})),
    "s3:RestoreObject": Call("s3", "restore_object", _object(RestoreRequest={"Days": 1})),
    # Buckets.
    "s3:DeleteBucket": Call("s3", "delete_bucket", _bucket()),
    "s3:DeleteBucketPolicy": Call("s3", "delete_bucket_policy", _bucket()),
    "s3:GetBucketLocation": Call("s3", "get_bucket_location", _bucket()),
    "s3:GetBucketNotification": Call("s3", "get_bucket_notification_configuration", _bucket()),
    "s3:GetBucketPolicy": Call("s3", "get_bucket_policy", _bucket()),
    "s3:GetBucketVersioning": Call("s3", "get_bucket_versioning", _bucket()),
    "s3:GetLifecycleConfiguration": Call("s3", "get_bucket_lifecycle_configuration", _bucket()),
    "s3:ListBucket": Call("s3", "list_objects_v2", _bucket()),
    "s3:ListBucketMultipartUploads": Call("s3", "list_multipart_uploads", _bucket()),
    "s3:ListBucketVersions": Call("s3", "list_object_versions", _bucket()),
    "s3:PutBucketAcl": Call("s3", "put_bucket_acl", _bucket(ACL="private")),
    "s3:PutBucketLogging": Call("s3", "put_bucket_logging", _bucket(BucketLoggingStatus={})),
    "s3:PutBucketNotification": Call(
        "s3", "put_bucket_notification_configuration", _bucket(NotificationConfiguration={})
    ),
    "s3:PutBucketOwnershipControls": Call(
        "s3",
        "put_bucket_ownership_controls",
        _bucket(OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}),
    ),
    "s3:PutBucketPolicy": Call("s3", "put_bucket_policy", _bucket(Policy=_POLICY)),
    "s3:PutBucketPublicAccessBlock": Call(
        "s3", "put_public_access_block", _bucket(PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    ),
    "s3:PutBucketVersioning": Call(
        "s3", "put_bucket_versioning", _bucket(VersioningConfiguration={"Status": "Enabled"})
    ),
    "s3:PutEncryptionConfiguration": Call(
        "s3",
        "put_bucket_encryption",
        _bucket(
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            }
        ),
    ),
    "s3:PutLifecycleConfiguration": Call(
        "s3", "put_bucket_lifecycle_configuration", _bucket(LifecycleConfiguration={"Rules": []})
    ),
    "s3:PutReplicationConfiguration": Call(
        "s3", "put_bucket_replication", _bucket(ReplicationConfiguration={"Role": "", "Rules": []})
    ),
    # Queues.
    "sqs:ChangeMessageVisibility": Call(
        "sqs", "change_message_visibility", _queue(ReceiptHandle="none", VisibilityTimeout=0)
    ),
    "sqs:DeleteMessage": Call("sqs", "delete_message", _queue(ReceiptHandle="none")),
    "sqs:DeleteQueue": Call("sqs", "delete_queue", _queue()),
    "sqs:GetQueueAttributes": Call("sqs", "get_queue_attributes", _queue(AttributeNames=["QueueArn"])),
    "sqs:PurgeQueue": Call("sqs", "purge_queue", _queue()),
    "sqs:ReceiveMessage": Call("sqs", "receive_message", _queue(VisibilityTimeout=0)),
    "sqs:SendMessage": Call("sqs", "send_message", _queue(MessageBody="{}")),
    "sqs:SetQueueAttributes": Call("sqs", "set_queue_attributes", _queue(Attributes={"DelaySeconds": "0"})),
    "sqs:StartMessageMoveTask": Call("sqs", "start_message_move_task", lambda target: {"SourceArn": target.arn}),
    # The secret.
    "secretsmanager:DeleteResourcePolicy": Call("secretsmanager", "delete_resource_policy", _secret()),
    "secretsmanager:DeleteSecret": Call("secretsmanager", "delete_secret", _secret()),
    "secretsmanager:DescribeSecret": Call("secretsmanager", "describe_secret", _secret()),
    "secretsmanager:GetResourcePolicy": Call("secretsmanager", "get_resource_policy", _secret()),
    "secretsmanager:GetSecretValue": Call("secretsmanager", "get_secret_value", _secret()),
    "secretsmanager:ListSecretVersionIds": Call("secretsmanager", "list_secret_version_ids", _secret()),
    "secretsmanager:PutResourcePolicy": Call("secretsmanager", "put_resource_policy", _secret(ResourcePolicy=_POLICY)),
    "secretsmanager:PutSecretValue": Call(
        "secretsmanager", "put_secret_value", _secret(SecretString="no key", VersionStages=["TRIED"])
    ),
    "secretsmanager:RotateSecret": Call("secretsmanager", "rotate_secret", _secret(RotateImmediately=False)),
    "secretsmanager:UpdateSecret": Call("secretsmanager", "update_secret", _secret(Description="tried")),
    "secretsmanager:UpdateSecretVersionStage": Call(
        "secretsmanager",
        "update_secret_version_stage",
        _secret(VersionStage="TRIED", MoveToVersionId=_NO_VERSION),
    ),
    # Functions.
    "lambda:GetFunction": Call("lambda", "get_function", _function()),
    "lambda:InvokeFunction": Call("lambda", "invoke", _function(InvocationType="DryRun")),
    "lambda:UpdateFunctionCode": Call("lambda", "update_function_code", _function(ZipFile=b"no code", DryRun=True)),
    "lambda:UpdateFunctionConfiguration": Call("lambda", "update_function_configuration", _function(Description="x")),
    # Roles.
    "iam:AttachRolePolicy": Call(
        "iam", "attach_role_policy", _role(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/none-such")
    ),
    "iam:DeleteRolePolicy": Call("iam", "delete_role_policy", _role(PolicyName="none-such")),
    "iam:GetRole": Call("iam", "get_role", _role()),
    "iam:PutRolePolicy": Call("iam", "put_role_policy", _role(PolicyName="tried", PolicyDocument=_POLICY)),
    "iam:UpdateAssumeRolePolicy": Call("iam", "update_assume_role_policy", _role(PolicyDocument=_POLICY)),
    "sts:AssumeRole": Call("sts", "assume_role", lambda target: {"RoleArn": target.arn, "RoleSessionName": "tried"}),
}
