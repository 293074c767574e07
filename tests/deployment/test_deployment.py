"""From `cdk bootstrap` to `cdk destroy`, with every function, role, bucket and queue that the stack makes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.cache_server import CacheServer
from nixcache.signature import PublicKey
from protocol import wake
from protocol.keys import BuilderName, StagingNarInfoKey
from protocol.outputs import Output
from tests.deployment.builders import assay, build, published, push, session, upload
from tests.deployment.calls import UNASKED_ACTIONS, UNASKED_CONDITIONS
from tests.deployment.cloud import STAGE, Credentials
from tests.deployment.conftest import CONFIG, Deployed
from tests.deployment.gaps import Gap, gap
from tests.deployment.operators import assayctl, cache_keys, public_keys, restart_functions
from tests.deployment.readers import assert_installs, assert_refuses
from tests.deployment.wire import Roles, Wire, every_pair, unasked

_SECONDS = 60.0


def _wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not what():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_first_key_is_made_by_the_deployed_function(deployed: Deployed) -> None:
    """I8: in the account, with its own role, and seen by nobody."""
    ended = assayctl(deployed, "announce-keys")
    assert (ended.returncode, ended.stdout) == (0, f"assay-{STAGE}-1\n"), ended.stderr
    [key] = public_keys(deployed)
    assert key.startswith(f"assay-{STAGE}-1:")


def test_what_a_builder_uploads_is_verified_signed_and_installed(deployed: Deployed, tmp_path: Path) -> None:
    """I1 and I4, with nothing of ours in between but what was deployed."""
    path, narinfo = upload(deployed, "ci", "first")
    [key] = map(PublicKey.parse, public_keys(deployed))
    assert narinfo.is_signed_by(key)
    assert_installs(deployed, path, trusting=key, below=tmp_path)
    deployed.paths["first"] = path


def test_a_rotation_changes_who_signs_and_leaves_nobody_behind(deployed: Deployed, tmp_path: Path) -> None:
    """What is published during the overlap installs for who trusts the old key alone, and the new one alone."""
    ended = assayctl(deployed, "rotate-key")
    assert ended.returncode == 0, ended.stderr
    new, old = map(PublicKey.parse, public_keys(deployed))
    assert (new.name, old.name) == (f"assay-{STAGE}-2", f"assay-{STAGE}-1")
    restart_functions(deployed)
    path, narinfo = upload(deployed, "ci-2", "second")
    assert {signature.key_name for signature in narinfo.signatures} == {new.name, old.name}
    for key in (new, old):
        assert_installs(deployed, path, trusting=key, below=tmp_path)
    deployed.paths["second"] = path
    assert_installs(deployed, deployed.paths["first"], trusting=old, below=tmp_path)
    assert_refuses(deployed, deployed.paths["first"], trusting=new, below=tmp_path)


def test_what_was_published_before_is_signed_anew(deployed: Deployed, tmp_path: Path) -> None:
    """I3, by the deployed state machine: afterwards who trusts the new key alone installs it, and nothing is lost."""
    new, old = map(PublicKey.parse, public_keys(deployed))
    before = published(deployed, deployed.paths["first"])
    ended = assayctl(deployed, "re-sign")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    after = published(deployed, deployed.paths["first"])
    assert after.fingerprint() == before.fingerprint()
    assert {signature.key_name for signature in after.signatures} == {new.name, old.name}
    for key in (new, old):
        assert_installs(deployed, deployed.paths["first"], trusting=key, below=tmp_path)


def test_a_dead_letter_is_looked_at_and_redriven(deployed: Deployed) -> None:
    """I6: what ingest gave up is not lost, and an operator gives it back."""
    sqs = deployed.cloud.client("sqs")
    path, _ = upload(deployed, "ci", "third")
    deployed.paths["third"] = path
    submission = StagingNarInfoKey(BuilderName("ci"), path.hash_part)
    sqs.send_message(QueueUrl=deployed.outputs[Output.DEAD_LETTER_QUEUE_URL], MessageBody=wake.render(submission))
    listed = assayctl(deployed, "dead-letters")
    assert (listed.returncode, str(submission) in listed.stdout) == (1, True), listed.stderr
    assert assayctl(deployed, "dead-letters", "redrive", "--all").returncode == 0
    assert assayctl(deployed, "dead-letters").returncode == 0
    _wait_for(lambda: "queue  0" in assayctl(deployed, "status").stdout)


def test_what_is_withdrawn_is_gone_with_what_references_it_until_it_is_put_back(
    deployed: Deployed, tmp_path: Path
) -> None:
    """I4: a reader is never offered what it cannot install; and no builder brings it back."""
    key = PublicKey.parse(public_keys(deployed)[0])
    path = deployed.paths["first"]
    [low] = [one for one in published(deployed, path).references if one.name == "first-low"]
    before = cache_keys(deployed)
    asked = assayctl(deployed, "withdraw", str(low.hash_part))
    assert (asked.returncode, cache_keys(deployed)) == (1, before), asked.stderr
    assert path.base_name in asked.stdout
    done = assayctl(deployed, "withdraw", str(low.hash_part), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    gone = {f"{one.hash_part}.{kind}" for one in (path, low) for kind in ("narinfo", "ls")}
    assert set(before) - set(cache_keys(deployed)) == gone
    restart_functions(deployed)
    pushed = push(deployed, "ci", low)
    assert pushed.returncode == 1
    assert "The operator took this object out of the cache" in pushed.stdout + pushed.stderr
    assert set(before) - set(cache_keys(deployed)) == gone
    restored = assayctl(deployed, "restore", str(low.hash_part), str(path.hash_part))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert cache_keys(deployed) == before
    assert_installs(deployed, path, trusting=key, below=tmp_path)


def test_what_is_readmitted_is_published_by_who_submits_it_again(deployed: Deployed, tmp_path: Path) -> None:
    path = deployed.paths["third"]
    before = cache_keys(deployed)
    done = assayctl(deployed, "withdraw", str(path.hash_part), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    readmitted = assayctl(deployed, "readmit", str(path.hash_part))
    assert readmitted.returncode == 0, readmitted.stdout + readmitted.stderr
    assert cache_keys(deployed) != before
    restart_functions(deployed)
    pushed = push(deployed, "ci-2", path)
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    assert cache_keys(deployed) == before
    assert_installs(deployed, path, trusting=PublicKey.parse(public_keys(deployed)[0]), below=tmp_path)


def test_a_blocked_builder_is_refused_and_let_in_again_with_new_sessions_alone(deployed: Deployed) -> None:
    def write(credentials: Credentials) -> None:
        deployed.cloud.client("s3", credentials).put_object(
            Bucket=deployed.outputs[Output.STAGING_BUCKET], Key=f"ci-2/nar/{'0' * 52}.nar", Body=b"nothing"
        )

    stolen = session(deployed, "ci-2")
    write(stolen)
    blocked = assayctl(deployed, "block-builder", "ci-2")
    assert blocked.returncode == 0, blocked.stderr
    for credentials in (stolen, session(deployed, "ci-2")):
        with pytest.raises(ClientError, match="explicit deny"):
            write(credentials)
    # What was issued in the second of the command counts as new.
    time.sleep(1)
    unblocked = assayctl(deployed, "unblock-builder", "ci-2")
    assert unblocked.returncode == 0, unblocked.stderr
    write(session(deployed, "ci-2"))
    with pytest.raises(ClientError, match="explicit deny"):
        write(stolen)


def test_an_imported_key_signs_and_a_retired_one_does_not(deployed: Deployed, tmp_path: Path) -> None:
    secret, public = tmp_path / "secret", tmp_path / "public"
    deployed.nix.run("nix-store", "--generate-binary-cache-key", "imported.example.org-1", str(secret), str(public))
    imported = PublicKey.parse(public.read_text().strip())
    # The overlap of the rotation lasts, and another key would end it.
    assert "readers may trust" in assayctl(deployed, "import-key", "-", stdin=secret.read_text()).stderr
    assert "readers may trust" in assayctl(deployed, "rotate-key").stderr
    assert assayctl(deployed, "retire-key", f"assay-{STAGE}-1").returncode == 0
    ended = assayctl(deployed, "import-key", "-", stdin=secret.read_text())
    assert ended.returncode == 0, ended.stderr
    assert secret.read_text().strip() not in ended.stdout
    signs, previous = map(PublicKey.parse, public_keys(deployed))
    assert (signs, previous.name) == (imported, f"assay-{STAGE}-2")
    assert f"{previous.name}: signs beside it until" in assayctl(deployed, "status").stdout
    retired = assayctl(deployed, "retire-key", previous.name)
    assert retired.returncode == 0, retired.stdout + retired.stderr
    assert public_keys(deployed) == [str(imported)]
    assert previous.name not in assayctl(deployed, "status").stdout
    restart_functions(deployed)
    path, narinfo = upload(deployed, "ci", "fourth")
    assert {signature.key_name for signature in narinfo.signatures} == {imported.name}
    assert_installs(deployed, path, trusting=imported, below=tmp_path)
    assert_refuses(deployed, path, trusting=previous, below=tmp_path)


def test_an_update_keeps_everything(deployed: Deployed) -> None:
    before = (public_keys(deployed), cache_keys(deployed))
    deployed.cloud.configure(
        CONFIG.replace(
            "  ci-2:\n    iamPrincipal: this-account\n",
            '  ci-2:\n    iamPrincipal: this-account\n    names: ["allowed*"]\n',
        )
    )
    assert deployed.cloud.deploy() == deployed.outputs
    assert (public_keys(deployed), cache_keys(deployed)) == before
    s3 = deployed.cloud.client("s3")
    with CacheServer(s3, deployed.outputs[Output.CACHE_BUCKET]) as cache:
        build(deployed, "ci-2", cache.url, "not-allowed")
        ended = assay(deployed, "ci-2", cache.url, "upload", "--once", "--timeout", "120")
    assert ended.returncode == 1
    assert "not-allowed" in ended.stderr


def test_i3_i8_each_pair_of_the_tables_of_access(deployed: Deployed) -> None:
    """Over the wire, each by a session of its principal's role: what is denied is refused, and nothing else is.

    Late in the story: what the emulator lets through where AWS would not is written over what was there.
    """
    roles = Roles(deployed)
    roles.make_outsiders()
    wire = Wire(deployed, roles)
    pairs = list(dict.fromkeys(every_pair(("ci", "ci-2"), roles.of_the_stack)))
    not_asked = Counter(what for pair in pairs if (what := unasked(pair)))
    assert set(not_asked) == {*UNASKED_ACTIONS, *UNASKED_CONDITIONS}
    answers = wire.try_all(pair for pair in pairs if not unasked(pair))
    wrong = [answer for answer in answers if not answer.is_right]
    assert [str(answer) for answer in wrong if gap(answer.pair, answer.code) is None] == []
    gaps = Counter(kind for answer in wrong if (kind := gap(answer.pair, answer.code)))
    # Each is still one: what the emulator learns is to be tried from then on.
    assert set(gaps) == set(Gap)
    # And refused for the pair's own sake: the emulator says which action it has asked its policies about.
    assert [str(answer) for answer in answers if answer.refused and not answer.names_its_action] == []
    right = Counter(answer.pair.allowed for answer in answers if answer.is_right)
    deployed.figures.extend(
        [
            f"access over the wire: {len(pairs)} pairs, {len(answers)} tried",
            f"  as wanted: {right[False]} refused, {right[True]} let through",
            f"  where the emulator is no judge: {len(wrong)} ({_listed(gaps)})",
            f"  not triable: {not_asked.total()} ({_listed(not_asked)})",
        ]
    )


def _listed(counts: Mapping[str, int] | Mapping[Gap, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


def test_what_holds_something_outlives_the_stack(deployed: Deployed) -> None:
    keys, key = cache_keys(deployed), public_keys(deployed)
    deployed.cloud.destroy()
    assert (cache_keys(deployed), public_keys(deployed)) == (keys, key)
    secret = deployed.cloud.client("secretsmanager").describe_secret(
        SecretId=deployed.outputs[Output.SIGNING_SECRET_NAME]
    )
    assert secret["VersionIdsToStages"]
