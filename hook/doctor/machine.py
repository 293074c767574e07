"""Checks of this machine: configuration, Python, where the queue is, who works on it, what the environment says."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3

from hook.config import DEFAULT_CONFIG_FILE, KEYS
from hook.doctor.check import Check, fail, ok, warn
from hook.post_build import DEFAULT_NIX_STATE_DIR, LOG_NAME, gc_roots_dir
from hook.queue.view import QueueView
from hook.redaction import without_password
from protocol.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hook.config import MachineConfig

LITTLE_SPACE: Final = 1 << 30
NO_SPACE: Final = 16 << 20
"""Bytes. An entry takes less than a kilobyte; a machine that is so full builds nothing either."""
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_CA_BUNDLES: Final = ("AWS_CA_BUNDLE", "NIX_SSL_CERT_FILE", "SSL_CERT_FILE")


def configuration(environ: Mapping[str, str]) -> list[Check]:
    """Say where the configuration comes from; to be asked only where it was read without a problem."""
    file = environ.get("ASSAY_CONFIG") or str(DEFAULT_CONFIG_FILE)
    variables = [f"ASSAY_{key.upper()}" for key in KEYS if environ.get(f"ASSAY_{key.upper()}")]
    sources = [file] if Path(file).exists() else []
    return [ok("configuration", f"read from {', '.join([*sources, *variables])}")]


def python() -> list[Check]:
    """Whether this Python can compress with zstd."""
    version = f"Assay {VERSION}, Python {platform.python_version()}, boto3 {boto3.__version__}"
    try:
        from hook.transfer import frames  # noqa: F401, PLC0415 - whether it can be had is the question
    except ImportError as error:
        return [fail("python", f"{version} cannot compress: {error}.", "Install Assay again, with its dependencies.")]
    return [ok("python", f"{version}, with zstd")]


def state_dir(machine: MachineConfig) -> list[Check]:
    """Whether the queue's directory is there, ours, nobody else's, and on a disk that is not full."""
    name, directory = "state directory", machine.state_dir
    if not directory.exists():
        parent = _nearest(directory)
        if not os.access(parent, os.W_OK):
            return [
                fail(
                    name,
                    f"There is no {directory}, and this user cannot make it.",
                    "Run the doctor as root, or make it.",
                )
            ]
        return [warn(name, f"There is no {directory} yet.", "The first build makes it, if the hook is installed.")]
    if not directory.is_dir():
        return [fail(name, f"{directory} is no directory.", "Move it away, or set another state_dir.")]
    mode = directory.stat().st_mode
    if mode & stat.S_IWOTH:
        return [
            fail(
                name,
                f"Everybody may write to {directory}, and so queue and root what they like, or lose what is queued.",
                f"chmod o-w {directory}",
            )
        ]
    if not os.access(directory, os.W_OK | os.X_OK):
        return [
            warn(
                name,
                f"{directory} is not this user's to write.",
                "Run the uploader as its owner (with a Nix daemon: root).",
            )
        ]
    return [_of_space(name, directory)]


def _of_space(name: str, directory: Path) -> Check:
    free = shutil.disk_usage(directory).free
    finding = f"{directory}, {free / (1 << 30):.1f} GiB free"
    if free < NO_SPACE:
        return fail(name, finding, "Free some space: what is built now may not be queued.")
    if free < LITTLE_SPACE:
        return warn(name, finding, "Free some space.")
    return ok(name, finding)


def gc_roots(machine: MachineConfig) -> list[Check]:
    """Whether what is queued can be kept from garbage collection."""
    name = "gc roots"
    directory = Path(gc_roots_dir(str(machine.state_dir)))
    if os.access(_nearest(directory), os.W_OK | os.X_OK):
        return [ok(name, f"links in {directory}")]
    nix_state_dir = os.environ.get("NIX_STATE_DIR") or DEFAULT_NIX_STATE_DIR
    if (Path(nix_state_dir) / "daemon-socket/socket").exists():
        return [ok(name, f"{directory} is not this user's to write; the Nix daemon is asked for indirect roots")]
    return [
        fail(
            name,
            f"{directory} is not this user's to write, and no Nix daemon is there to ask for indirect roots.",
            "Run Assay as the user who owns the Nix store.",
        )
    ]


def queue(machine: MachineConfig) -> list[Check]:
    """Whether anybody works on the queue, and what waits for people."""
    view = QueueView(machine.state_dir, machine.store_dir)
    try:
        overview = view.overview(limit=0)
    except PermissionError:
        return [warn("uploader", "Only root may look at the queue, and none runs to be asked.", "Ask again as root.")]
    counts = overview.counts
    waiting = f"{counts.get('queued', 0) + overview.spooled} queued, {counts.get('submitted', 0)} submitted"
    if overview.owner is None:
        start = (
            "Start the daemon (`assay daemon`, a systemd unit), or run `assay upload --once` at the end of each job."
        )
        checks = [warn("uploader", f"none runs; {waiting}", start)]
    else:
        checks = [ok("uploader", f"process {overview.owner}; {waiting}")]
    if rejected := counts.get("rejected", 0):
        fix = "`assay status` says why; then `assay push` or `assay forget --rejected`."
        checks.append(warn("rejected paths", f"{rejected} wait for somebody to read why", fix))
    if overview.set_aside:
        finding = f"{len(overview.set_aside)} that could not be read, the first {overview.set_aside[0]}"
        fix = "Push the paths in them again with `assay push`, then delete them."
        checks.append(warn("set-aside files", finding, fix))
    return checks


def hook_log(machine: MachineConfig) -> list[Check]:
    """What the hook could not do."""
    log = machine.state_dir / LOG_NAME
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        lines = []
    except PermissionError:
        return [warn("hook log", f"{log} is not this user's to read.", "Ask again as root.")]
    if not lines:
        return [ok("hook log", "the hook met no problem")]
    finding = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}, the newest: {lines[-1][:300]}"
    return [warn("hook log", finding, f"`assay push` what was not queued, then delete {log}.")]


def surroundings(environ: Mapping[str, str]) -> list[Check]:
    """Which proxies and certificates are used, none of it with a password."""
    name = "proxy and CA"
    for variable in _CA_BUNDLES:
        if (file := environ.get(variable)) and not Path(file).is_file():
            return [fail(name, f"{variable} names {file}, which is no file.", f"Correct or unset {variable}.")]
    seen = [f"{variable}={without_password(environ[variable])}" for variable in _PROXIES if environ.get(variable)]
    others = ("NO_PROXY", "no_proxy", *_CA_BUNDLES)
    seen += [f"{variable}={environ[variable]}" for variable in others if environ.get(variable)]
    return [ok(name, " ".join(seen) if seen else "none set")]


def _nearest(directory: Path) -> Path:
    """Return the directory, or the nearest one above it that is there."""
    return next(place for place in (directory, *directory.parents) if place.exists())
