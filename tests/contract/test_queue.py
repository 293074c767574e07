"""SQS: what is sent arrives, what is not deleted comes again, and what never succeeds is set aside."""

from __future__ import annotations

from tests.contract.asking import refusal
from tests.contract.engines import Engine, QueueName, take_all
from tests.contract.promises import Service, promise


def _queue(engine: Engine) -> QueueName:
    return engine.create_queue(visibility_seconds=300, max_receive_count=5)


@promise(Service.SQS, relied_on="waking ten submissions in one request")
def test_a_batch_arrives(engine: Engine) -> None:
    """SendMessageBatch sends up to ten messages, reports each as successful, and each is received once."""
    queue = _queue(engine)
    bodies = [f"message {number}" for number in range(10)]
    answer = engine.clients.sqs.send_message_batch(
        QueueUrl=queue.url,
        Entries=[{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == [str(number) for number in range(10)]
    assert answer.get("Failed", []) == []
    assert sorted(take_all(engine, queue)) == bodies


@promise(Service.SQS, relied_on="batches of ten at the most")
def test_a_batch_has_a_limit(engine: Engine) -> None:
    """SendMessageBatch of more than ten messages is refused, as is one of none."""
    queue = _queue(engine)
    entries = [{"Id": str(number), "MessageBody": "x"} for number in range(11)]
    sqs = engine.clients.sqs
    code = refusal(lambda: sqs.send_message_batch(QueueUrl=queue.url, Entries=entries))  # type: ignore[arg-type]
    assert code == "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"
    code = refusal(lambda: sqs.send_message_batch(QueueUrl=queue.url, Entries=[]))
    assert code == "AWS.SimpleQueueService.EmptyBatchRequest"
    assert take_all(engine, queue) == []


@promise(Service.SQS, relied_on="one container at a time has a message; redelivery after its death (I6)")
def test_a_message_that_is_not_deleted_comes_again(engine: Engine) -> None:
    """A message that was received is hidden for the visibility time-out, then comes again under another handle."""
    queue = engine.create_queue(visibility_seconds=1, max_receive_count=5)
    sqs = engine.clients.sqs
    sqs.send_message(QueueUrl=queue.url, MessageBody="x")
    (first,) = sqs.receive_message(QueueUrl=queue.url)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=queue.url)
    engine.wait(1.2)
    (second,) = sqs.receive_message(QueueUrl=queue.url)["Messages"]
    assert (second["MessageId"], second["Body"]) == (first["MessageId"], "x")
    assert second["ReceiptHandle"] != first["ReceiptHandle"]


@promise(Service.SQS, relied_on="letting a message rest after trouble")
def test_the_time_until_a_message_comes_again_can_be_set(engine: Engine) -> None:
    """ChangeMessageVisibility makes a message in flight come again after that many seconds, sooner or later."""
    queue = _queue(engine)
    sqs = engine.clients.sqs
    sqs.send_message(QueueUrl=queue.url, MessageBody="x")
    (message,) = sqs.receive_message(QueueUrl=queue.url)["Messages"]
    sqs.change_message_visibility(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=2)
    engine.wait(0.5)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue.url)
    engine.wait(1.8)
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=queue.url)["Messages"]] == ["x"]


@promise(Service.SQS, relied_on="retries that get rarer, and taking first who has come most often")
def test_deliveries_are_counted(engine: Engine) -> None:
    """ReceiveMessage tells with ApproximateReceiveCount how often a message has been received, from 1."""
    queue = _queue(engine)
    sqs = engine.clients.sqs
    sqs.send_message(QueueUrl=queue.url, MessageBody="x")
    for number in (1, 2, 3):
        (message,) = sqs.receive_message(
            QueueUrl=queue.url, VisibilityTimeout=0, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        )["Messages"]
        assert message["Attributes"]["ApproximateReceiveCount"] == str(number)


@promise(Service.SQS, relied_on="messages that never succeed: kept and seen, not tried for ever (I6)")
def test_what_was_received_too_often_is_set_aside(engine: Engine) -> None:
    """After maxReceiveCount deliveries a message goes to the dead-letter queue with its body, and not sooner."""
    queue = engine.create_queue(visibility_seconds=300, max_receive_count=3)
    sqs = engine.clients.sqs
    sqs.send_message(QueueUrl=queue.url, MessageBody="x")
    for _ in range(3):
        assert engine.dead_letters(queue) == []
        assert len(sqs.receive_message(QueueUrl=queue.url, VisibilityTimeout=0)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=queue.url, VisibilityTimeout=0)
    assert engine.dead_letters(queue) == ["x"]


@promise(Service.SQS, relied_on="a submission that is done does not come again")
def test_a_deleted_message_does_not_come_again(engine: Engine) -> None:
    """DeleteMessage and DeleteMessageBatch take messages away for good."""
    queue = engine.create_queue(visibility_seconds=1, max_receive_count=5)
    sqs = engine.clients.sqs
    for body in ("a", "b", "c"):
        sqs.send_message(QueueUrl=queue.url, MessageBody=body)
    handles = [
        message["ReceiptHandle"]
        for message in sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10)["Messages"]
    ]
    sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=handles[0])
    sqs.delete_message_batch(
        QueueUrl=queue.url,
        Entries=[{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles[1:])],
    )
    engine.wait(1.2)
    assert take_all(engine, queue) == []


@promise(Service.SECRETS, relied_on="signing with the key that was put last")
def test_the_current_secret_is_the_last_one(engine: Engine) -> None:
    """GetSecretValue of the stage AWSCURRENT returns what was put last."""
    name = f"contract-{id(engine)}-rotated"
    for text in ("old", "new"):
        engine.put_secret(name, text)
        answer = engine.clients.secrets.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")
        assert answer["SecretString"] == text


@promise(Service.SECRETS, relied_on="telling an operator that the key is gone")
def test_a_missing_secret_is_named_so(engine: Engine) -> None:
    """GetSecretValue of a secret that does not exist is refused with ResourceNotFoundException."""
    secrets = engine.clients.secrets
    code = refusal(lambda: secrets.get_secret_value(SecretId="contract-nothing", VersionStage="AWSCURRENT"))
    assert code == "ResourceNotFoundException"
