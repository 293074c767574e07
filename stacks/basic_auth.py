"""Readers who need a password: a function at CloudFront's edge, and the store that it asks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aws_cdk import aws_cloudfront as cloudfront
from constructs import Construct

from stacks.account_wide_name import account_wide_name

_SOURCE: Final = Path(__file__).with_suffix(".js")


class BasicAuth(Construct):
    """Answers 401 to everybody whom ``users`` does not hold; the operator fills that, the template never does.

    A template, and with it every change of one, can be read by whoever may look at the deployment.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.users = cloudfront.KeyValueStore(
            self,
            "Users",
            key_value_store_name=account_wide_name(self),
            comment="Assay: who may read the cache",
        )
        self.function = cloudfront.Function(
            self,
            "Function",
            comment="Assay: lets in who has a password",
            code=cloudfront.FunctionCode.from_file(file_path=str(_SOURCE)),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
            key_value_store=self.users,
            auto_publish=True,
        )
