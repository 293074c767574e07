"""The uploader with everything that it works with, as this machine is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hook.aws import s3_client
from hook.lookup import NarInfoLookup
from hook.nix_store import NixStore
from hook.queue.queue import Queue
from hook.transfer.budget import Budget
from hook.transfer.staging import Staging
from hook.transfer.transfer import Transfer
from hook.uploader import Ports, Uploader
from hook.verdicts import Ledger

if TYPE_CHECKING:
    from threading import Event

    from hook.config import UploaderConfig
    from hook.report import Report


def assemble(config: UploaderConfig, *, report: Report, stop: Event) -> tuple[Queue, Uploader]:
    """Return the queue and its uploader, which ends what is under way once ``stop`` is set; raises TransientError."""
    machine = config.machine
    client = s3_client()
    nix_store = NixStore(machine.store_dir, bin_dir=machine.nix_bin_dir)
    queue = Queue(machine.state_dir, machine.store_dir, report=report)
    ports = Ports(
        queue=queue,
        nix_store=nix_store,
        lookup=NarInfoLookup(config.cache_url, config.upstreams, machine.store_dir),
        transfer=Transfer(
            nix_store=nix_store,
            staging=Staging(client, config.staging_bucket),
            builder=config.builder,
            compression=config.compression,
            multiparts=queue.multiparts,
            budget=Budget(max_bytes_per_second=config.max_bytes_per_second),
            stop=stop,
            sent=report.sent,
        ),
        ledger=Ledger(client, config.ledger_bucket, config.builder),
    )
    return queue, Uploader(ports, report=report, stop=stop, build_logs=config.build_logs)
