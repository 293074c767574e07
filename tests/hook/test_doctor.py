"""`assay doctor`: one line for each thing that has to be right, each fault told apart from the others, with its fix."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hook import post_build
from hook.config import MachineConfig, machine_config, uploader_config
from hook.doctor import local_nix, machine
from hook.doctor.caches import cache
from hook.doctor.check import Check, Examine, Status, guarded
from hook.doctor.cloud import Cloud
from hook.exit_code import ExitCode
from hook.post_build import SPOOL_NEW
from hook.queue.entry import Entry, Refused
from hook.queue.queue import Queue
from hook.report import Report
from local.aws import PROJECT_ROOT, Credentials
from local.service import LocalService
from protocol.keys import BuilderName
from tests.hook.builder import Builder
from tests.hook.service import Service

ALICE = BuilderName("alice")
_MACHINE = {"python", "nix", "hook", "state directory", "gc roots", "uploader", "hook log", "proxy and CA"}
_SERVICE = {"credentials", "clock", "staging bucket", "ledger bucket", "cache"}


@pytest.fixture
def installed(builder: Builder, service: Service) -> Builder:
    """A builder where everything is right."""
    (service.cache / "nix-cache-info").write_text(f"StoreDir: {builder.nix.store_dir.path}\nWantMassQuery: 1\n")
    _use_hook(builder, builder.install_hook())
    builder.state_dir.mkdir()
    return builder


@pytest.fixture
def dead_url() -> Iterator[str]:
    """An address where nobody listens, and nobody else will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def _use_hook(builder: Builder, hook: Path) -> None:
    with (builder.nix.directory / "conf/nix.conf").open("a") as file:
        file.write(f"post-build-hook = {hook}\n")


def _checks(builder: Builder) -> dict[str, Check]:
    """Return what the doctor says, and see to it that nothing but JSON was said, and the exit code is right."""
    ended = builder.assay("doctor", "--json")
    assert ended.err == ""
    document = json.loads(ended.out)
    assert document["schema"] == 1
    checks = [Check(one["name"], Status(one["status"]), one["finding"], one["fix"]) for one in document["checks"]]
    assert all(bool(check.fix) == (check.status is not Status.OK) for check in checks)
    failed = any(check.status is Status.FAIL for check in checks)
    assert ended.code == (ExitCode.REFUSED if failed else ExitCode.DONE)
    return {check.name: check for check in checks}


def _one(examine: Examine) -> Check:
    """Return what one check alone says."""
    (check,) = guarded("it", examine)
    assert bool(check.fix) == (check.status is not Status.OK)
    return check


def _of_machine(examine: Callable[[MachineConfig], list[Check]]) -> Check:
    return _one(lambda: examine(machine_config(os.environ)))


def _not_ok(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.status is not Status.OK}


def test_where_all_is_right_only_the_uploader_is_missed_and_nothing_is_left(
    installed: Builder, service: Service
) -> None:
    before = sorted(installed.state_dir.rglob("*"))
    checks = _checks(installed)
    assert checks.keys() == {"configuration"} | _MACHINE | _SERVICE
    assert _not_ok(checks) == {"uploader"}
    assert checks["uploader"].status is Status.WARN
    assert "arn:aws" in checks["credentials"].finding
    assert "ASSAY_BUILDER" in checks["configuration"].finding
    assert service.staged() == []
    assert service.unfinished_uploads() == 0
    assert sorted(installed.state_dir.rglob("*")) == before


def test_it_is_one_line_a_check_with_the_fix_at_its_end(installed: Builder) -> None:
    ended = installed.assay("doctor")
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    lines = ended.out.splitlines()
    assert all(line.startswith(("ok    ", "warn  ", "fail  ", "skip  ")) for line in lines)
    assert [line for line in lines if "Fix: " in line] == [line for line in lines if not line.startswith("ok")]


