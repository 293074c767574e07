"""The property list for macOS, as far as it can be judged elsewhere."""

from __future__ import annotations

import plistlib

from tests.packaging.units import ROOT, Unit

PLIST = ROOT / "packaging" / "launchd" / "assay.daemon.plist"


def test_it_says_what_the_unit_says() -> None:
    """The same program with the same environment, but for the places that only one of the systems has."""
    plist = plistlib.loads(PLIST.read_bytes())
    service = Unit.read("assay.service")["Service"]
    assert plist["Label"] == PLIST.stem
    assert [" ".join(plist["ProgramArguments"])] == service["ExecStart"]
    environment = dict(word.split("=", 1) for line in service["Environment"] for word in line.split())
    assert plist["EnvironmentVariables"].keys() == environment.keys() - {"HOME"}
    for name in ("NIX_REMOTE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        assert plist["EnvironmentVariables"][name] == environment[name]
    assert plist["Umask"] == int(service["UMask"][0], 8)
    assert plist["ExitTimeOut"] == int(service["TimeoutStopSec"][0])


def test_it_runs_from_boot_on_and_again_after_trouble() -> None:
    plist = plistlib.loads(PLIST.read_bytes())
    assert plist["RunAtLoad"] is True
    assert plist["KeepAlive"] == {"SuccessfulExit": False}
    # Without a user of its own it is root: the hook is, and so are the garbage-collection roots.
    assert "UserName" not in plist
