"""The Nix files, as far as an installed Nix without nixpkgs can judge them: syntax, and the module over a stub."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from protocol.version import VERSION
from tests.packaging.ci import block, page
from tests.packaging.units import ROOT, Unit

SETTINGS = {
    "builder": "ci-1",
    "staging_bucket": "staging",
    "ledger_bucket": "ledger",
    "cache_url": "https://cache.example.org",
}
# What differs by nature: nixpkgs' own PATH, the package's place, lists where a unit has lines.
OF_THE_PLACE = {"ExecStart", "Environment", "EnvironmentFile"}


def evaluate(options: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    settings = f"builtins.fromJSON ''{json.dumps(options)}''"
    stub = Path(__file__).with_name("module_stub.nix")
    return subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "-E", f"import {stub} {{ settings = {settings}; }}"],
        capture_output=True,
        text=True,
        check=False,
    )


def module(**options: object) -> dict[str, Any]:
    ended = evaluate({"enable": True, "region": "eu-west-1", "settings": SETTINGS, **options})
    assert ended.returncode == 0, ended.stderr
    made: dict[str, Any] = json.loads(ended.stdout)
    return made


@pytest.mark.parametrize("file", ["flake.nix", *(f"nix/{file.name}" for file in sorted((ROOT / "nix").glob("*.nix")))])
def test_every_file_is_nix(file: str) -> None:
    subprocess.run(["nix-instantiate", "--parse", ROOT / file], check=True, capture_output=True)


def test_the_package_takes_its_version_from_where_the_program_does() -> None:
    expression = (
        f"(import {ROOT}/nix/package.nix {{ lib = {{ fileset = {{ toSource = _: null; unions = _: null; }};"
        " optional = _: _: []; licenses.mit = null; platforms.unix = []; };"
        " python3Packages = { buildPythonApplication = x: x; setuptools = null; boto3 = null;"
        " pythonOlder = _: false; backports-zstd = null; }; }).version"
    )
    ended = subprocess.run(
        ["nix-instantiate", "--eval", "--json", "-E", expression], check=True, capture_output=True, text=True
    )
    assert json.loads(ended.stdout) == VERSION


def test_nothing_is_set_where_it_is_not_enabled() -> None:
    ended = evaluate({"enable": False})
    assert json.loads(ended.stdout) == {}, ended.stderr


def test_nix_gets_the_hook_that_the_program_writes() -> None:
    """I9: the hook that stands in nix.conf knows the state directory and this machine's Nix."""
    hook = module()["nix"]["settings"]["post-build-hook"]
    place, _, made = hook.partition("?")
    assert place == "/nix/store/made-assay-hook"
    assert json.loads(made)["environment"] == {
        "ASSAY_STATE_DIR": "/var/lib/assay",
        "ASSAY_NIX_BIN_DIR": "/nix/store/package-nix/bin",
    }
    assert "/nix/store/package-assay/bin/assay hook-script > $out" in json.loads(made)["script"]


def test_the_settings_reach_the_configuration_with_their_defaults() -> None:
    source = module(settings={**SETTINGS, "max_bytes_per_second": 1000000})["environment"]["etc"]["assay/builder.toml"]
    assert json.loads(source["source"].partition("?")[2]) == {
        **SETTINGS,
        "upstreams": ["https://cache.nixos.org"],
        "state_dir": "/var/lib/assay",
        "max_bytes_per_second": 1000000,
    }


@pytest.mark.parametrize("missing", sorted(SETTINGS))
def test_a_setting_that_is_needed_and_not_there_is_named(missing: str) -> None:
    settings = {key: value for key, value in SETTINGS.items() if key != missing}
    ended = evaluate({"enable": True, "region": "eu-west-1", "settings": settings})
    assert ended.returncode != 0
    assert f"services.assay.settings.{missing}" in ended.stderr


def test_the_example_of_the_page_is_a_whole_configuration() -> None:
    """What people copy first: it evaluates, and sets what it says."""
    flake = block(page("nixos.md"), "nix")
    expression = (
        f"(builtins.elemAt (({flake}).outputs {{ nixpkgs.lib.nixosSystem = x: x; assay.nixosModules.default = null; }})"
        ".nixosConfigurations.builder.modules 1).services.assay"
    )
    ended = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "-E", expression],
        check=True,
        capture_output=True,
        text=True,
    )
    options = json.loads(ended.stdout)
    assert options["settings"].keys() == SETTINGS.keys()
    assert module(**options)["systemd"]["services"]["assay"]["environment"]["AWS_REGION"] == options["region"]


def test_credentials_come_from_a_file_outside_the_store() -> None:
    """I8: what a Nix expression holds ends in the store, which everybody reads."""
    service = module(environmentFile="/run/secrets/assay.env")["systemd"]["services"]["assay"]
    assert service["serviceConfig"]["EnvironmentFile"] == ["/run/secrets/assay.env"]
    assert module()["systemd"]["services"]["assay"]["serviceConfig"]["EnvironmentFile"] == []


def test_the_service_is_hardened_as_the_unit_for_other_systems_is() -> None:
    """What NixOS runs, and what anybody else copies to /etc/systemd/system, differ in their places alone."""
    theirs = Unit.read("assay.service")["Service"]
    ours = {name: as_lines(value) for name, value in module()["systemd"]["services"]["assay"]["serviceConfig"].items()}
    assert without_places(ours) == without_places(theirs)
    assert module()["systemd"]["services"]["assay"]["environment"]["NIX_REMOTE"] == "daemon"


@pytest.mark.parametrize(("kind", "section"), [("socket", "Socket"), ("path", "Path")])
def test_so_are_what_start_it(kind: str, section: str) -> None:
    ours = module()["systemd"][f"{kind}s"]["assay"][f"{section.lower()}Config"]
    assert {name: as_lines(value) for name, value in ours.items()} == Unit.read(f"assay.{kind}")[section]


def test_another_state_directory_is_writable_and_watched() -> None:
    systemd = module(settings={**SETTINGS, "state_dir": "/srv/assay"})["systemd"]
    assert "/srv/assay" in systemd["services"]["assay"]["serviceConfig"]["ReadWritePaths"]
    assert systemd["paths"]["assay"]["pathConfig"]["PathChanged"] == "/srv/assay/spool/new"
    assert systemd["sockets"]["assay"]["socketConfig"]["ListenStream"] == "/srv/assay/control.sock"


def test_the_directory_of_the_roots_is_made_by_the_same_line() -> None:
    """I9: ReadWritePaths skips what is not there, and roots could then be neither made nor released."""
    lines = (ROOT / "packaging/systemd/assay-tmpfiles.conf").read_text().splitlines()
    assert module()["systemd"]["tmpfiles"]["rules"] == [line for line in lines if not line.startswith("#")]


def as_lines(value: object) -> list[str]:
    """Return a setting as systemd writes it: booleans as words, address families on one line."""
    match value:
        case bool():
            return ["true" if value else "false"]
        case ["AF_UNIX", *_]:
            return [" ".join(map(str, value))]
        case list():
            return [str(item) for item in value]
        case _:
            return [str(value)]


def without_places(service: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: lines for name, lines in service.items() if name not in OF_THE_PLACE}