def test_an_uploader_at_work_is_named(installed: Builder) -> None:
    queue = Queue(installed.state_dir, installed.nix.store_dir, report=Report())
    with queue.owned():
        check = _checks(installed)["uploader"]
    assert check.status is Status.OK
    assert f"process {os.getpid()}" in check.finding


# Configuration.


def test_a_garbage_configuration_leaves_what_needs_none(installed: Builder, tmp_path: Path) -> None:
    (tmp_path / "builder.toml").write_text("garbage")
    installed.configure(ASSAY_CONFIG=str(tmp_path / "builder.toml"))
    checks = _checks(installed)
    assert checks["configuration"].status is Status.FAIL
    assert "not TOML" in checks["configuration"].finding
    assert checks["python"].status is Status.OK
    assert checks["not checked"].status is Status.FAIL


def test_a_missing_key_leaves_the_machine(installed: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_BUILDER")
    checks = _checks(installed)
    assert checks["configuration"].status is Status.FAIL
    assert "builder: is not set" in checks["configuration"].finding
    assert _not_ok(checks) == {"configuration", "uploader", "not checked"}
    assert not _SERVICE & checks.keys()


def test_each_key_that_is_wrong_has_a_line(installed: Builder) -> None:
    installed.configure(ASSAY_BUILDER="Not a name", ASSAY_COMPRESSION="lzma", ASSAY_CACHE_URL="example.org")
    lines = installed.assay("doctor").out.splitlines()
    wrong = [line.split(": ")[1] for line in lines if line.startswith("fail  configuration: ")]
    assert wrong == ["ASSAY_BUILDER", "ASSAY_CACHE_URL", "ASSAY_COMPRESSION"]


def test_each_line_of_the_file_that_is_wrong_has_a_line(installed: Builder, tmp_path: Path) -> None:
    (tmp_path / "builder.toml").write_text('stagingBucket = "a"\nupstreams = 3\nnix_bin_dir = "bin"\nlevel = 3\n')
    installed.configure(ASSAY_CONFIG=str(tmp_path / "builder.toml"), NIX_STORE_DIR="relative")
    lines = installed.assay("doctor").out.splitlines()
    wrong = [line.partition(": ")[2] for line in lines if line.startswith("fail  configuration: ")]
    file = tmp_path / "builder.toml"
    said = [
        f"{file}, stagingBucket: ",
        f"{file}, level: ",
        f"{file}, nix_bin_dir: ",
        "'relative' is ",
        f"{file}, upstr",
    ]
    assert [line[: len(start)] for line, start in zip(wrong, said, strict=True)] == said


# Nix and its hook.


def test_without_nix(installed: Builder, tmp_path: Path) -> None:
    installed.configure(ASSAY_NIX_BIN_DIR=str(tmp_path))
    checks = _checks(installed)
    assert checks["nix"].status is Status.FAIL
    assert "nix_bin_dir" in checks["nix"].fix
    assert checks["hook"].status is Status.WARN


@pytest.mark.parametrize(
    ("said", "status"),
    [("nix-store (Nix) 2.2.2", Status.FAIL), ("nix-store (Nix) 2.34.1", Status.OK), ("hello", Status.WARN)],
)
def test_versions_of_nix(installed: Builder, tmp_path: Path, said: str, status: Status) -> None:
    (tmp_path / "bin").mkdir()
    for program in ("nix", "nix-store"):
        (tmp_path / "bin" / program).write_text(f"#!/bin/sh\necho '{said}'\n")
        (tmp_path / "bin" / program).chmod(0o755)
    installed.configure(ASSAY_NIX_BIN_DIR=str(tmp_path / "bin"))
    assert _of_machine(local_nix.programs).status is status


@pytest.mark.usefixtures("builder")
def test_a_hook_that_is_not_in_nix_conf() -> None:
    check = _of_machine(local_nix.post_build_hook)
    assert check.status is Status.FAIL
    assert "sets no post-build-hook" in check.finding
    assert "assay hook-script --output" in check.fix


def _hook(builder: Builder) -> Path:
    return builder.nix.directory / "post-build-hook"


_PROGRAM = Path(post_build.__file__)


@pytest.mark.parametrize(
    "fault",
    [
        "gone",
        "not executable",
        "others may write",
        "no interpreter",
        "no program's bit",
        "no program",
        "other state dir",
        "other",
        "other interpreter",
        "other version",
    ],
)
def test_a_hook_that_will_not_do(installed: Builder, tmp_path: Path, fault: str) -> None:
    """I9: what cannot start queues nothing, and says so to the log of the Nix daemon alone."""
    hook = _hook(installed)
    text = hook.read_text()
    status = Status.FAIL
    match fault:
        case "gone":
            hook.unlink()
            said = "cannot be read"
        case "not executable":
            hook.chmod(0o644)
            said = "is not executable"
        case "others may write":
            hook.chmod(0o757)
            said = "may change"
        case "no interpreter":
            (tmp_path / "python").symlink_to(tmp_path / "python3.9")
            hook.write_text(text.replace(sys.executable, str(tmp_path / "python")))
            said = f"{tmp_path}/python is gone. No build is queued"
        case "no program's bit":
            (tmp_path / "python").write_bytes(b"")
            hook.write_text(text.replace(sys.executable, str(tmp_path / "python")))
            said = f"{tmp_path}/python is no program. No build is queued"
        case "no program":
            hook.write_text(text.replace(str(_PROGRAM.parent), str(tmp_path / "venv")))
            said = f"{tmp_path}/venv/post_build.py is gone. No build is queued"
        case "other state dir":
            hook.write_text(text.replace(str(installed.state_dir), "/var/lib/elsewhere"))
            said = "queues in /var/lib/elsewhere"
        case "other":
            hook.write_text("#!/bin/sh\nnix copy --to s3://somewhere $OUT_PATHS\n")
            said, status = "is not what assay hook-script writes", Status.WARN
        case "other interpreter":
            (tmp_path / "python").symlink_to(sys.executable)
            hook.write_text(text.replace(sys.executable, str(tmp_path / "python")))
            said, status = "of another installation", Status.WARN
        case _:
            (tmp_path / "post_build.py").write_text(f"{_PROGRAM.read_text()}# Older.\n")
            hook.write_text(text.replace(str(_PROGRAM.parent), str(tmp_path)))
            said, status = "of another installation", Status.WARN
    check = _of_machine(local_nix.post_build_hook)
    assert said in check.finding
    assert check.status is status
    assert fault in {"not executable", "others may write", "other"} or f"assay hook-script --output {hook}" in check.fix


def test_what_only_root_may_look_at_is_not_called_gone(installed: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Path.stat

    def forbidden(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path == _PROGRAM:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", forbidden)
    check = _of_machine(local_nix.post_build_hook)
    assert check.status is Status.WARN
    assert str(_PROGRAM) in check.finding
    assert check.fix == "Ask again as root."
    assert _hook(installed).exists()


def test_from_a_zipapp_nothing_is_written(installed: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "assay.pyz", "w") as pyz:
        pyz.writestr("__main__.py", "")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "assay.pyz")])
    assert _of_machine(local_nix.post_build_hook).status is Status.WARN
    assert list(installed.state_dir.iterdir()) == []
    installed.install_hook()
    assert _of_machine(local_nix.post_build_hook).status is Status.OK
    [copy] = installed.state_dir.rglob("*.py")
    copy.write_text("# Of an older zipapp.\n")
    assert _of_machine(local_nix.post_build_hook).status is Status.WARN
    assert copy.read_text() == "# Of an older zipapp.\n"
    copy.unlink()
    assert _of_machine(local_nix.post_build_hook).status is Status.FAIL
    assert list(installed.state_dir.rglob("*.py")) == []


