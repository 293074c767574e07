"""Re-signing: the one role that writes over a narinfo, and the machine that calls its function."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambdas.resign.request import Mode, Request
from nixcache.errors import PermanentError, TransientError
from nixcache.store_path import parse_hash_part
from protocol.delivery import FUNCTION_TIMEOUT_SECONDS
from protocol.keys import BuilderName, CacheNarInfoKey, NarFile, ProvenanceKey, ResultKey, StagingNarInfoKey, VoteKey
from protocol.settings import ResignSettings
from tests.stacks.access_table import NAR_FILE
from tests.stacks.conftest import Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, ADMINISTRATOR, REGION, Account

CI = BuilderName("ci")
HASH_PART = parse_hash_part("0123456789abcdfghijklmnpqrsvwxyz")
NARINFO = CacheNarInfoKey(HASH_PART)
AS_READ = {"s3__if_match": '"etag"'}
NEW = {"s3__if_none_match": "*"}
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:assay/test/signing-key-AbCdEf"
_MAX_PAYLOAD = 256 * 1024
"""Bytes: of one state's input, and of what all batches of a map return."""


def _arn(bucket: str, key: object = "") -> str:
    name = f"arn:aws:s3:::assay-test-{bucket}-{ACCOUNT}-{REGION}"
    return f"{name}/{key}" if key else name


@pytest.fixture(scope="module")
def definition(synthesis: Synthesis) -> dict[str, Any]:
    [machine] = synthesis.of_type("AWS::StepFunctions::StateMachine").values()
    found = machine["Definition"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def batch(definition: dict[str, Any]) -> dict[str, Any]:
    found = definition["States"]["EachBatch"]["ItemProcessor"]["States"]["Batch"]
    assert isinstance(found, dict)
    return found


def test_i3_only_the_re_signer_writes_over_a_narinfo_and_only_what_it_has_read(account: Account) -> None:
    role = account.role("ResigningRole")
    assert account.decide(role, "s3:PutObject", _arn("cache", NARINFO), **AS_READ)
    for context in ({}, NEW, {"s3__x_amz_storage_class": "STANDARD"}):
        assert not account.decide(role, "s3:PutObject", _arn("cache", NARINFO), **context)
    for other in (ADMINISTRATOR, *map(account.role, ("IngestRole", "KeysRole", "SweeperRole", "ResigningMachineRole"))):
        assert not account.decide(other, "s3:PutObject", _arn("cache", NARINFO), **AS_READ)


@pytest.mark.parametrize("key", [NARINFO, f"nar/{NAR_FILE}"])
def test_it_reads_what_is_published(account: Account, key: object) -> None:
    assert account.decide(account.role("ResigningRole"), "s3:GetObject", _arn("cache", key))


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        pytest.param("s3:PutObject", _arn("cache", f"nar/{NAR_FILE}"), AS_READ, id="writing a NAR"),
        pytest.param("s3:PutObject", _arn("cache", f"{HASH_PART}.ls"), AS_READ, id="writing a listing"),
        pytest.param("s3:PutObject", _arn("cache", "public-keys"), AS_READ, id="announcing a key"),
        pytest.param("s3:PutObject", _arn("cache", "index.html"), AS_READ, id="writing the page"),
        pytest.param("s3:DeleteObject", _arn("cache", NARINFO), {}, id="unpublishing"),
        pytest.param("s3:DeleteObjectVersion", _arn("cache", NARINFO), {}, id="removing what was before"),
        pytest.param("s3:PutObject", _arn("ledger", VoteKey(HASH_PART, CI)), AS_READ, id="changing a vote"),
        pytest.param("s3:GetObject", _arn("ledger", ResultKey(CI, HASH_PART)), {}, id="reading a result"),
        pytest.param("s3:PutObject", _arn("ledger", ProvenanceKey(HASH_PART)), {}, id="writing provenance"),
        pytest.param("s3:GetObject", _arn("staging", StagingNarInfoKey(CI, HASH_PART)), {}, id="reading a submission"),
        pytest.param("secretsmanager:PutSecretValue", SECRET, {}, id="writing the key"),
        pytest.param("secretsmanager:UpdateSecretVersionStage", SECRET, {}, id="choosing the key"),
    ],
)
def test_i8_it_may_do_nothing_else(account: Account, action: str, resource: str, context: dict[str, str]) -> None:
    assert not account.decide(account.role("ResigningRole"), action, resource, **context)


def test_i8_no_action_that_the_table_above_does_not_name(account: Account) -> None:
    assert account.actions_of(account.role("ResigningRole")) == {
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }


