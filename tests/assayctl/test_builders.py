"""Builders are blocked and let in again."""

from __future__ import annotations

import json

from tests.assayctl.conftest import Run, Stage


def _policy(stage: Stage) -> dict[str, object]:
    iam = stage.session.client("iam")
    document = iam.get_role_policy(RoleName=stage.role, PolicyName="AssayBlocked")["PolicyDocument"]
    return dict(json.loads(document) if isinstance(document, str) else document)


def test_a_blocked_builder_may_nothing(stage: Stage, run: Run) -> None:
    """I8: whoever stole a session of its role is refused with it."""
    assert run("block-builder", "ci-1").code == 0
    assert _policy(stage)["Statement"] == [{"Effect": "Deny", "Action": "*", "Resource": "*"}]


def test_an_unblocked_builder_s_old_sessions_stay_refused(stage: Stage, run: Run) -> None:
    run("block-builder", "ci-1")
    assert run("unblock-builder", "ci-1").code == 0
    statement = _policy(stage)["Statement"]
    assert "aws:TokenIssueTime" in json.dumps(statement)
    assert "Deny" in json.dumps(statement)


def test_a_builder_of_another_deployment_is_named(run: Run) -> None:
    ended = run("block-builder", "ci-2")
    assert ended.code == 2
    assert "has no builder ci-2" in ended.err