# This machine.


def test_a_state_directory_that_is_not_there_yet(installed: Builder) -> None:
    installed.state_dir.rmdir()
    check = _of_machine(machine.state_dir)
    assert check.status is Status.WARN
    assert "yet" in check.finding


def test_a_state_directory_that_is_a_file(installed: Builder) -> None:
    installed.state_dir.rmdir()
    installed.state_dir.write_text("")
    checks = _checks(installed)
    assert checks["state directory"].status is Status.FAIL
    assert checks["staging bucket"].status is Status.OK


def test_a_state_directory_that_everybody_may_write_to(installed: Builder) -> None:
    """Whoever can spool can have root's uploader publish what they like under this builder's name."""
    installed.state_dir.chmod(0o777)
    check = _of_machine(machine.state_dir)
    assert check.status is Status.FAIL
    assert check.fix == f"chmod o-w {installed.state_dir}"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("free", "status"),
    [
        (machine.NO_SPACE - 1, Status.FAIL),
        (machine.LITTLE_SPACE - 1, Status.WARN),
        (machine.LITTLE_SPACE, Status.OK),
    ],
)
def test_free_space(monkeypatch: pytest.MonkeyPatch, free: int, status: Status) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - the shape of shutil's own
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(free, 0, free))
    assert _of_machine(machine.state_dir).status is status


