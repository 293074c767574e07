"""`assay explain`: where a path is, what it waits for, what to do; and what of it could not be asked."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hook import post_build
from hook.errors import Cause
from hook.exit_code import ExitCode
from hook.nix_store import NixStore
from hook.queue.entry import Entry, Progress, Queued, Refused, Submitted
from hook.queue.queue import Queue
from hook.queue.view import Concluded
from hook.report import Report
from nixcache.hashes import Hash
from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from nixcache.store_path import StorePath
from protocol.keys import CacheNarInfoKey, ResultKey, StagingNarInfoKey
from protocol.results import Result
from protocol.verdicts import Against, AwaitingQuorum, Conflict, Published, Rejected, Verdict, Waiting
from tests.hook.builder import Builder, Ended
from tests.hook.nix import derivation
from tests.hook.service import BUILDER, Service

OTHER_HASH = Hash.parse("sha256:" + "0" * 52)
_PAIR = f"let low = {derivation('low', 'echo low > $out')}; in [ low {derivation('top', 'echo ${low} > $out')} ]"


@pytest.fixture
def low_and_top(builder: Builder) -> list[StorePath]:
    return builder.nix.build(_PAIR)


@pytest.fixture
def dead_url() -> Iterator[str]:
    """An address where nobody listens, and nobody else will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def _explain(builder: Builder, path: StorePath | str) -> Ended:
    ended = builder.assay("explain", path if isinstance(path, str) else builder.nix.full(path))
    assert ended.err == ""
    assert ended.out.splitlines()[-1].startswith("What to do: ")
    return ended


def _line(ended: Ended, who: str) -> str:
    return next(line for line in ended.out.splitlines() if line.startswith(f"  {who}"))


def _document(builder: Builder, path: StorePath) -> dict[str, Any]:
    document = json.loads(builder.assay("explain", builder.nix.full(path), "--json").out)
    assert document["schema"] == 1
    return dict(document)


def _save(builder: Builder, path: StorePath, progress: Progress, *, age: float = 0) -> None:
    queue = Queue(builder.state_dir, builder.nix.store_dir, report=Report())
    with queue.owned() as mine:
        assert mine
        queue.save(Entry(path, time.time() - age, progress))


def _submitted(*, waits_for: tuple[StorePath, ...] = (), quorum: AwaitingQuorum | None = None) -> Submitted:
    return Submitted(
        version_id="version-1",
        staged_at=datetime.now(UTC),
        since=time.time(),
        uploads=1,
        waits_for=waits_for,
        quorum=quorum,
    )


def _tell(
    service: Service, path: StorePath, verdict: Verdict, *, version: str, disputes: tuple[Hash, ...] = ()
) -> None:
    result = Result(
        submission=StagingNarInfoKey(BUILDER, path.hash_part),
        version_id=version,
        store_path=path,
        verdict=verdict,
        at=datetime.now(UTC),
        disputed_by=disputes,
    )
    service.s3.put_object(Bucket=service.ledger, Key=str(ResultKey(BUILDER, path.hash_part)), Body=result.to_json())


def test_a_path_that_nobody_has_heard_of(builder: Builder) -> None:
    ended = _explain(builder, "0" * 32 + "-nothing")
    assert ended.code == ExitCode.REFUSED
    assert "not in the store of this machine" in _line(ended, "store")
    assert _line(ended, "queue").endswith("not in it")
    assert _line(ended, "cache").endswith("does not have it")
    assert "build it" in ended.out


def test_a_path_that_was_built_without_the_hook_is_to_be_pushed(builder: Builder, low_and_top: list[StorePath]) -> None:
    ended = _explain(builder, low_and_top[1])
    assert ended.code == ExitCode.REFUSED
    assert "valid on this machine: sha256:" in _line(ended, "store")
    assert f"`assay push {builder.nix.full(low_and_top[1])}`" in ended.out
    assert "1 direct reference, 1 not published" in _line(ended, "closure")
    assert f"{low_and_top[0].base_name}: on this machine, not queued" in ended.out


def test_what_the_hook_has_spooled_is_queued_and_wants_an_uploader(builder: Builder) -> None:
    (path,) = builder.nix.build(derivation("built", "echo > $out"), hook=builder.install_hook())
    ended = _explain(builder, path)
    assert ended.code == ExitCode.TIMED_OUT
    assert "queued, not tried yet" in _line(ended, "queue")
    assert "No uploader runs here" in ended.out


def test_with_an_owner_at_work_there_is_nothing_but_to_wait(builder: Builder) -> None:
    path = builder.nix.add("a", b"a")
    queue = Queue(builder.state_dir, builder.nix.store_dir, report=Report())
    with queue.owned():
        queue.save(Entry(path, time.time(), Queued()))
        ended = _explain(builder, path)
    assert ended.code == ExitCode.TIMED_OUT
    assert ended.out.endswith(f"What to do: wait: `assay wait {builder.nix.full(path)}`.\n")


