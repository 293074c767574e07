"""The runbooks: their commands are ones that there are, and they name nothing that there is not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from assayctl.cli import parser
from protocol.outputs import Output
from tests.stacks.conftest import ROOT

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
# Of the command line itself, for whatever service.
GLOBAL = {"query", "output", "region", "max-items"}
S3 = {"recursive", "include", "exclude", "source-region", "region"}


def _commands(runbook: Path, program: str) -> Iterator[list[str]]:
    """Yield the words of each call of ``program``, in blocks and in running text."""
    text = runbook.read_text().replace("\n--", " --")
    for line in re.split(r"[\n`]|\$\(|; |&& |\| | > ", text):
        words = line.strip()
        if not words.startswith(f"{program} "):
            continue
        # What `$(` began ends somewhere in the line, and what was cut off there has left its quotes open.
        try:
            yield shlex.split(re.sub(r"\)\"?.*$", "", words) if words.count('"') % 2 else words, comments=True)
        except ValueError:
            yield words.replace("'", " ").replace('"', " ").split()


@pytest.fixture(scope="module")
def session() -> botocore.session.Session:
    return botocore.session.get_session()


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_aws_knows_each_command_and_its_options(runbook: Path, session: botocore.session.Session) -> None:
    for _, service, operation, *words in _commands(runbook, "aws"):
        options = {word.removeprefix("--").partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        if service == "s3":
            assert operation in {"cp", "ls", "rm", "sync"}
            assert options <= S3, (operation, options)
            continue
        model = session.get_service_model({"s3api": "s3"}.get(service, service))
        names = {xform_name(name).replace("_", "-"): name for name in model.operation_names}
        assert operation in names, (service, operation)
        shape = model.operation_model(names[operation]).input_shape
        members = shape.members if shape else {}
        known = {xform_name(name).replace("_", "-"): member for name, member in members.items()}
        # A switch is turned off by its name with "no" before it.
        switches = {f"no-{name}" for name, member in known.items() if member.type_name == "boolean"}
        assert options <= {*known, *switches} | GLOBAL, (service, operation, options - set(known) - GLOBAL)


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_assayctl_knows_each_command(runbook: Path) -> None:
    for _, *words in _commands(runbook, "assayctl"):
        parser().parse_args(["-" if word == "FILE" else word for word in words])


def test_every_output_that_a_runbook_asks_for_is_one() -> None:
    asked = {name for runbook in RUNBOOKS for name in re.findall(r"\boutput ([A-Z]\w+)", runbook.read_text())}
    assert asked <= set(Output)
    assert asked


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_each_is_in_the_index_and_every_link_leads_somewhere(runbook: Path) -> None:
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    assert runbook.name == "README.md" or f"({runbook.name})" in index
    for link in re.findall(r"\]\(([^)#]+\.md)", runbook.read_text()):
        assert (runbook.parent / link).is_file(), link