def test_roots_that_nobody_can_make(installed: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """I9: without a root, garbage collection may take what is queued."""
    access = os.access
    roots = str(installed.nix.state_dir / "gcroots")
    monkeypatch.setattr(os, "access", lambda path, mode: roots not in str(path) and access(path, mode))
    (installed.nix.state_dir / "gcroots").mkdir(exist_ok=True)
    assert _of_machine(machine.gc_roots).status is Status.FAIL
    (installed.nix.state_dir / "daemon-socket").mkdir()
    (installed.nix.state_dir / "daemon-socket/socket").touch()
    assert _of_machine(machine.gc_roots).status is Status.OK


def test_what_waits_for_people_is_counted(installed: Builder) -> None:
    path = installed.nix.add("a", b"a")
    post_build.report(str(installed.state_dir), "First.")
    post_build.report(str(installed.state_dir), "Nothing was queued.")
    queue = Queue(installed.state_dir, installed.nix.store_dir, report=Report())
    with queue.owned():
        queue.save(Entry(path, time.time(), Refused(code="nar-hash-mismatch", problem="Wrong.", since=0)))
        (installed.state_dir / SPOOL_NEW / "1-1-1").write_text("garbage")
        queue.take_in(lambda _: [], limit=10)
    checks = _checks(installed)
    assert {"rejected paths", "set-aside files", "hook log"} <= _not_ok(checks)
    assert "2 problems, the newest: " in checks["hook log"].finding
    assert checks["hook log"].finding.endswith("Nothing was queued.")
    assert not any(check.status is Status.FAIL for check in checks.values())


def test_proxies_are_told_without_their_passwords(builder: Builder) -> None:
    builder.configure(HTTPS_PROXY="http://me:secret@proxy.example.org:3128", NO_PROXY="127.0.0.1")
    check = _one(lambda: machine.surroundings(os.environ))
    assert "HTTPS_PROXY=http://proxy.example.org:3128" in check.finding
    assert "secret" not in check.finding


def test_a_bundle_of_certificates_that_is_not_there(builder: Builder) -> None:
    builder.configure(NIX_SSL_CERT_FILE="/nonexistent/bundle.pem")
    check = _one(lambda: machine.surroundings(os.environ))
    assert check.status is Status.FAIL
    assert check.fix == "Correct or unset NIX_SSL_CERT_FILE."


# AWS and the caches.


def test_buckets_that_are_not_there(installed: Builder) -> None:
    installed.configure(ASSAY_STAGING_BUCKET="no-such-staging", ASSAY_LEDGER_BUCKET="no-such-ledger")
    checks = _checks(installed)
    for name, bucket in (("staging bucket", "no-such-staging"), ("ledger bucket", "no-such-ledger")):
        assert checks[name].status is Status.FAIL
        assert checks[name].finding == f"There is no bucket {bucket}."
        assert name.replace(" ", "_") in checks[name].fix
    assert _not_ok(checks) == {"uploader", "staging bucket", "ledger bucket"}


def test_an_endpoint_where_nobody_answers_spares_the_rest(installed: Builder, dead_url: str) -> None:
    installed.configure(AWS_ENDPOINT_URL=dead_url)
    checks = _checks(installed)
    assert _not_ok(checks) == {"uploader", "credentials", "clock", "staging bucket", "ledger bucket"}
    assert checks["credentials"].status is Status.WARN
    assert checks["clock"].status is Status.SKIP
    assert checks["staging bucket"].status is Status.FAIL
    assert "AWS_ENDPOINT_URL" in checks["staging bucket"].fix


def test_no_credentials_at_all(installed: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    checks = _checks(installed)
    assert _not_ok(checks) == {"uploader", "credentials", "staging bucket", "ledger bucket"}
    assert checks["clock"].finding == "agrees with S3's"
    assert checks["credentials"].status is Status.FAIL
    assert "credentials" in checks["credentials"].fix


@pytest.mark.parametrize(
    ("off", "status"),
    [(0, Status.OK), (90, Status.WARN), (-90, Status.WARN), (3600, Status.FAIL), (-3600, Status.FAIL)],
)
@pytest.mark.usefixtures("installed")
def test_the_clock_is_compared_with_s3(off: int, status: Status) -> None:
    check = _one(Cloud(uploader_config(os.environ), now=lambda: time.time() + off).clock)
    assert check.status is status
    assert ("ahead of" in check.finding) == (off > 0)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (None, Status.WARN, "has no nix-cache-info"),
        ("<p>Sign in</p>", Status.FAIL, "something else answers"),
        ("StoreDir: /gnu/store\n", Status.FAIL, "a cache of the store /gnu/store"),
    ],
)
def test_what_is_no_cache_of_this_store(
    installed: Builder, service: Service, body: str | None, status: Status, said: str
) -> None:
    info = service.cache / "nix-cache-info"
    if body is None:
        info.unlink()
    else:
        info.write_text(body)
    check = _one(lambda: cache("cache", service.cache_url, installed.nix.store_dir))
    assert check.status is status
    assert said in check.finding


