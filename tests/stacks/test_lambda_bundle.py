"""The Lambda's code: whole, for its own platform, and nothing else in it."""

from __future__ import annotations

import ast
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_

from protocol.keys import BuilderName
from protocol.policy import BuilderRules, QuorumRule, SubmissionPolicy
from protocol.settings import IngestSettings
from stacks import lambda_bundle
from stacks.bytecode import SUFFIX
from tests.stacks.conftest import ROOT, Synthesis
from tests.stacks.policy_evaluator import Account

AARCH64 = 183  # e_machine, elf.h
PYTHON_3_14 = b"\x2b\x0e\r\n"  # what its bytecode begins with
UNCHECKED = 1  # PEP 552: made from a source that is not looked at again
OURS = ("nixcache", "protocol", "lambdas")


@pytest.fixture(scope="module")
def bundle(synthesis: Synthesis) -> Path:
    [asset] = synthesis.directory.glob("asset.*")
    return asset


def test_it_holds_the_handler_and_what_the_handler_needs(bundle: Path) -> None:
    assert {path.name for path in bundle.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")} == {
        "__pycache__",
        "botocore",
        "dateutil",
        "jmespath",
        "lambdas",
        "nacl",
        "nixcache",
        "protocol",
        "urllib3",
    }
    assert {"ingest", "sweep"} <= {path.name for path in (bundle / "lambdas").iterdir()}


def test_it_holds_the_policy_where_the_function_looks_for_it(
    bundle: Path, synthesis: Synthesis, account: Account
) -> None:
    function = synthesis.function("ingest")
    settings = IngestSettings.from_environment(account.resolve(function["Environment"]["Variables"]))
    file = bundle / settings.policy_file
    policy = SubmissionPolicy.from_json(file.read_bytes())
    assert policy.rules(BuilderName("ci")) == BuilderRules(trust_group="ci", max_nar_size=1_000_000)
    assert policy.rules(BuilderName("ci-2")) == BuilderRules(trust_group="runners", names=("lib*",), max_nar_size=1000)
    assert policy.quorum == (QuorumRule(("linux-*",), 2),)


def test_another_policy_is_another_asset(tmp_path: Path) -> None:
    """Or CloudFormation would see no change, and the old policy would go on; also for two deployments in one app."""
    app = cdk.App(outdir=str(tmp_path))
    stack = cdk.Stack(app, "Stack")
    for number, policy in enumerate((b"one", b"two", b"one")):
        lambda_.Function(
            stack,
            f"Function{number}",
            runtime=lambda_.Runtime.PYTHON_3_14,
            handler="handler",
            code=lambda_bundle.lambda_bundle(documents={"policy.json": policy}),
        )
    resources = app.synth().get_stack_by_name("Stack").template["Resources"].values()
    functions = [resource["Properties"] for resource in resources if resource["Type"] == "AWS::Lambda::Function"]
    first, second, third = [function["Code"]["S3Key"] for function in functions]
    assert first == third
    assert first != second


@pytest.mark.parametrize("name", ["ingest", "sweep"])
def test_lambda_finds_the_handler_that_the_function_names(bundle: Path, synthesis: Synthesis, name: str) -> None:
    function = synthesis.function(name)
    module, _, entry = function["Handler"].rpartition(".")
    source = (bundle / module.replace(".", "/")).with_suffix(".py")
    statements = ast.parse(source.read_text()).body
    assigned = {ast.unparse(target) for node in statements if isinstance(node, ast.Assign) for target in node.targets}
    defined = {node.name for node in statements if isinstance(node, ast.FunctionDef)}
    assert entry in assigned | defined


