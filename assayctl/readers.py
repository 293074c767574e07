"""The readers of a deployment with ``readers: basic-auth``: CloudFront's store of their names and hashes."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError, MissingDependencyException

from assayctl.deployment import Deployment
from assayctl.errors import OperatorCode, aws, invalid
from nixcache.errors import PermanentError, TransientError
from protocol.outputs import Output

if TYPE_CHECKING:
    from mypy_boto3_cloudfront_keyvaluestore import CloudFrontKeyValueStoreClient

_NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")  # stacks/basic_auth.js
_PASSWORD_BYTES: Final = 32
_REQUIREMENTS: Final = "requirements-readers.txt"


class Readers:
    """Who may read the cache. No method returns a hash, and only :meth:`set_password` a password.

    They raise :class:`PermanentError` (``argument-invalid``, ``package-missing``) and :class:`TransientError`.
    """

    def __init__(self, store: CloudFrontKeyValueStoreClient, arn: str) -> None:
        self._store = store
        self._arn = arn

    @classmethod
    def of(cls, deployment: Deployment) -> Readers:
        """Return those of a deployment; raises :class:`PermanentError` (``not-in-this-deployment``)."""
        if Output.READERS_STORE_ARN not in deployment.outputs:
            raise PermanentError(
                OperatorCode.NOT_IN_THIS_DEPLOYMENT,
                f"Everybody reads the cache of {deployment.stack}: it asks for no password.",
                remedy="Put `readers: basic-auth` into the stage's configuration, and deploy.",
            )
        arn = deployment.output(Output.READERS_STORE_ARN)
        return cls(deployment.session.client("cloudfront-keyvaluestore"), arn)

    def names(self) -> list[str]:
        """Return the names of all readers, sorted."""
        with _doing("The readers cannot be listed"):
            pages = self._store.get_paginator("list_keys").paginate(KvsARN=self._arn)
            return sorted(item["Key"] for page in pages for item in page.get("Items", []))

    def set_password(self, name: str) -> tuple[str, bool]:
        """Let ``name`` in with a new password; returns that, and whether it takes the place of another."""
        _check(name)
        # As long as no one can guess: CloudFront counts no failures.
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        with _doing(f"The reader {name} cannot be written"):
            etag = self._etag()
            is_known = self._is_known(name)
            self._store.put_key(
                KvsARN=self._arn,
                Key=name,
                Value=hashlib.sha256(f"{name}:{password}".encode()).hexdigest(),
                IfMatch=etag,
            )
        return password, is_known

    def remove(self, name: str) -> bool:
        """Let ``name`` in no more; whether it was let in."""
        _check(name)
        with _doing(f"The reader {name} cannot be removed"):
            etag = self._etag()
            is_known = self._is_known(name)
            if is_known:
                self._store.delete_key(KvsARN=self._arn, Key=name, IfMatch=etag)
        return is_known

    def _etag(self) -> str:
        """Return the state of the store: read before anything else of it, so that a change is of what was seen."""
        return self._store.describe_key_value_store(KvsARN=self._arn)["ETag"]

    def _is_known(self, name: str) -> bool:
        try:
            self._store.get_key(KvsARN=self._arn, Key=name)
        except self._store.exceptions.ResourceNotFoundException:
            return False
        return True


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid(f"{name!r} is no reader's name.", "Take up to 64 of A-Z a-z 0-9 . _ @ -")


@contextmanager
def _doing(doing: str) -> Iterator[None]:
    with aws(doing):
        try:
            yield
        except MissingDependencyException as error:
            raise PermanentError(
                OperatorCode.PACKAGE_MISSING,
                f"{doing}: the Python package awscrt is not installed.",
                remedy=f"Run `.venv/bin/python -m pip install -r {_REQUIREMENTS}`.",
            ) from error
        except ClientError as error:
            if error.response["Error"].get("Code") != "ConflictException":
                raise
            raise TransientError(
                f"{doing}: somebody else has just changed the readers.", remedy="Run it once more."
            ) from error