def test_each_upstream_is_asked(installed: Builder, service: Service, dead_url: str) -> None:
    installed.configure(ASSAY_UPSTREAMS=f"{service.cache_url} {dead_url}")
    ended = installed.assay("doctor")
    lines = [line for line in ended.out.splitlines() if "  upstream: " in line]
    assert [line.split()[0] for line in lines] == ["ok", "fail"]
    assert dead_url in lines[1]


@pytest.mark.parametrize("body", [None, "<p>Sign in</p>", "StoreDir: /gnu/store\n", "StoreDir: {}\n"])
def test_caches_are_told_without_their_passwords(installed: Builder, service: Service, body: str | None) -> None:
    if body is None:
        (service.cache / "nix-cache-info").unlink()
    else:
        (service.cache / "nix-cache-info").write_text(body.format(installed.nix.store_dir.path))
    url = service.cache_url.replace("://", "://me:secret@")
    check = _one(lambda: cache("cache", url, installed.nix.store_dir))
    assert service.cache_url in check.finding
    assert "secret" not in check.finding + check.fix


def test_a_check_that_breaks_takes_no_other_along(installed: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Check]:
        raise ZeroDivisionError

    monkeypatch.setattr(machine, "python", broken)
    checks = _checks(installed)
    assert _not_ok(checks) == {"uploader", "python"}
    assert "The check itself broke: ZeroDivisionError()" in checks["python"].finding