def test_every_import_of_ours_is_met_in_the_bundle_or_the_runtime(bundle: Path) -> None:
    """Type stubs, test tools and `backports.zstd` are on a developer's machine and not in Lambda."""
    runtime = {*sys.stdlib_module_names, "compression"}
    carried = {path.name.partition(".")[0] for path in bundle.iterdir()}
    unmet = {
        (str(source.relative_to(bundle)), module)
        for package in OURS
        for source in (bundle / package).rglob("*.py")
        for module in _imported_at_run_time(ast.parse(source.read_text()).body)
        if module.partition(".")[0] not in runtime | carried
    }
    assert unmet == set()


@pytest.mark.parametrize("name", ["ingest", "sweep"])
def test_all_that_a_handler_imports_of_ours_lies_in_the_bundle(bundle: Path, name: str) -> None:
    """One handler lives on modules of the other's: a bundle of its own folder alone would not start."""
    found: set[Path] = set()
    todo = {f"lambdas.{name}.handler"}
    while todo:
        module = todo.pop()
        [source] = [
            file
            for file in (bundle / module.replace(".", "/") / "__init__.py", bundle / f"{module.replace('.', '/')}.py")
            if file.is_file()
        ]
        if source in found:
            continue
        found.add(source)
        imported = {module.rpartition(".")[0], *_imported_at_run_time(ast.parse(source.read_text()).body)}
        todo |= {other for other in imported if other.partition(".")[0] in OURS}
    assert bundle / "lambdas" / "ingest" / "adapters" / "queue.py" in found


def _imported_at_run_time(statements: list[ast.stmt]) -> Iterator[str]:
    """Modules that Lambda's Python imports: not those under TYPE_CHECKING, nor those for older Pythons."""
    for statement in statements:
        match statement:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from _imported_at_run_time(statement.orelse)
            case ast.If(test=test) if ast.unparse(test) == "sys.version_info >= (3, 14)":
                yield from _imported_at_run_time(statement.body)
            case ast.Import():
                yield from (alias.name for alias in statement.names)
            case ast.ImportFrom(module=str(module)):
                yield module
            case _:
                nested = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
                yield from _imported_at_run_time(nested)


def test_it_holds_no_tests_and_nothing_that_a_tool_left(bundle: Path) -> None:
    names = {part for path in bundle.rglob("*") for part in path.relative_to(bundle).parts}
    assert not names & {"tests", "stacks", "hook", "local", "boto3", "assayctl", "aws_lambda_powertools"}
    assert not {name for name in names if name.endswith(".pyi")}
    # Of this machine's Python; that of Lambda's is there on purpose.
    assert not {name for name in names if name.endswith(".pyc") and not name.endswith(SUFFIX)}


def test_it_is_the_same_on_every_machine(bundle: Path) -> None:
    """Nothing in it names the directory it was made in, nor holds the hash of something that does (pip's RECORD)."""
    files = [path for path in bundle.rglob("*") if path.is_file()]
    here = str(ROOT).encode()
    assert [path for path in files if path.name == "RECORD" or here in path.read_bytes()] == []


def test_its_native_modules_are_for_arm64(bundle: Path) -> None:
    natives = list(bundle.rglob("*.so"))
    assert natives
    for native in natives:
        header = native.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert struct.unpack_from("<H", header, 18) == (AARCH64,)


def test_its_notices_of_licence_come_along(bundle: Path) -> None:
    for name in ("PyNaCl", "cffi", "botocore", "brotli"):
        [_] = [path for path in bundle.glob("*.dist-info") if path.name.lower().startswith(name.lower())]


@pytest.mark.parametrize("fetched_for", [None, "botocore==1.0.0\n"])
def test_packages_that_are_missing_or_stale_are_no_silent_bundle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fetched_for: str | None
) -> None:
    stamp = tmp_path / "requirements-lambda.txt"
    if fetched_for is not None:
        stamp.write_text(fetched_for)
    monkeypatch.setattr(lambda_bundle, "_FETCHED_FOR", stamp)
    with pytest.raises(lambda_bundle.BundleError, match="run `make setup`"):
        lambda_bundle.lambda_bundle(documents={})


