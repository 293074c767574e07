"""A builder that has Nix and AWS's command line, and nothing of Assay's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from local.aws import PROJECT_ROOT
from local.demo.submission import Receipt, Sender
from local.service import LocalService
from nixcache.store_path import StorePath
from protocol.keys import BuilderName, StagingNarInfoKey
from protocol.verdicts import Verdict
from tests.hook.nix import Nix

PAGE = PROJECT_ROOT / "docs/how-to/stock-client.md"


def recipe() -> str:
    """Return the script that the page tells people to save, to the letter."""
    script = re.search(r"```sh\n(#!/bin/sh\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert script
    return script[1]


class StockBuilder:
    """One builder's credentials, and the commands that its page names."""

    def __init__(self, service: LocalService, name: BuilderName, nix: Nix, directory: Path) -> None:
        """Save the page's script in ``directory``."""
        self.name = name
        self._nix = nix
        self._sender = Sender(service, name)
        self._script = directory / "assay-send"
        self._script.write_text(recipe())
        self._script.chmod(0o755)
        settings = service.deployment.settings
        self._staging = f"s3://{settings.staging_bucket}/{name}"
        self._environment = {
            **nix.environment,
            **service.aws.environment(service.deployment.builders[name]),
            # AWS's command line is one of the development packages.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "BUILDER": str(name),
            "STAGING_BUCKET": settings.staging_bucket,
            "LEDGER_BUCKET": settings.ledger_bucket,
        }

    def send(self, *paths: StorePath) -> subprocess.CompletedProcess[str]:
        """Run the page's script on store paths."""
        return self._attempt(str(self._script), *map(self._nix.full, paths))

    def aws(self, command: str, source: Path) -> subprocess.CompletedProcess[str]:
        """Run ``aws s3`` from a directory to the builder's prefix."""
        return self._attempt("aws", "s3", *command.split(), str(source), self._staging)

    def submit(self, cache: Path, *, only: Collection[StorePath] | None = None) -> dict[StorePath, Verdict]:
        """Send all files of a binary cache, narinfos last (those of ``only``, if given), and wait for the verdicts.

        With the requests that ``aws s3 cp`` makes for small files, one PUT each, and without its second for each start.
        """
        narinfos = {}
        for file in sorted(path for path in cache.rglob("*") if path.is_file()):
            if file.suffix == ".narinfo":
                narinfos[file] = self._store_path(file)
            else:
                self._sender.put(f"{self.name}/{file.relative_to(cache)}", file.read_bytes())
        receipts = {
            path: self.put_narinfo(file, path) for file, path in narinfos.items() if only is None or path in only
        }
        return {path: self.verdict(receipt) for path, receipt in receipts.items()}

    def put_narinfo(self, file: Path, path: StorePath) -> Receipt:
        """Send one narinfo."""
        key = StagingNarInfoKey(self.name, path.hash_part)
        return Receipt(key, self._sender.put(str(key), file.read_bytes()))

    def verdict(self, receipt: Receipt) -> Verdict:
        """Wait for a verdict that more waiting does not change."""
        return self._sender.verdict(receipt)

    def first_verdict(self, receipt: Receipt) -> Verdict:
        """Wait for any verdict."""
        return self._sender.verdict(receipt, enough=lambda _: True)

    def _store_path(self, narinfo: Path) -> StorePath:
        """Return the path that a narinfo is of: a stock client reads no more of it than this."""
        first = narinfo.read_text().splitlines()[0]
        return self._nix.store_dir.parse(first.removeprefix("StorePath: "))

    def _attempt(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