_HANGING = """\
import socket, sys, threading
def hang(*_, **__):
    threading.Event().wait()
socket.getaddrinfo = hang
from hook.doctor import examination
limited = examination.examine
examination.examine = lambda: limited(limit_seconds=0.5)
from hook.cli import main
sys.exit(main(["doctor"]))
"""


def test_a_resolver_that_hangs_is_told_and_holds_up_no_end(installed: Builder) -> None:
    """Whoever asks for the cause gets an answer. The time-out here is only that a test that fails has an end."""
    installed.configure(ASSAY_CACHE_URL="http://cache.example.org")
    ended = subprocess.run(
        [sys.executable, "-c", _HANGING],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == ExitCode.REFUSED, ended.stderr
    [line] = [line for line in ended.stdout.splitlines() if "  cache: " in line]
    assert line.startswith("fail  cache: did not end within 0.5 s. Fix: Check name resolution (DNS)")


# With IAM enforced.


@pytest.fixture(scope="module")
def deployed() -> Iterator[LocalService]:
    with Path(os.devnull).open("w") as nowhere, LocalService(log=nowhere) as service:
        yield service


def _as(builder: Builder, service: LocalService, name: str, credentials: Credentials) -> None:
    settings = service.deployment.settings
    builder.configure(
        ASSAY_BUILDER=name,
        ASSAY_STAGING_BUCKET=settings.staging_bucket,
        ASSAY_LEDGER_BUCKET=settings.ledger_bucket,
        **service.aws.environment(credentials),
    )


def _become(builder: Builder, service: LocalService, name: str, credentials: Credentials) -> dict[str, Check]:
    _as(builder, service, name, credentials)
    return _checks(builder)


def test_the_deployed_role_is_enough_for_the_doctor(builder: Builder, deployed: LocalService) -> None:
    checks = _become(builder, deployed, "alice", deployed.deployment.builders[ALICE])
    assert {name: checks[name].status for name in ("credentials", "staging bucket", "ledger bucket")} == {
        "credentials": Status.OK,
        "staging bucket": Status.OK,
        "ledger bucket": Status.OK,
    }


def test_another_builder_s_name_is_denied(builder: Builder, deployed: LocalService) -> None:
    checks = _become(builder, deployed, "mallory", deployed.deployment.builders[ALICE])
    assert checks["staging bucket"].status is Status.FAIL
    assert "may not upload to" in checks["staging bucket"].finding
    assert "`builder`" in checks["staging bucket"].fix
    # S3 does not say whether it is for want of a result or of a permission.
    assert checks["ledger bucket"].status is Status.WARN


def test_who_may_list_results_and_not_read_them_is_told_so(builder: Builder, deployed: LocalService) -> None:
    """On the first day, when there is no result yet."""
    iam = deployed.aws.client("iam", deployed.deployment.operator)
    iam.create_user(UserName="lister")
    may_list = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [may_list]})
    iam.put_user_policy(UserName="lister", PolicyName="list", PolicyDocument=document)
    key = iam.create_access_key(UserName="lister")["AccessKey"]
    _as(builder, deployed, "alice", Credentials(key["AccessKeyId"], key["SecretAccessKey"]))
    check = _one(Cloud(uploader_config(os.environ)).ledger)
    assert check.status is Status.FAIL
    assert "may list" in check.finding
    assert "s3:GetObject" in check.fix


def test_an_unknown_key_is_a_matter_of_credentials(builder: Builder, deployed: LocalService) -> None:
    checks = _become(builder, deployed, "alice", Credentials("AKIAUNKNOWN", "secret"))
    assert checks["staging bucket"].status is Status.FAIL
    assert "InvalidAccessKeyId" in checks["staging bucket"].finding
    assert "credentials" in checks["staging bucket"].fix
    assert "secret" not in json.dumps([check.finding for check in checks.values()])
