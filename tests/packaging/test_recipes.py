"""The recipes for CI systems, run as they stand: hook, build, token, roles, upload, verdict."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.ci import BUILDER_ROLE, CI_ROLE, TOKEN, Machine, World, assumed, block, page, workflow
from tests.packaging.units import ROOT

ROLES = [f"arn:aws:iam::123456789012:role/{name}" for name in (CI_ROLE, BUILDER_ROLE)]
NEEDED = {"ASSAY_BUILDER", "ASSAY_STAGING_BUCKET", "ASSAY_LEDGER_BUCKET", "ASSAY_CACHE_URL", "ASSAY_UPSTREAMS"}


def succeed(machine: Machine, commands: str, environment: dict[str, str]) -> str:
    # An upstream of the page's is on the internet.
    ended = machine.run(commands, {**environment, "ASSAY_UPSTREAMS": "", "ASSAY_NIX_BIN_DIR": ""})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def assert_published(machine: Machine, said: str) -> None:
    """Nix names what it built on a line of its own."""
    [built] = [line for line in said.splitlines() if line.startswith(machine.world.nix.store_dir.path)]
    assert machine.world.published(machine.world.nix.store_dir.parse(built))
    assert "published 1" in said or f"published {built.rpartition('/')[2]}" in said


def test_github_actions(world: World) -> None:
    """I8: the builder's own role, reached by a token that only this workflow's jobs can ask for."""
    text = page("github-actions.md")
    document = workflow(text)
    assert document["permissions"] == {"contents": "read", "id-token": "write"}
    # Not on pull requests: whoever sends one would upload. (The key is `on`, which YAML 1.1 reads as true.)
    assert {"push": {"branches": ["main"]}} in document.values()
    assert "pull_request" not in block(text, "yaml")
    [job] = document["jobs"].values()
    environment: dict[str, str] = job["env"]
    assert environment.keys() >= NEEDED
    steps: list[dict[str, Any]] = job["steps"]
    machine = world.machine()
    said = ""
    roles: list[str] = []
    for step in steps:
        match step:
            case {"uses": uses, "with": {"extra_nix_config": settings}}:
                assert uses.startswith("cachix/install-nix-action@v")
                machine.set_up_nix(settings)
            case {"uses": uses, "with": {"role-to-assume": role, "aws-region": _, **options}}:
                assert uses.startswith("aws-actions/configure-aws-credentials@v")
                assert options == {}
                roles.append(role)
                environment = {**environment, **assumed(world, role)}
            case {"name": "Install Assay", "run": commands}:
                assert "pip install" in commands
            case {"run": commands}:
                said += succeed(machine, commands, environment)
    assert roles == ROLES[1:]
    assert_published(machine, said)


def test_gitlab(world: World) -> None:
    document = workflow(page("gitlab-ci.md"))
    [job] = document.values()
    assert job["id_tokens"] == {"ASSAY_ID_TOKEN": {"aud": "sts.amazonaws.com"}}
    variables: dict[str, str] = job["variables"]
    assert variables.keys() >= NEEDED
    machine = world.machine()
    # As in the job's one shell; the packages and Assay itself are there.
    commands = [
        line
        for line in [*job["before_script"], *job["script"]]
        if not line.startswith("apt-get") and "pip install" not in line
    ]
    assert len(commands) == len(job["before_script"]) + len(job["script"]) - 2
    said = succeed(machine, "\n".join(commands), {**variables, "ASSAY_ID_TOKEN": TOKEN})
    assert_published(machine, said)
    token = machine.root / "etc/assay/token"
    assert token.read_text() == TOKEN
    assert token.stat().st_mode & 0o077 == 0


def test_buildkite(world: World) -> None:
    text = page("buildkite.md")
    document = workflow(text)
    [step] = document["steps"]
    assert step["command"] == ".buildkite/build.sh"
    environment: dict[str, str] = step["env"]
    assert environment.keys() >= NEEDED
    machine = world.machine()
    script = block(text, "sh")
    assert script.startswith("#!/bin/sh\n# .buildkite/build.sh\n")
    said = succeed(machine, script, environment)
    assert_published(machine, said)
    assert (machine.root / "home/assay").is_dir()


@pytest.mark.parametrize("name", ["github-actions.md", "gitlab-ci.md", "buildkite.md"])
def test_every_recipe_leads_to_the_page_about_the_identity(name: str) -> None:
    assert "(ci-identity.md)" in page(name)


def test_a_job_whose_role_is_not_the_builders_uploads_nothing(world: World) -> None:
    """I8: what the CI system's own role may do is to become the builder, and nothing else."""
    machine = world.machine()
    text = block(page("buildkite.md"), "sh")
    alone = text.replace(f"role_arn = {ROLES[1]}\nsource_profile = ci", f"role_arn = {ROLES[0]}\nsource_profile = ci")
    assert alone != text
    environment: dict[str, str] = workflow(page("buildkite.md"))["steps"][0]["env"]
    ended = machine.run(alone, {**environment, "ASSAY_UPSTREAMS": ""})
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert "AccessDenied" in ended.stderr


@pytest.mark.parametrize("file", sorted((ROOT / "docs/how-to").glob("*.md")), ids=lambda file: file.stem)
def test_every_page_leads_to_pages_that_are_there(file: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
        assert (file.parent / link).exists(), link
