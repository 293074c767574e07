"""Where the configuration of a stage lies: config/<stage>.yaml, whose name is the stage's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from nixcache.errors import AssayError
from stacks.config import Config
from stacks.config_parser import check_stage, parse_config

DIRECTORY: Final = "config"
DEFAULT_STAGE: Final = "dev"


class StageError(AssayError):
    """No configuration can be read for a stage."""


def read_config(root: Path, stage: object) -> Config:
    """Read the configuration of ``stage`` (`DEFAULT_STAGE` where that is None) below ``root``.

    Raises `StageError`, or `stacks.config_error.ConfigError` for what is in the file.
    """
    try:
        name = check_stage(DEFAULT_STAGE if stage is None else stage)
    except ValueError as error:
        raise StageError(f"-c stage: {error}") from error
    file = f"{DIRECTORY}/{name}.yaml"
    try:
        data = (root / file).read_bytes()
    except OSError as error:
        there = ", ".join(sorted(path.stem for path in (root / DIRECTORY).glob("*.yaml"))) or "none"
        raise StageError(f"{file}: cannot be read: {error.strerror}; the stages are {there}") from error
    return parse_config(data, file=file, stage=name)