def test_what_failed_is_told_with_its_cause_its_tries_and_when_next(builder: Builder) -> None:
    path = builder.nix.add("a", b"a")
    progress = Queued(tries=3, next_attempt_at=time.time() + 7200, problem="No bucket. Check it.", cause=Cause.SERVICE)
    _save(builder, path, progress)
    ended = _explain(builder, path)
    assert ended.code == ExitCode.TIMED_OUT
    line = _line(ended, "queue")
    assert "3 tries in vain, next in 1 h" in line
    assert "service: No bucket. Check it." in line
    assert "`assay doctor`" in ended.out


@pytest.mark.parametrize(
    ("low", "to_do", "code"),
    [
        (None, "it is here, and nothing has queued it", ExitCode.TIMED_OUT),
        (Queued(), "which is queued here", ExitCode.TIMED_OUT),
        (Refused(code="nar-hash-mismatch", problem="", since=0), "it will wait for ever unless", ExitCode.REFUSED),
    ],
)
def test_what_the_service_waits_for_is_followed_to_where_it_is(
    builder: Builder, low_and_top: list[StorePath], low: Progress | None, to_do: str, code: ExitCode
) -> None:
    """I4 keeps a path back until its references are published: whoever asks wants to know about those."""
    if low:
        _save(builder, low_and_top[0], low)
    _save(builder, low_and_top[1], _submitted(waits_for=(low_and_top[0],)))
    ended = _explain(builder, low_and_top[1])
    assert ended.code == code
    assert f"as version version-1; waits for {low_and_top[0].base_name}" in _line(ended, "queue")
    assert to_do in ended.out.splitlines()[-1]


def test_a_reference_that_is_nowhere_and_one_that_is_published_by_now(
    builder: Builder, service: Service, low_and_top: list[StorePath]
) -> None:
    nowhere = StorePath.from_base_name("0" * 32 + "-nowhere")
    _save(builder, low_and_top[1], _submitted(waits_for=(nowhere,)))
    assert "is neither here nor published" in _explain(builder, low_and_top[1]).out
    service.put_into_cache(low_and_top[0], builder.nix.store_dir)
    _save(builder, low_and_top[1], _submitted(waits_for=(low_and_top[0],)))
    ended = _explain(builder, low_and_top[1])
    assert "is published by now" in ended.out
    assert "1 direct reference, all of them published" in _line(ended, "closure")


def test_a_quorum_is_told_with_how_far_it_is(builder: Builder, service: Service) -> None:
    path = builder.nix.add("a", b"a")
    _save(builder, path, _submitted(quorum=AwaitingQuorum(1, 2)))
    _tell(service, path, AwaitingQuorum(1, 2), version="version-1")
    ended = _explain(builder, path)
    assert ended.code == ExitCode.TIMED_OUT
    assert "1 of 2 builders agree" in _line(ended, "queue")
    assert "on this submission" in _line(ended, "service")
    assert "another builder, of another trust group" in ended.out


def test_a_submission_without_a_verdict_for_hours_is_the_operators_affair(builder: Builder) -> None:
    path = builder.nix.add("a", b"a")
    queue = Queue(builder.state_dir, builder.nix.store_dir, report=Report())
    with queue.owned():
        queue.save(Entry(path, time.time(), replace(_submitted(), since=time.time() - 7200)))
        ended = _explain(builder, path)
    assert "tell the service's operator" in ended.out


def test_a_rejection_is_told_with_code_problem_and_remedy(builder: Builder, service: Service) -> None:
    path = builder.nix.add("a", b"a")
    _save(builder, path, Refused(code="nar-hash-mismatch", problem="It is wrong. Build it again.", since=time.time()))
    rejected = Rejected("nar-hash-mismatch", "It is wrong.", "Build it again.", "NarHash", None)
    _tell(service, path, rejected, version="version-2")
    ended = _explain(builder, path)
    assert ended.code == ExitCode.REFUSED
    assert "with nar-hash-mismatch: It is wrong. Build it again." in _line(ended, "queue")
    assert "rejected with nar-hash-mismatch (NarHash): It is wrong." in _line(ended, "service")
    assert "version version-2" in _line(ended, "service")


def _publish(builder: Builder, service: Service, path: StorePath, *, nar_hash: Hash | None = None) -> None:
    service.put_into_cache(path, builder.nix.store_dir)
    file = service.cache / str(CacheNarInfoKey(path.hash_part))
    narinfo = NarInfo.parse(file.read_bytes(), builder.nix.store_dir)
    signed = replace(
        narinfo, nar_hash=nar_hash or narinfo.nar_hash, signatures=(Signature("cache.example.org-1", bytes(64)),)
    )
    file.write_bytes(signed.render())


