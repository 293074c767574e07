"""All checks, side by side: one that hangs or breaks holds up neither the others nor the end."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Final

from hook.config import MachineConfig, UploaderConfig, machine_config, problems, uploader_config
from hook.doctor import local_nix, machine
from hook.doctor.caches import cache
from hook.doctor.check import Check, Examine, fail, failed, guarded
from hook.doctor.cloud import Cloud
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable


LIMIT_SECONDS: Final = 30.0
"""For all checks together. Time-outs of requests are shorter, but nothing bounds a resolver, a disk or a helper."""

_MACHINE_HANGS: Final = (
    "Look for a disk or a network file system that hangs, and whether `nix-store --version` comes back."
)
_SERVICE_HANGS: Final = (
    "Check name resolution (DNS), the network and the proxy; for credentials, also a credential_process or a metadata"
    " service that hangs."
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A check to come, and what to do if it hangs."""

    name: str
    examine: Examine
    if_it_hangs: str = _MACHINE_HANGS


class _Examination(Thread):
    """A check under way. A daemon: the process ends without one that hangs, as it would not with an executor's."""

    def __init__(self, plan: _Plan) -> None:
        super().__init__(name=plan.name, daemon=True)
        self._plan = plan
        self._checks: list[Check] | None = None

    def run(self) -> None:
        self._checks = guarded(self._plan.name, self._plan.examine)

    def checks(self, end: float, limit_seconds: float) -> list[Check]:
        """Return what was found until ``end``, on the monotonic clock."""
        self.join(max(0.0, end - time.monotonic()))
        if self._checks is None:
            return [fail(self._plan.name, f"did not end within {limit_seconds:g} s.", self._plan.if_it_hangs)]
        return self._checks


def examine(*, now: Callable[[], float] = time.time, limit_seconds: float = LIMIT_SECONDS) -> list[Check]:
    """Return what is found on this machine, always in the same order; never raises, and hangs no longer than that."""
    plans = [_Plan("python", machine.python)]
    surroundings = _Plan("proxy and CA", partial(machine.surroundings, os.environ))
    try:
        mine = machine_config(os.environ)
        plans += _of_machine(mine)
    except PermanentError:
        found = _together([*plans, surroundings], limit_seconds)
        return [*_wrong(), *found, _unchecked("Nix, the queue and the service")]
    try:
        config = uploader_config(os.environ)
    except PermanentError:
        return [*_wrong(), *_together([*plans, surroundings], limit_seconds), _unchecked("The service")]
    read = _Plan("configuration", partial(machine.configuration, os.environ))
    return _together([read, *plans, surroundings, *_of_service(config, now)], limit_seconds)


def _of_machine(config: MachineConfig) -> list[_Plan]:
    return [
        _Plan("nix", partial(local_nix.programs, config)),
        _Plan("hook", partial(local_nix.post_build_hook, config)),
        _Plan("state directory", partial(machine.state_dir, config)),
        _Plan("gc roots", partial(machine.gc_roots, config)),
        _Plan("uploader", partial(machine.queue, config)),
        _Plan("hook log", partial(machine.hook_log, config)),
    ]


def _of_service(config: UploaderConfig, now: Callable[[], float]) -> list[_Plan]:
    cloud, store_dir = Cloud(config, now=now), config.machine.store_dir
    checks: list[tuple[str, Examine]] = [
        ("credentials", cloud.credentials),
        ("clock", cloud.clock),
        ("staging bucket", cloud.staging),
        ("ledger bucket", cloud.ledger),
        ("cache", partial(cache, "cache", config.cache_url, store_dir)),
        *(("upstream", partial(cache, "upstream", url, store_dir)) for url in config.upstreams),
    ]
    return [_Plan(name, examine, _SERVICE_HANGS) for name, examine in checks]


def _together(plans: list[_Plan], limit_seconds: float) -> list[Check]:
    examinations = [_Examination(plan) for plan in plans]
    for examination in examinations:
        examination.start()
    end = time.monotonic() + limit_seconds
    return [check for examination in examinations for check in examination.checks(end, limit_seconds)]


def _wrong() -> list[Check]:
    return [failed("configuration", error) for error in problems(os.environ)]


def _unchecked(what: str) -> Check:
    return fail(
        "not checked",
        f"{what} cannot be checked before the configuration is right.",
        "Mend that first, then ask again.",
    )
