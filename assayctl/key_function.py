"""The function that makes and announces keys, called by an operator."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from assayctl.deployment import Deployment
from assayctl.errors import aws
from nixcache.errors import TransientError
from protocol.outputs import Output

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class KeyFunction:
    """The key function of one deployment. Both methods return the names of the keys that readers are to trust.

    They raise :class:`PermanentError` and :class:`TransientError`.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._lambda: LambdaClient = deployment.session.client("lambda")
        self._name = deployment.output(Output.KEY_FUNCTION_NAME)

    def rotate(self) -> list[str]:
        """Have it make a new key, which signs from now on."""
        return self._call({"rotate": str(uuid.uuid4())})

    def announce(self) -> list[str]:
        """Have it tell readers which keys there are now, and make the first if there is none."""
        return self._call({})

    def _call(self, event: dict[str, str]) -> list[str]:
        with aws(f"{self._name} cannot be called"):
            answer = self._lambda.invoke(FunctionName=self._name, Payload=json.dumps(event))
            said = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise TransientError(
                f"{self._name} failed: {said[:300].decode(errors='replace')}", remedy="Its log in CloudWatch says more."
            )
        return [str(name) for name in json.loads(said)["keys"]]