@pytest.mark.parametrize("named", ["full", "inside", "link", "base name", "hash part"])
def test_a_published_path_however_it_is_named(builder: Builder, service: Service, tmp_path: Path, named: str) -> None:
    path = builder.nix.add("a", b"a")
    _publish(builder, service, path)
    full = builder.nix.full(path)
    (tmp_path / "result").symlink_to(full)
    text = {
        "full": full,
        "inside": f"{full}/bin/a",
        "link": str(tmp_path / "result"),
        "base name": path.base_name,
        "hash part": path.hash_part,
    }[named]
    ended = _explain(builder, text)
    assert ended.code == ExitCode.DONE
    assert ended.out.splitlines()[0] == full
    assert "has it, the same NarHash as here, signed by cache.example.org-1" in _line(ended, "cache")


def test_a_hash_part_of_which_only_the_cache_knows_the_name(builder: Builder, service: Service) -> None:
    path = builder.nix.add("a", b"a")
    _publish(builder, service, path)
    builder.nix.collect_garbage()
    ended = _explain(builder, path.hash_part)
    assert ended.code == ExitCode.DONE
    assert ended.out.splitlines()[0] == builder.nix.full(path)
    assert "not in the store of this machine" in _line(ended, "store")


def test_other_contents_than_here_are_told(builder: Builder, service: Service) -> None:
    path = builder.nix.add("a", b"a")
    _publish(builder, service, path, nar_hash=OTHER_HASH)
    ended = _explain(builder, path)
    assert ended.code == ExitCode.DONE
    assert f"ANOTHER NarHash than here: {OTHER_HASH}" in _line(ended, "cache")
    assert "not reproducible" in ended.out.splitlines()[-1]
    _save(builder, path, Refused(code="conflict", problem="conflict: another object.", since=time.time()))
    assert _explain(builder, path).code == ExitCode.REFUSED


def test_another_path_under_the_same_hash_part_is_not_it(builder: Builder, service: Service) -> None:
    path = builder.nix.add("a", b"a")
    _publish(builder, service, path)
    ended = _explain(builder, f"{path.hash_part}-another")
    assert ended.code == ExitCode.REFUSED
    assert f"another path under this hash part: {path.base_name}" in _line(ended, "cache")


def test_an_upstream_counts_too(builder: Builder, service: Service) -> None:
    path = builder.nix.add("a", b"a")
    _publish(builder, service, path)
    (service.cache / "empty").mkdir()
    builder.configure(ASSAY_CACHE_URL=f"{service.cache_url}/empty", ASSAY_UPSTREAMS=service.cache_url)
    ended = _explain(builder, path)
    assert ended.code == ExitCode.DONE
    assert "does not have it" in _line(ended, "cache")
    assert f"{service.cache_url}: has it" in _line(ended, "upstream")


def test_a_published_path_with_a_reference_that_is_not(
    builder: Builder, service: Service, low_and_top: list[StorePath]
) -> None:
    """I4, seen from outside: were it ever broken, whoever asks about the path is told."""
    _publish(builder, service, low_and_top[1])
    ended = _explain(builder, low_and_top[1])
    assert ended.code == ExitCode.DONE
    assert f"`assay explain {low_and_top[0].base_name}`" in ended.out.splitlines()[-1]


def test_what_was_published_and_is_gone(builder: Builder, service: Service) -> None:
    path = builder.nix.add("a", b"a")
    queue = Queue(builder.state_dir, builder.nix.store_dir, report=Report())
    with queue.owned():
        queue.save(Entry(path, time.time(), _submitted()))
        queue.conclude(path, Concluded(path, time.time(), "published", ""))
    _tell(service, path, Published(("test-1",)), version="version-1", disputes=(OTHER_HASH,))
    ended = _explain(builder, path)
    assert ended.code == ExitCode.REFUSED
    assert "as published" in _line(ended, "queue")
    assert "published, signed by test-1" in _line(ended, "service")
    assert "another builder submitted other contents" in ended.out
    assert "the cache does not have it (any more)" in ended.out


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Waiting((StorePath.from_base_name("0" * 32 + "-low"),)), ExitCode.TIMED_OUT),
        (Conflict(OTHER_HASH, OTHER_HASH, Against.VOTE), ExitCode.REFUSED),
    ],
)
def test_what_left_the_queue_is_known_to_the_ledger(
    builder: Builder, service: Service, verdict: Verdict, code: ExitCode
) -> None:
    path = builder.nix.add("a", b"a")
    _tell(service, path, verdict, version="version-1")
    assert _explain(builder, path).code == code


