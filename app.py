"""CDK entry: context → Config → stack."""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk

from nixcache.errors import AssayError
from stacks.assay_stack import AssayStack
from stacks.config import Config


def main() -> None:
    """Synthesise what cdk.json's context describes."""
    app = cdk.App()
    config = Config.from_context(app.node.try_get_context("assay"), directory=Path(__file__).parent)
    AssayStack(app, f"Assay-{config.stage}", config=config)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except AssayError as error:
        sys.exit(str(error))
