"""The Lambdas' code: our packages and what they need, put together without Docker and without the network."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

from nixcache.errors import AssayError

_ROOT: Final = Path(__file__).resolve().parents[1]
# `make setup` puts both there: the packages for the Lambda's platform, and the requirements that they were fetched for.
_PACKAGES: Final = _ROOT / ".venv" / "lambda" / "packages"
_FETCHED_FOR: Final = _ROOT / ".venv" / "lambda" / "requirements-lambda.txt"
_REQUIREMENTS: Final = _ROOT / "requirements-lambda.txt"

# Left out, so that the same commit gives the same asset on every machine: what Python leaves behind, and pip's scripts
# with the hashes that it keeps of them (they name the interpreter that ran here).
_NOT_CARRIED: Final = shutil.ignore_patterns("__pycache__", "bin", "RECORD")


TASK_ROOT: Final = "/var/task"
"""Where Lambda puts the code."""


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
        for package in ("nixcache", "protocol", "lambdas"):
            shutil.copytree(_ROOT / package, output / package, ignore=_NOT_CARRIED)
        for document, data in self._documents.items():
            (output / document).write_bytes(data)
        return True