def test_without_a_configuration_the_machine_is_told_and_the_rest_named(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("BUILDER", "STAGING_BUCKET", "LEDGER_BUCKET", "CACHE_URL"):
        monkeypatch.delenv(f"ASSAY_{key}")
    path = builder.nix.add("a", b"a")
    ended = _explain(builder, path)
    assert ended.code == ExitCode.TROUBLE
    assert "valid on this machine" in ended.out
    assert "not asked  cache: config-invalid" in ended.out
    assert "not asked  ledger: config-invalid" in ended.out
    _save(builder, path, Queued())
    assert _explain(builder, path).code == ExitCode.TIMED_OUT


def test_with_a_garbage_configuration_the_store_is_told(builder: Builder, tmp_path: Path) -> None:
    (tmp_path / "builder.toml").write_text("garbage")
    builder.configure(ASSAY_CONFIG=str(tmp_path / "builder.toml"))
    ended = _explain(builder, builder.nix.add("a", b"a"))
    assert ended.code == ExitCode.TROUBLE
    assert "valid on this machine" in ended.out
    assert "not asked  queue: config-invalid" in ended.out


def test_without_a_network_the_machine_is_told_and_the_rest_named(builder: Builder, dead_url: str) -> None:
    builder.configure(ASSAY_CACHE_URL=dead_url, AWS_ENDPOINT_URL=dead_url)
    path = builder.nix.add("a", b"a")
    ended = _explain(builder, path)
    assert ended.code == ExitCode.TROUBLE
    assert f"not asked  {dead_url}: " in ended.out
    assert "not asked  ledger: " in ended.out
    assert "valid on this machine" in ended.out


def test_without_nix_the_rest_is_told(builder: Builder, service: Service, tmp_path: Path) -> None:
    path = builder.nix.add("a", b"a")
    _publish(builder, service, path)
    builder.configure(ASSAY_NIX_BIN_DIR=str(tmp_path))
    ended = _explain(builder, path)
    assert ended.code == ExitCode.DONE
    assert "not asked  local store: nix-store cannot be started" in ended.out


def test_the_document_has_all_of_it(builder: Builder, service: Service, low_and_top: list[StorePath]) -> None:
    low, top = low_and_top
    _save(builder, top, _submitted(waits_for=(low,)))
    _tell(service, top, Waiting((low,)), version="version-1")
    document = _document(builder, top)
    info = NixStore(builder.nix.store_dir).infos([top])[top]
    assert document["storePath"] == builder.nix.full(top)
    assert document["state"] == "submitted"
    assert document["local"] == {"narHash": str(info.nar_hash), "narSize": info.nar_size}
    assert document["queue"]["entry"]["waitsFor"] == [low.base_name]
    assert document["queue"]["owner"] is None
    assert [cache["isIt"] for cache in document["caches"]] == [False]
    assert document["result"]["verdict"] == "waiting"
    assert [(one["storePath"], one["here"], one["published"]) for one in document["references"]] == [
        (builder.nix.full(low), True, False)
    ]
    assert document["notAsked"] == []


def test_no_url_is_shown_with_its_password(builder: Builder, service: Service, dead_url: str) -> None:
    path = builder.nix.add("a", b"a")
    builder.configure(
        ASSAY_CACHE_URL=service.cache_url.replace("//", "//me:hunter2@"),
        ASSAY_UPSTREAMS=dead_url.replace("//", "//me:hunter2@"),
    )
    ended = _explain(builder, path)
    assert _line(ended, "cache").startswith(f"  cache      {service.cache_url}: does not have it")
    assert f"not asked  {dead_url}: " in ended.out
    assert "hunter2" not in ended.out
    document = _document(builder, path)
    assert "hunter2" not in json.dumps(document)
    assert [answer["url"] for answer in document["caches"]] == [service.cache_url]
    assert [unasked["what"] for unasked in document["notAsked"]] == [dead_url]


def test_what_is_no_path_is_one_line(builder: Builder) -> None:
    ended = builder.assay("explain", "./no such thing")
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith("assay: config-invalid")
    assert ended.err.count("\n") == 1


def test_it_changes_nothing(builder: Builder, service: Service) -> None:
    """I9: to look at a path neither takes the spool in nor uploads anything."""
    path = builder.nix.add("a", b"a")
    post_build.enqueue(str(builder.state_dir), [builder.nix.full(path)])
    before = sorted(str(file) for file in builder.state_dir.rglob("*"))
    _explain(builder, path)
    assert sorted(str(file) for file in builder.state_dir.rglob("*")) == before
    assert service.staged() == []
