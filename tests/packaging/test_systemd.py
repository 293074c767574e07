"""The units, judged by systemd's own tools, and what root can do without root's powers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hook.exit_code import ExitCode
from hook.post_build import DEFAULT_STATE_DIR, SPOOL_NEW, gc_roots_dir
from tests.packaging.ci import BUILDER, World
from tests.packaging.units import ROOT, SYSTEMD, Unit

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
# Tenths of systemd's points, of 100.
MOST_EXPOSED = 20


@needs_systemd
def test_systemd_takes_them(tmp_path: Path) -> None:
    """A name that systemd does not know is a warning to it, and a hole to us: nothing at all may be said."""
    for name in ("assay.service", "assay.socket", "assay.path"):
        # The program that is started has to be there.
        text = (SYSTEMD / name).read_text().replace("/opt/assay/bin/assay", shutil.which("true") or "")
        (tmp_path / name).write_text(text)
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in (ended.stdout + ended.stderr).splitlines() if str(tmp_path) in line or "assay" in line]
    assert (ended.returncode, said) == (0, [])


@needs_systemd
def test_the_service_is_hardly_exposed() -> None:
    ended = subprocess.run(
        [
            *("systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSED}"),
            str(SYSTEMD / "assay.service"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unrecognized option" in ended.stderr:
        pytest.skip("this systemd cannot judge a unit that is not installed")
    assert ended.returncode == 0, ended.stdout.splitlines()[-1]


def test_they_speak_of_the_programs_own_places() -> None:
    """I9: a spool that nobody watches is emptied at the next boot only, and a root that cannot be released stays."""
    service = Unit.read("assay.service")["Service"]
    assert f"/var/lib/{service['StateDirectory'][0]}" == DEFAULT_STATE_DIR
    assert Unit.read("assay.path")["Path"]["PathChanged"] == [f"{DEFAULT_STATE_DIR}/{SPOOL_NEW}"]
    assert Unit.read("assay.socket")["Socket"]["ListenStream"] == [f"{DEFAULT_STATE_DIR}/control.sock"]
    [roots] = service["ReadWritePaths"]
    assert roots.removeprefix("-") == str(Path(gc_roots_dir(DEFAULT_STATE_DIR)).parent)
    assert roots.removeprefix("-") in (SYSTEMD / "assay-tmpfiles.conf").read_text()
    # Only people mend a configuration.
    assert service["RestartPreventExitStatus"] == [str(int(ExitCode.USAGE))]


def test_the_page_names_every_unit() -> None:
    page = (ROOT / "docs/how-to/systemd.md").read_text()
    for file in SYSTEMD.iterdir():
        assert f"packaging/systemd/{file.name}" in page


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="it takes root, and setpriv")
def test_root_without_capabilities_uploads_and_releases_the_roots(world: World) -> None:
    """I9: an empty CapabilityBoundingSet leaves the uploader what it needs, and the hook's roots are let go."""
    machine = world.machine()
    machine.set_up_nix("post-build-hook = /etc/nix/assay-hook\n")
    service = world.service
    environment = {"ASSAY_BUILDER": str(BUILDER), **service.aws.environment(service.deployment.builders[BUILDER])}
    built = machine.run("/opt/assay/bin/assay hook-script --output /etc/nix/assay-hook && nix-build", environment)
    assert built.returncode == 0, built.stderr
    [path] = [line for line in built.stdout.splitlines() if line.startswith(world.nix.store_dir.path)]
    roots = Path(world.nix.state_dir, "gcroots/assay")
    assert [root.name for root in roots.glob("*/*")] == [Path(path).name]
    # -all takes the bounding set away, and the next program that is started is root with nothing.
    powerless = "setpriv --bounding-set=-all --inh-caps=-all --no-new-privs"
    said = machine.run(
        f"umask 077; grep CapEff /proc/self/status; {powerless} sh -c "
        "'grep CapEff /proc/self/status; /opt/assay/bin/assay upload --once'",
        environment,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "CapEff:\t0000000000000000" in said.stdout
    assert world.published(world.nix.store_dir.parse(path))
    assert list(roots.glob("*/*")) == []
