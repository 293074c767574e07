"""The function: which code, how much machine, fed by what."""

from __future__ import annotations

from typing import Any

import pytest

from nixcache.verify import Policy
from protocol.delivery import BATCH_SIZE, FUNCTION_TIMEOUT_SECONDS, MAX_CONCURRENCY
from protocol.settings import IngestSettings, ReferencePolicy
from tests.stacks.conftest import Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, REGION, Account


@pytest.fixture(scope="module")
def function(synthesis: Synthesis) -> dict[str, Any]:
    """Its properties."""
    return synthesis.function("ingest")


def test_it_runs_on_arm_with_the_runtime_that_the_bundle_was_made_for(function: dict[str, Any]) -> None:
    assert function["Runtime"] == "python3.14"
    assert function["Architectures"] == ["arm64"]


def test_it_has_one_core_and_lambdas_longest_time(function: dict[str, Any]) -> None:
    assert function["MemorySize"] >= 1769
    assert function["Timeout"] == FUNCTION_TIMEOUT_SECONDS


def test_a_chain_of_wake_ups_is_no_runaway_loop(function: dict[str, Any]) -> None:
    """I6: Lambda would drop the 17th path of a chain into the dead letters."""
    assert function["RecursiveLoop"] == "Allow"


def test_it_is_traced_and_its_logs_expire(function: dict[str, Any], synthesis: Synthesis) -> None:
    assert function["TracingConfig"] == {"Mode": "Active"}
    log_group = function["LoggingConfig"]["LogGroup"]["Ref"]
    assert synthesis.of_type("AWS::Logs::LogGroup")[log_group]["RetentionInDays"] == 90


def test_the_handler_reads_from_its_environment_what_the_stack_was_configured_with(
    function: dict[str, Any], synthesis: Synthesis, account: Account
) -> None:
    settings = IngestSettings.from_environment(account.resolve(function["Environment"]["Variables"]))
    [queue] = [name for name, queue in synthesis.of_type("AWS::SQS::Queue").items() if "RedrivePolicy" in queue]
    assert settings == IngestSettings(
        staging_bucket=f"assay-test-staging-{ACCOUNT}-{REGION}",
        cache_bucket=f"assay-test-cache-{ACCOUNT}-{REGION}",
        ledger_bucket=f"assay-test-ledger-{ACCOUNT}-{REGION}",
        queue_url=queue,
        signing_secret_id="assay/test/signing-key",
        policy_file="policy.json",
        max_nar_size=1_000_000,
        max_expansion=100,
        references=ReferencePolicy(not_found=Policy.WARN, undeclared=Policy.REJECT),
        max_waiting_seconds=3 * 86400,
        publish_upstream_paths=True,
        key_overlap_days=90,
        stage="test",
    )


def test_each_message_of_a_batch_fails_alone(synthesis: Synthesis) -> None:
    [mapping] = synthesis.of_type("AWS::Lambda::EventSourceMapping").values()
    assert mapping["BatchSize"] == BATCH_SIZE
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    # The mapping's own limit; reserved concurrency would throttle messages into the dead letters.
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": MAX_CONCURRENCY}
