"""The function that makes and announces keys, called by an operator."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Final

from assayctl.deployment import Deployment
from assayctl.errors import OperatorCode, aws
from nixcache.errors import PermanentError, TransientError
from protocol.outputs import Output

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


_TRIES: Final = 3
_PAUSE_SECONDS = 2.0


class KeyFunction:
    """The key function of one deployment. Both methods return the names of the keys that readers are to trust.

    They raise :class:`PermanentError` and :class:`TransientError`.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._lambda: LambdaClient = deployment.session.client("lambda")
        self._name = deployment.output(Output.KEY_FUNCTION_NAME)

    def rotate(self) -> list[str]:
        """Have it make a new key, which signs from now on.

        Tried again under one id, for which there is one key: what failed may have been the announcement alone, and a
        second rotation would be one too many.
        """
        event = {"rotate": str(uuid.uuid4())}
        for _ in range(_TRIES - 1):
            try:
                return self._call(event)
            except TransientError:
                time.sleep(_PAUSE_SECONDS)
        try:
            return self._call(event)
        except TransientError as error:
            raise TransientError(
                f"{error.problem} A new key may have been made all the same.",
                remedy="Before you rotate again: `assayctl announce-keys`, then `assayctl status`.",
            ) from error

    def announce(self) -> list[str]:
        """Have it tell readers which keys there are now, and make the first if there is none."""
        return self._call({})

    def _call(self, event: dict[str, str]) -> list[str]:
        with aws(f"{self._name} cannot be called"):
            answer = self._lambda.invoke(FunctionName=self._name, Payload=json.dumps(event))
            said = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise self._failure(said)
        return [str(name) for name in json.loads(said)["keys"]]

    def _failure(self, said: bytes) -> PermanentError | TransientError:
        """Make of Lambda's report what the function raised, or nearly."""
        try:
            report = json.loads(said)
            kind, message = str(report.get("errorType", "")), str(report.get("errorMessage", ""))
        except (ValueError, AttributeError):
            kind, message = "", said.decode(errors="replace")
        if kind == PermanentError.__name__:
            return PermanentError(OperatorCode.REFUSED, message[:500])
        return TransientError(
            f"{self._name} failed: {message[:300] or kind}.", remedy="Its log in CloudWatch says more."
        )
