"""All checks, side by side: one that hangs or breaks holds up none of the others."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from hook.config import MachineConfig, UploaderConfig, machine_config, problems, uploader_config
from hook.doctor import local_nix, machine
from hook.doctor.caches import cache
from hook.doctor.check import Check, Examine, fail, failed, guarded
from hook.doctor.cloud import Cloud
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable


def examine(*, now: Callable[[], float] = time.time) -> list[Check]:
    """Return what is found on this machine, always in the same order; never raises."""
    checks: list[tuple[str, Examine]] = [("python", machine.python)]
    try:
        mine = machine_config(os.environ)
        checks += _of_machine(mine)
    except PermanentError:
        return [*_wrong(), *_together([*checks, _surroundings()]), _unchecked("Nix, the queue and the service")]
    try:
        config = uploader_config(os.environ)
    except PermanentError:
        return [*_wrong(), *_together([*checks, _surroundings()]), _unchecked("The service")]
    read = ("configuration", partial(machine.configuration, os.environ))
    return _together([read, *checks, _surroundings(), *_of_service(config, now)])


def _of_machine(config: MachineConfig) -> list[tuple[str, Examine]]:
    return [
        ("nix", partial(local_nix.programs, config)),
        ("hook", partial(local_nix.post_build_hook, config)),
        ("state directory", partial(machine.state_dir, config)),
        ("gc roots", partial(machine.gc_roots, config)),
        ("uploader", partial(machine.queue, config)),
        ("hook log", partial(machine.hook_log, config)),
    ]


def _surroundings() -> tuple[str, Examine]:
    return "proxy and CA", partial(machine.surroundings, os.environ)


def _of_service(config: UploaderConfig, now: Callable[[], float]) -> list[tuple[str, Examine]]:
    cloud, store_dir = Cloud(config, now=now), config.machine.store_dir
    return [
        ("credentials", cloud.credentials),
        ("clock", cloud.clock),
        ("staging bucket", cloud.staging),
        ("ledger bucket", cloud.ledger),
        ("cache", partial(cache, "cache", config.cache_url, store_dir)),
        *(("upstream", partial(cache, "upstream", url, store_dir)) for url in config.upstreams),
    ]


def _together(checks: list[tuple[str, Examine]]) -> list[Check]:
    with ThreadPoolExecutor(len(checks)) as pool:
        futures = [pool.submit(guarded, name, examine) for name, examine in checks]
    return [check for future in futures for check in future.result()]


def _wrong() -> list[Check]:
    return [failed("configuration", error) for error in problems(os.environ)]


def _unchecked(what: str) -> Check:
    return fail(
        "not checked",
        f"{what} cannot be checked before the configuration is right.",
        "Mend that first, then ask again.",
    )
