"""CDK entry: stage → Config → stack."""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk

from nixcache.errors import AssayError
from protocol.outputs import stack_name
from stacks.assay_stack import AssayStack
from stacks.backup_stack import BackupStack
from stacks.config_file import read_config


def main() -> None:
    """Synthesise the stage that `-c stage=…` names; with `-c part=backup`, the bucket of its copy elsewhere."""
    app = cdk.App()
    config = read_config(Path(__file__).parent, app.node.try_get_context("stage"))
    # One stack at a time, so that `cdk deploy` needs no name.
    if app.node.try_get_context("part") == "backup":
        BackupStack(app, f"{stack_name(config.stage)}-backup", config=config)
    else:
        AssayStack(app, stack_name(config.stage), config=config)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except AssayError as error:
        sys.exit(str(error))
