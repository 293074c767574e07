"""The Lambda's code: whole, for its own platform, and nothing else in it."""

from __future__ import annotations

import ast
import struct
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
from tests.stacks.conftest import ROOT, Synthesis
from tests.stacks.policy_evaluator import Account

AARCH64 = 183  # e_machine, elf.h
OURS = ("nixcache", "protocol", "lambdas")


@pytest.fixture(scope="module")
def bundle(synthesis: Synthesis) -> Path:
    [asset] = synthesis.directory.glob("asset.*")
    return asset


def test_it_holds_the_handler_and_what_the_handler_needs(bundle: Path) -> None:
    assert {path.name for path in bundle.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")} == {
        "aws_lambda_powertools",
        "botocore",
        "cffi",
        "dateutil",
        "jmespath",
        "lambdas",
        "nacl",
        "nixcache",
        "protocol",
        "pycparser",
        "urllib3",
    }
    assert {path.name for path in (bundle / "lambdas").iterdir()} == {"__init__.py", "ingest", "sweep"}


def test_it_holds_the_policy_where_the_function_looks_for_it(
    bundle: Path, synthesis: Synthesis, account: Account
) -> None:
    function = synthesis.function("ingest")
    settings = IngestSettings.from_environment(account.resolve(function["Environment"]["Variables"]))
    file = bundle / Path(settings.policy_file).relative_to("/var/task")
    everything = BuilderRules(trust_group="ci", max_nar_size=1_000_000)
    assert SubmissionPolicy.from_json(file.read_bytes()) == SubmissionPolicy(
        {
            BuilderName("ci"): everything,
            BuilderName("ci-2"): BuilderRules(trust_group="runners", names=("lib*",), max_nar_size=1000),
        },
        (QuorumRule(("linux-*",), 2),),
    )


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
    assert not names & {"__pycache__", "tests", "stacks", "hook", "local", "boto3"}
    assert not {name for name in names if name.endswith(".pyc")}


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
    for name in ("PyNaCl", "cffi", "aws_lambda_powertools", "brotli"):
        [_] = [path for path in bundle.glob("*.dist-info") if path.name.lower().startswith(name.lower())]


@pytest.mark.parametrize("fetched_for", [None, "aws-lambda-powertools==1.0.0\n"])
def test_packages_that_are_missing_or_stale_are_no_silent_bundle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fetched_for: str | None
) -> None:
    stamp = tmp_path / "requirements-lambda.txt"
    if fetched_for is not None:
        stamp.write_text(fetched_for)
    monkeypatch.setattr(lambda_bundle, "_FETCHED_FOR", stamp)
    with pytest.raises(lambda_bundle.BundleError, match="run `make setup`"):
        lambda_bundle.lambda_bundle(documents={})
