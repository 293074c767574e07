"""Configuration: one file, each key overridden by a variable; what is wrong is said with its place and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from hook.config import MIN_BYTES_PER_SECOND, machine_config, problems, uploader_config
from hook.errors import BuilderCode
from hook.transfer.packing import Packing
from nixcache.compression import Compression
from nixcache.errors import PermanentError

_WHOLE = """\
builder = "ci-1"
staging_bucket = "assay-staging-1"
ledger_bucket = "assay-ledger-1"
cache_url = "https://cache.example.org/"
"""


def _file(tmp_path: Path, text: str) -> dict[str, str]:
    file = tmp_path / "builder.toml"
    file.write_text(text)
    return {"ASSAY_CONFIG": str(file)}


def test_four_keys_are_enough(tmp_path: Path) -> None:
    config = uploader_config(_file(tmp_path, _WHOLE))
    assert str(config.builder) == "ci-1"
    assert (config.staging_bucket, config.ledger_bucket) == ("assay-staging-1", "assay-ledger-1")
    assert config.cache_url == "https://cache.example.org"
    assert config.upstreams == ()
    assert config.compression == Packing(Compression.ZSTD, 3)
    assert config.max_bytes_per_second is None
    assert config.build_logs is False
    assert config.machine.state_dir == Path("/var/lib/assay")
    assert config.machine.nix_bin_dir is None
    assert config.machine.store_dir.path == "/nix/store"


def test_every_other_key(tmp_path: Path) -> None:
    more = """\
