"""The Lambdas' code: our packages and what they need, put together without Docker and without the network."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

from nixcache.errors import AssayError
from stacks.bytecode import add_bytecode

_ROOT: Final = Path(__file__).resolve().parents[1]
# `make setup` puts both there: the packages for the Lambda's platform, and the requirements that they were fetched for.
_PACKAGES: Final = _ROOT / ".venv" / "lambda" / "packages"
_FETCHED_FOR: Final = _ROOT / ".venv" / "lambda" / "requirements-lambda.txt"
_REQUIREMENTS: Final = _ROOT / "requirements-lambda.txt"

_OURS: Final = ("nixcache", "protocol", "lambdas")
_NOT_CARRIED: Final = shutil.ignore_patterns(
    # So that the same commit gives the same asset on every machine: what Python leaves behind, and pip's scripts with
    # the hashes that it keeps of them (they name the interpreter that ran here).
    *("__pycache__", "bin", "RECORD"),
    # What no function reads: types, and the examples in AWS's manual.
    *("*.pyi", "py.typed", "examples-1.json"),
    # PyNaCl's requirement for building it; what is built needs cffi's compiled module alone, and its licence.
    *("cffi", "pycparser", "pycparser-*"),
)


class BundleError(AssayError):
    """The Lambda's packages are not there, or are others than requirements-lambda.txt names."""


def lambda_bundle(*, documents: Mapping[str, bytes]) -> lambda_.Code:
    """The code of all of ``lambdas``, one asset for all functions; its hash is that of the files in it.

    ``documents`` are files to put beside it, by their names: a changed one is a changed asset, and deployed as such.

    Raises `BundleError` when `make setup` has not fetched what requirements-lambda.txt names now.
    """
    # Here and not while bundling: an error that passes through jsii comes out as a traceback.
    if not _FETCHED_FOR.is_file() or _FETCHED_FOR.read_bytes() != _REQUIREMENTS.read_bytes():
        raise BundleError("The Lambda's packages are missing or out of date: run `make setup`.")
    return lambda_.Code.from_asset(
        str(_ROOT / "lambdas"),
        asset_hash_type=cdk.AssetHashType.OUTPUT,
        bundling=cdk.BundlingOptions(
            # Required by the type and never used: the local bundler always answers.
            image=lambda_.Runtime.PYTHON_3_14.bundling_image,
            local=_LocalBundling(documents),
            # Docker's variables, read by nobody. CDK bundles once for equal options and sees nothing of our bundler:
            # without these, the second of two deployments in one app would run with the first one's documents.
            environment=_digests(documents),
        ),
    )


def _digests(documents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in documents.items()}


@jsii.implements(cdk.ILocalBundling)
class _LocalBundling:
    def __init__(self, documents: Mapping[str, bytes]) -> None:
        self._documents = documents

    def try_bundle(self, output_dir: str, *, image: cdk.DockerImage, **_options: Any) -> bool:  # noqa: ANN401, ARG002  jsii's
        output = Path(output_dir)
        shutil.copytree(_PACKAGES, output, dirs_exist_ok=True, ignore=_NOT_CARRIED)
        for package in _OURS:
            shutil.copytree(_ROOT / package, output / package, ignore=_NOT_CARRIED)
        _leave_out_services(output / "botocore" / "data", kept=set(_services(output / "lambdas")))
        add_bytecode(output)
        for document, data in self._documents.items():
            (output / document).write_bytes(data)
        return True


def _services(lambdas: Path) -> Iterator[str]:
    """Yield what AWS services the functions make clients of, by botocore's names: all that they will find.

    Read off the code, so that nobody who adds a client has to think of it. Raises `BundleError` where it cannot be.
    """
    for source in lambdas.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_bytes())):
            match node:
                case ast.Call(func=ast.Attribute(attr="create_client"), args=[ast.Constant(value=str(service)), *_]):
                    yield service
                case ast.Call(func=ast.Attribute(attr="create_client")):
                    place = f"{source.relative_to(lambdas.parent)}:{node.lineno}"
                    raise BundleError(
                        f"{place}: name the service in create_client itself; the bundle carries no other."
                    )


def _leave_out_services(data: Path, *, kept: set[str]) -> None:
    """Leave out what botocore knows of 400 other services: 22 of its 24 MB.

    Each cold start would search the directories, and parse a megabyte of endpoints for 40 ms.
    """
    for service in data.iterdir():
        if service.is_dir() and service.name not in kept:
            shutil.rmtree(service)
    prefixes = {
        json.loads(gzip.decompress(model.read_bytes()))["metadata"]["endpointPrefix"]
        for model in data.glob("*/*/service-2.json.gz")
    }
    endpoints = data / "endpoints.json"
    document = json.loads(endpoints.read_bytes())
    for partition in document["partitions"]:
        partition["services"] = {name: at for name, at in partition["services"].items() if name in prefixes}
    endpoints.write_text(json.dumps(document))
