"""What S3 writes into a queue when an object has been created."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote_plus

from tests.simulator.bucket import NULL_VERSION, ObjectVersion
from tests.simulator.clock import Clock
from tests.simulator.sqs import Queue


def notifier(
    bucket: str, queue: Queue, clock: Clock, *, suffix: str, region: str
) -> Callable[[str, ObjectVersion], None]:
    """Return what sends an event to ``queue`` for each object of ``bucket`` whose key ends with ``suffix``.

    The events of one key carry rising sequencers.
    """
    told = 0

    def tell(event_name: str, version: ObjectVersion) -> None:
        nonlocal told
        if not version.key.endswith(suffix):
            return
        told += 1
        about: dict[str, object] = {
            # As a form would encode it, but for the slash.
            "key": quote_plus(version.key, safe="/"),
            "size": len(version.data),
            "eTag": version.etag.strip('"'),
            "sequencer": f"{told:018X}",
        }
        if version.version_id != NULL_VERSION:
            about["versionId"] = version.version_id
        record = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": region,
            "eventTime": clock.now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "eventName": event_name,
            "userIdentity": {"principalId": "AWS:SIMULATED"},
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {"x-amz-request-id": "simulated", "x-amz-id-2": "simulated"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "narinfos",
                "bucket": {
                    "name": bucket,
                    "ownerIdentity": {"principalId": "SIMULATED"},
                    "arn": f"arn:aws:s3:::{bucket}",
                },
                "object": about,
            },
        }
        queue.send(json.dumps({"Records": [record]}))

    return tell