upstreams = ["https://cache.nixos.org/", "http://10.0.0.1:5000/x"]
state_dir = "/srv/assay"
nix_bin_dir = "/usr/bin"
compression = "zstd"
compression_level = 19
max_bytes_per_second = 5000000
build_logs = true
"""
    config = uploader_config({**_file(tmp_path, _WHOLE + more), "NIX_STORE_DIR": "/srv/store"})
    assert config.upstreams == ("https://cache.nixos.org", "http://10.0.0.1:5000/x")
    assert config.compression == Packing(Compression.ZSTD, 19)
    assert config.max_bytes_per_second == 5_000_000
    assert config.build_logs is True
    assert config.machine.state_dir == Path("/srv/assay")
    assert config.machine.nix_bin_dir == Path("/usr/bin")
    assert config.machine.store_dir.path == "/srv/store"


def test_the_environment_wins_over_the_file_and_is_enough_alone(tmp_path: Path) -> None:
    variables = {
        "ASSAY_BUILDER": "ci-2",
        "ASSAY_STAGING_BUCKET": "other-staging",
        "ASSAY_LEDGER_BUCKET": "other-ledger",
        "ASSAY_CACHE_URL": "http://127.0.0.1:8080",
        "ASSAY_UPSTREAMS": "https://a.example https://b.example",
        "ASSAY_STATE_DIR": "/srv/ci",
        "ASSAY_COMPRESSION": "xz",
        "ASSAY_COMPRESSION_LEVEL": "0",
        "ASSAY_MAX_BYTES_PER_SECOND": "125000",
        "ASSAY_BUILD_LOGS": "true",
    }
    alone = uploader_config(variables)
    assert alone == uploader_config({**_file(tmp_path, _WHOLE), **variables})
    assert alone.upstreams == ("https://a.example", "https://b.example")
    assert alone.compression == Packing(Compression.XZ, 0)
    assert (alone.max_bytes_per_second, alone.build_logs) == (125_000, True)


@pytest.mark.parametrize(("value", "expected"), [("false", False), ("true", True)])
def test_a_switch_is_a_word_in_the_environment(tmp_path: Path, value: str, *, expected: bool) -> None:
    assert uploader_config({**_file(tmp_path, _WHOLE), "ASSAY_BUILD_LOGS": value}).build_logs is expected


@pytest.mark.parametrize(("name", "level"), [("zstd", 3), ("xz", 6), ("none", 0)])
def test_a_compression_alone_takes_its_own_usual_level(tmp_path: Path, name: str, level: int) -> None:
    config = uploader_config(_file(tmp_path, f'{_WHOLE}compression = "{name}"\n'))
    assert config.compression == Packing(Compression(name), level)


def test_an_empty_variable_is_an_absent_one(tmp_path: Path) -> None:
    assert str(uploader_config({**_file(tmp_path, _WHOLE), "ASSAY_BUILDER": ""}).builder) == "ci-1"


def test_commands_that_need_no_service_need_no_configuration() -> None:
    assert machine_config({}).state_dir == Path("/var/lib/assay")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('builder = "CI 1"', "builder"),
        ("builder = 1", "builder"),
        ('staging_bucket = "s3://assay"', "staging_bucket"),
        ('ledger_bucket = ""', "ledger_bucket"),
        ('cache_url = "cache.example.org"', "cache_url"),
        ('cache_url = "file:///srv/cache"', "cache_url"),
        ('cache_url = "https://[::1/"', "cache_url"),
        ('cache_url = "https://:443/"', "cache_url"),
        ('cache_url = "https://example.org:port/"', "cache_url"),
        ('upstreams = ["cache.nixos.org"]', "upstreams"),
        ("upstreams = 3", "upstreams"),
        ('state_dir = "assay"', "state_dir"),
        ("compression_level = 20", "compression_level"),
        ("compression_level = 0", "compression_level"),
        ("compression_level = true", "compression_level"),
        ('compression_level = "best"', "compression_level"),
        ("compression_level = 3.5", "compression_level"),
        ('compression = "xz"\ncompression_level = 10', "compression_level"),
        ('compression = "none"\ncompression_level = 3', "compression_level"),
        ('compression = "bzip2"', "compression"),
        ("compression = 3", "compression"),
        (f"max_bytes_per_second = {MIN_BYTES_PER_SECOND - 1}", "max_bytes_per_second"),
        ('max_bytes_per_second = "1M"', "max_bytes_per_second"),
        ("max_bytes_per_second = 1e9", "max_bytes_per_second"),
        ('build_logs = "yes"', "build_logs"),
        ("build_logs = 1", "build_logs"),
        ("zstd_level = 3", "zstd_level"),
        ('stagingBucket = "x"', "stagingBucket"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_key_and_what_to_do(tmp_path: Path, line: str, key: str) -> None:
    kept = "".join(f"{other}\n" for other in _WHOLE.splitlines() if not other.startswith(f"{key} "))
    with pytest.raises(PermanentError) as caught:
        uploader_config(_file(tmp_path, kept + line))
    assert caught.value.code is BuilderCode.CONFIG_INVALID
    assert f"{tmp_path}/builder.toml, {key}: " in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize("key", ["builder", "staging_bucket", "ledger_bucket", "cache_url"])
def test_a_missing_key_is_named_with_both_ways_to_set_it(tmp_path: Path, key: str) -> None:
    kept = "".join(f"{line}\n" for line in _WHOLE.splitlines() if not line.startswith(key))
    with pytest.raises(PermanentError) as caught:
        uploader_config(_file(tmp_path, kept))
    assert f"builder.toml, {key}: is not set" in caught.value.problem
    assert f"ASSAY_{key.upper()}" in caught.value.remedy


def test_a_state_dir_whose_roots_no_directory_name_could_carry_is_refused() -> None:
    """Each dash takes four bytes there; the queue would stop for good with ENAMETOOLONG."""
    fits, too_long = f"/{'-' * 63}abc", f"/{'-' * 64}"
    assert machine_config({"ASSAY_STATE_DIR": fits}).state_dir == Path(fits)
    with pytest.raises(PermanentError, match="ASSAY_STATE_DIR: ") as caught:
        machine_config({"ASSAY_STATE_DIR": too_long})
    assert "Give a shorter path" in caught.value.remedy
    assert "256 bytes" in caught.value.remedy


def test_every_problem_is_returned_in_the_order_of_file_and_keys(tmp_path: Path) -> None:
    text = 'level = 3\ncache_url = "example.org"\ncompression = "zip"\nstate_dir = "a"\nzip = true\n'
    environ = {**_file(tmp_path, text), "ASSAY_BUILDER": "A B", "NIX_STORE_DIR": "store"}
    found = problems(environ)
    wrong = ["level:", "zip:", "state_dir:", "'store'", "ASSAY_BUILDER:", "staging_bucket:", "ledger_bucket:"]
    wrong += ["cache_url:", "compression:"]
    assert len(found) == len(wrong)
    for problem, start in zip(found, wrong, strict=True):
        assert start in problem.problem
        assert problem.remedy
    with pytest.raises(PermanentError) as caught:
        uploader_config(environ)
    assert str(caught.value) == str(found[0])


def test_where_nothing_is_wrong_there_is_no_problem(tmp_path: Path) -> None:
    assert problems(_file(tmp_path, _WHOLE)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cache_url", '"ftp://me:secret@example.org"'),
        ("cache_url", '"me:secret@example.org"'),
        ("cache_url", '"https://me:sec ret@example.org"'),
        ("cache_url", '"https://me:sec/ret@example.org"'),
        ("upstreams", '["https://example.org", "ftp://me:secret@example.org"]'),
        ("upstreams", '"ftp://me:secret@example.org"'),
    ],
)
def test_a_url_that_will_not_do_is_told_without_its_password(tmp_path: Path, key: str, value: str) -> None:
    kept = "".join(f"{line}\n" for line in _WHOLE.splitlines() if not line.startswith(key))
    [problem] = problems(_file(tmp_path, f"{kept}{key} = {value}\n"))
    assert "example.org" in problem.problem
    assert "me:" not in f"{problem.problem} {problem.remedy}"
    assert "ret@" not in problem.problem


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(PermanentError, match="ASSAY_STATE_DIR: "):
        machine_config({"ASSAY_STATE_DIR": "relative"})


@pytest.mark.parametrize("text", ["builder: ci-1", 'builder = "a"\nbuilder = "b"', "builder = \xff"])
def test_what_is_no_toml_is_said_so(tmp_path: Path, text: str) -> None:
    environ = _file(tmp_path, "")
    Path(environ["ASSAY_CONFIG"]).write_bytes(text.encode("latin-1"))
    with pytest.raises(PermanentError, match=r"builder\.toml: not TOML"):
        uploader_config(environ)


def test_a_named_file_must_exist_and_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="there is no such file"):
        machine_config({"ASSAY_CONFIG": str(tmp_path / "none.toml")})
    with pytest.raises(PermanentError, match="Is a directory"):
        machine_config({"ASSAY_CONFIG": str(tmp_path)})