def test_i8_the_machine_calls_its_function_and_reads_no_object(account: Account) -> None:
    role = account.role("ResigningMachineRole")
    actions = account.actions_of(role)
    assert {action for action in actions if action.startswith(("s3:", "lambda:", "secretsmanager:"))} == {
        "s3:ListBucket",
        "lambda:InvokeFunction",
    }
    assert account.decide(role, "s3:ListBucket", _arn("cache"))
    for bucket in ("staging", "ledger", "logs"):
        assert not account.decide(role, "s3:ListBucket", _arn(bucket))
    name = "assay-test-resigning"
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
    assert account.decide(role, "states:StartExecution", machine)
    assert not account.decide(role, "states:StartExecution", f"{machine}-2")
    for run in (f"{name}:run", f"{name}/Batches:run"):
        assert account.decide(role, "states:StopExecution", f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{run}")


def test_the_function_knows_what_it_needs_and_has_the_time_that_its_code_counts_with(synthesis: Synthesis) -> None:
    function = synthesis.function("resign")
    variables = dict.fromkeys(ResignSettings(cache_bucket="", ledger_bucket="", signing_secret_id="").to_environment())
    assert set(function["Environment"]["Variables"]) == set(variables)
    assert function["Environment"]["Variables"]["ASSAY_STAGE"] == "test"
    assert function["Timeout"] == FUNCTION_TIMEOUT_SECONDS


def test_the_machine_is_the_one_that_its_roles_name(synthesis: Synthesis) -> None:
    [machine] = synthesis.of_type("AWS::StepFunctions::StateMachine").values()
    assert machine["StateMachineName"] == "assay-test-resigning"
    assert machine["StateMachineType"] == "STANDARD"
    assert "ResigningStateMachine" in synthesis.template["Outputs"]


def test_a_batch_is_what_the_function_reads(definition: dict[str, Any]) -> None:
    """What the map makes of a listing's item and of the execution's input is what Request.parse takes."""
    each = definition["States"]["EachBatch"]
    assert each["ItemReader"]["Resource"] == "arn:aws:states:::s3:listObjectsV2"
    assert each["ItemSelector"] == {"Key.$": "$$.Map.Item.Value.Key"}
    assert each["ItemBatcher"]["BatchInput"] == {"request.$": "$$.Execution.Input"}
    request = Request.parse({"BatchInput": {"request": {"mode": "add"}}, "Items": [{"Key": str(NARINFO)}]})
    assert request == Request(Mode.ADD, frozenset(), (NARINFO,))


def test_the_longest_batch_fits_into_a_states_input(definition: dict[str, Any]) -> None:
    size = definition["States"]["EachBatch"]["ItemBatcher"]["MaxItemsPerBatch"]
    longest = {"Key": NarFile("0" * 52, ".bz2").url}
    revoked = [f"cache.example.org-{number}" for number in range(10)]
    event = {"BatchInput": {"request": {"mode": "reverify", "revoked": revoked}}, "Items": [longest] * size}
    # S3 takes keys of 1024 bytes, which somebody else may have put there: a fifth of them would still fit.
    assert len(json.dumps(event)) < _MAX_PAYLOAD // 2


def test_the_results_of_all_batches_of_ten_million_paths_fit_into_one(definition: dict[str, Any]) -> None:
    objects = 10_000_000 * 3
    batches = objects // definition["States"]["EachBatch"]["ItemBatcher"]["MaxItemsPerBatch"]
    assert batches * len("{},") < _MAX_PAYLOAD


def test_no_batch_may_be_left_out_and_what_was_left_unsigned_is_said(definition: dict[str, Any]) -> None:
    each = definition["States"]["EachBatch"]
    assert each["ToleratedFailurePercentage"] == 0
    assert each["ResultSelector"] == {"notSigned.$": "$[*].notSigned"}
    choice = definition["States"][each["Next"]]
    [rule] = choice["Choices"]
    assert (rule["Variable"], rule["IsPresent"]) == ("$.notSigned[0]", True)
    assert definition["States"][rule["Next"]]["Type"] == "Fail"
    assert definition["States"][choice["Default"]]["Type"] == "Succeed"


def test_a_batch_may_take_as_long_as_a_function(definition: dict[str, Any], batch: dict[str, Any]) -> None:
    processor = definition["States"]["EachBatch"]["ItemProcessor"]["ProcessorConfig"]
    assert processor == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "an express one ends after five minutes"
    assert batch["TimeoutSeconds"] > FUNCTION_TIMEOUT_SECONDS


def test_trouble_is_tried_again_and_a_wrong_request_is_not(batch: dict[str, Any]) -> None:
    tries = {name: retrier["MaxAttempts"] for retrier in batch["Retry"] for name in retrier["ErrorEquals"]}
    assert tries[PermanentError.__name__] == 0
    assert tries[TransientError.__name__] > 10
    assert batch["Retry"][-1]["ErrorEquals"] == ["States.ALL"], "as the language wants it: alone, and last"


def test_every_state_leads_somewhere(definition: dict[str, Any]) -> None:
    states = definition["States"]
    nexts = {state["Next"] for state in states.values() if "Next" in state}
    for state in states.values():
        nexts |= {rule["Next"] for rule in state.get("Choices", ())} | (
            {state["Default"]} if "Default" in state else set()
        )
    assert nexts | {definition["StartAt"]} == set(states)