def test_it_is_small(bundle: Path) -> None:
    """Lambda fetches and unpacks it at each cold start, and loads what lies in it bit by bit."""
    sizes = {path: path.stat().st_size for path in bundle.rglob("*") if path.is_file()}
    botocore = sum(size for path, size in sizes.items() if path.relative_to(bundle).parts[0] == "botocore")
    assert sum(sizes.values()) - botocore <= 15_000_000
    assert botocore <= 6_000_000


def test_every_module_is_compiled_for_lambdas_python(bundle: Path) -> None:
    """The file system there is read-only: what is not compiled here is compiled at each cold start, for a second."""
    modules = list(bundle.rglob("*.py"))
    assert modules
    for module in modules:
        header = (module.parent / "__pycache__" / f"{module.stem}{SUFFIX}").read_bytes()[:8]
        assert (header[:4], header[4]) == (PYTHON_3_14, UNCHECKED), module


def test_it_knows_the_services_that_the_functions_ask_for_and_no_others(bundle: Path) -> None:
    """A service that is not there fails in production alone, at the first call."""
    asked = {
        node.args[0].value
        for source in (bundle / "lambdas").rglob("*.py")
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("create_client")
        if isinstance(node.args[0], ast.Constant)
    }
    assert {"s3", "sqs", "secretsmanager"} <= asked
    assert {path.name for path in (bundle / "botocore" / "data").iterdir() if path.is_dir()} == asked


def test_a_client_of_a_service_that_cannot_be_read_off_the_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lambdas").mkdir()
    (tmp_path / "lambdas" / "new.py").write_text(
        "def connect(session, name):\n    return session.create_client(name)\n"
    )
    with pytest.raises(lambda_bundle.BundleError, match=r"lambdas/new\.py:2: "):
        list(lambda_bundle._services(tmp_path / "lambdas"))


@pytest.fixture(scope="module")
def for_this_machine(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with this machine's natives in place of arm64's, and zstd for Pythons before 3.14."""
    copy = tmp_path_factory.mktemp("task") / "bundle"
    shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("*.so", "*.pyc"))
    import nacl  # noqa: PLC0415 - only to find where packages are

    packages = Path(nacl.__file__).parents[1]
    for native in (*packages.glob("_brotli*.so"), *packages.glob("_cffi_backend*.so"), *packages.glob("nacl/*.so")):
        shutil.copyfile(native, copy / native.relative_to(packages))
    if sys.version_info < (3, 14):
        shutil.copytree(packages / "backports", copy / "backports")
    return copy


def test_what_is_left_of_it_starts_and_serves(for_this_machine: Path) -> None:
    """Nothing else is on the path (`-S`): what was left out too many would be missed here."""
    settings = IngestSettings(
        staging_bucket="staging",
        cache_bucket="cache",
        ledger_bucket="ledger",
        queue_url="https://sqs.eu-central-1.amazonaws.com/111122223333/ingest",
        signing_secret_id="key",
        policy_file=str(for_this_machine / "policy.json"),
    )
    record = {
        "messageId": "1",
        "receiptHandle": "handle",
        "attributes": {"ApproximateReceiveCount": "1"},
        "body": json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "staging"}),
    }
    program = f"""
import sys
from lambdas.ingest import handler

class Context:
    def get_remaining_time_in_millis(self):
        return 900_000

assert handler.handler({{"Records": [{record!r}]}}, Context()) == {{"batchItemFailures": []}}
import lambdas.sweep.handler, brotli
from nixcache.signing import SecretKey
strangers = [m.__file__ for m in sys.modules.values() if "site-packages" in (getattr(m, "__file__", None) or "")]
assert strangers == [], strangers
"""
    environment = {
        **settings.to_environment(),
        "PYTHONPATH": str(for_this_machine),
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "PATH": os.environ["PATH"],
    }
    finished = subprocess.run(
        [sys.executable, "-S", "-B", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
