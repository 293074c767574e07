"""``assay explain``: where a path is, what it waits for, what the service said, and what to do about it."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Final

from hook.commands.named_paths import HELP
from hook.config import machine_config, uploader_config
from hook.exit_code import ExitCode
from hook.subject import subject
from nixcache.errors import PermanentError
from nixcache.store_path import StoreDir

if TYPE_CHECKING:
    import argparse

    from hook.config import MachineConfig, UploaderConfig
    from hook.explanation import Unasked
    from hook.report import Report

SCHEMA: Final = 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "explain",
        help="tell where a path is, what it waits for, what the service said, and what to do",
        description="Asks this machine's store and queue, the cache, the upstreams and the ledger about one path. What"
        " cannot be asked is named with its reason; the rest is told. Exit code: 0 published, 1 rejected or not known"
        " anywhere, 3 still under way, 4 could not be told.",
    )
    parser.add_argument("path", metavar="PATH", help=HELP)
    parser.add_argument("--json", action="store_true", help="print one JSON document (docs/reference/assay-json.md)")


def run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    """Ask everybody, and tell; raises PermanentError for what is no path."""
    # boto3 takes a third of a second to be imported, which the other commands need not wait for.
    from hook import explanation  # noqa: PLC0415
    from hook.commands.explained import as_document, as_text, conclude  # noqa: PLC0415
    from hook.nix_store import NixStore  # noqa: PLC0415
    from hook.queue.view import QueueView  # noqa: PLC0415

    machine, config, unasked = _configured()
    # Nix's own variable: what this machine's store is needs no configuration of ours.
    store_dir = machine.store_dir if machine else StoreDir(os.environ.get("NIX_STORE_DIR") or "/nix/store")
    investigator = explanation.Investigator(
        nix_store=NixStore(store_dir, bin_dir=machine.nix_bin_dir if machine else None),
        view=QueueView(machine.state_dir, store_dir) if machine else None,
        config=config,
        unasked=unasked,
    )
    facts = investigator.ask(subject(arguments.path, store_dir))
    conclusion = conclude(facts, store_dir, time.time())
    if arguments.json:
        report.document(json.dumps({"schema": SCHEMA, **as_document(facts, conclusion, store_dir)}, indent=1))
    else:
        report.progress(as_text(facts, conclusion, store_dir, time.time()))
    return conclusion.exit_code


def _configured() -> tuple[MachineConfig | None, UploaderConfig | None, list[Unasked]]:
    from hook.explanation import Unasked  # noqa: PLC0415 - as above

    try:
        machine = machine_config(os.environ)
    except PermanentError as error:
        return None, None, [Unasked(what, str(error)) for what in ("queue", "cache", "ledger")]
    try:
        return machine, uploader_config(os.environ), []
    except PermanentError as error:
        return machine, None, [Unasked(what, str(error)) for what in ("cache", "ledger")]
