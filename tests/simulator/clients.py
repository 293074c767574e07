"""What quacks like botocore's clients: the operations under the names and parameters of Python's AWS SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from tests.simulator.multipart import MultipartUploads
from tests.simulator.requests import Answer, Line
from tests.simulator.s3 import ObjectStore
from tests.simulator.secret_store import Secrets
from tests.simulator.sqs import Queues

if TYPE_CHECKING:
    from mypy_boto3_s3 import type_defs as s3
    from mypy_boto3_secretsmanager.type_defs import GetSecretValueRequestTypeDef
    from mypy_boto3_sqs import type_defs as sqs


class S3:
    """An S3 client."""

    def __init__(self, line: Line, store: ObjectStore, uploads: MultipartUploads) -> None:
        """Send to ``store`` and ``uploads`` over ``line``."""
        self._line = line
        self._store = store
        self._uploads = uploads

    def get_object(self, **parameters: Unpack[s3.GetObjectRequestTypeDef]) -> Answer:
        return self._line.send("GetObject", parameters, self._store.get_object)

    def head_object(self, **parameters: Unpack[s3.HeadObjectRequestTypeDef]) -> Answer:
        return self._line.send("HeadObject", parameters, self._store.head_object)

    def put_object(self, **parameters: Unpack[s3.PutObjectRequestTypeDef]) -> Answer:
        return self._line.send("PutObject", parameters, self._store.put_object)

    def copy_object(self, **parameters: Unpack[s3.CopyObjectRequestTypeDef]) -> Answer:
        return self._line.send("CopyObject", parameters, self._store.copy_object)

    def list_objects_v2(self, **parameters: Unpack[s3.ListObjectsV2RequestTypeDef]) -> Answer:
        return self._line.send("ListObjectsV2", parameters, self._store.list_objects_v2)

    def list_object_versions(self, **parameters: Unpack[s3.ListObjectVersionsRequestTypeDef]) -> Answer:
        return self._line.send("ListObjectVersions", parameters, self._store.list_object_versions)

    def delete_object(self, **parameters: Unpack[s3.DeleteObjectRequestTypeDef]) -> Answer:
        return self._line.send("DeleteObject", parameters, self._store.delete_object)

    def delete_objects(self, **parameters: Unpack[s3.DeleteObjectsRequestTypeDef]) -> Answer:
        return self._line.send("DeleteObjects", parameters, self._store.delete_objects)

    def create_multipart_upload(self, **parameters: Unpack[s3.CreateMultipartUploadRequestTypeDef]) -> Answer:
        return self._line.send("CreateMultipartUpload", parameters, self._uploads.create_multipart_upload)

    def upload_part(self, **parameters: Unpack[s3.UploadPartRequestTypeDef]) -> Answer:
        return self._line.send("UploadPart", parameters, self._uploads.upload_part)

    def upload_part_copy(self, **parameters: Unpack[s3.UploadPartCopyRequestTypeDef]) -> Answer:
        return self._line.send("UploadPartCopy", parameters, self._uploads.upload_part_copy)

    def complete_multipart_upload(self, **parameters: Unpack[s3.CompleteMultipartUploadRequestTypeDef]) -> Answer:
        return self._line.send("CompleteMultipartUpload", parameters, self._uploads.complete_multipart_upload)

    def abort_multipart_upload(self, **parameters: Unpack[s3.AbortMultipartUploadRequestTypeDef]) -> Answer:
        return self._line.send("AbortMultipartUpload", parameters, self._uploads.abort_multipart_upload)

    def list_multipart_uploads(self, **parameters: Unpack[s3.ListMultipartUploadsRequestTypeDef]) -> Answer:
        return self._line.send("ListMultipartUploads", parameters, self._uploads.list_multipart_uploads)


class Sqs:
    """An SQS client."""

    def __init__(self, line: Line, queues: Queues) -> None:
        """Send to ``queues`` over ``line``."""
        self._line = line
        self._queues = queues

    def send_message(self, **parameters: Unpack[sqs.SendMessageRequestTypeDef]) -> Answer:
        return self._line.send("SendMessage", parameters, self._queues.send_message)

    def send_message_batch(self, **parameters: Unpack[sqs.SendMessageBatchRequestTypeDef]) -> Answer:
        return self._line.send("SendMessageBatch", parameters, self._queues.send_message_batch)

    def receive_message(self, **parameters: Unpack[sqs.ReceiveMessageRequestTypeDef]) -> Answer:
        return self._line.send("ReceiveMessage", parameters, self._queues.receive_message)

    def change_message_visibility(self, **parameters: Unpack[sqs.ChangeMessageVisibilityRequestTypeDef]) -> Answer:
        return self._line.send("ChangeMessageVisibility", parameters, self._queues.change_message_visibility)

    def delete_message(self, **parameters: Unpack[sqs.DeleteMessageRequestTypeDef]) -> Answer:
        return self._line.send("DeleteMessage", parameters, self._queues.delete_message)

    def delete_message_batch(self, **parameters: Unpack[sqs.DeleteMessageBatchRequestTypeDef]) -> Answer:
        return self._line.send("DeleteMessageBatch", parameters, self._queues.delete_message_batch)


class SecretsManager:
    """A Secrets Manager client."""

    def __init__(self, line: Line, secrets: Secrets) -> None:
        """Send to ``secrets`` over ``line``."""
        self._line = line
        self._secrets = secrets

    def get_secret_value(self, **parameters: Unpack[GetSecretValueRequestTypeDef]) -> Answer:
        return self._line.send("GetSecretValue", parameters, self._secrets.get_secret_value)
