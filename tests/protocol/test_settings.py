"""The ingest Lambda's settings: what the stack writes, the handler reads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.errors import PermanentError
from nixcache.signature import PublicKey
from nixcache.store_path import StoreDir
from nixcache.verify import DEFAULT_MAX_EXPANSION, Policy
from protocol.settings import IngestSettings, ReferencePolicy, SettingsCode, Upstream

KEY = PublicKey.parse("cache.example.org-1:tZy1DOc/ARYGmYDuMniyj2X4OQyqNu5J7N0A9xh6LYQ=")
SETTINGS = IngestSettings(
    store_dir=StoreDir("/s"),
    staging_bucket="staging",
    cache_bucket="cache",
    ledger_bucket="ledger",
    queue_url="https://sqs.example/1/q",
    signing_secret_id="secret-id",
    policy_file="/var/task/policy.json",
    max_nar_size=123,
    max_expansion=45,
    references=ReferencePolicy(not_found=Policy.WARN, undeclared=Policy.REJECT),
    first_retry_seconds=0,
    max_waiting_seconds=3600,
    publish_upstream_paths=True,
    upstreams=(Upstream("https://cache.example.org", (KEY,)), Upstream("http://10.0.0.1:5000/x", (KEY, KEY))),
)
ENVIRONMENT = SETTINGS.to_environment()


def test_what_is_written_reads_back() -> None:
    assert IngestSettings.from_environment(ENVIRONMENT) == SETTINGS


def test_the_defaults() -> None:
    settings = IngestSettings(
        staging_bucket="s",
        cache_bucket="c",
        ledger_bucket="l",
        queue_url="q",
        signing_secret_id="i",
        policy_file="p",
    )
    assert (settings.store_dir.path, settings.max_nar_size, settings.upstreams) == ("/nix/store", 10 * 1024**3, ())
    assert settings.max_expansion == DEFAULT_MAX_EXPANSION
    assert (settings.max_waiting_seconds, settings.publish_upstream_paths) == (7 * 86400, False)
    assert (settings.references.not_found, settings.references.undeclared) == (Policy.REJECT, Policy.WARN)
    assert IngestSettings.from_environment(settings.to_environment()) == settings


@pytest.mark.parametrize("not_found", Policy)
@pytest.mark.parametrize("undeclared", Policy)
def test_the_two_policies_are_not_mixed_up(not_found: Policy, undeclared: Policy) -> None:
    policy = ReferencePolicy(not_found=not_found, undeclared=undeclared)
    assert IngestSettings.from_environment(replace(SETTINGS, references=policy).to_environment()).references == policy


@pytest.mark.parametrize("seconds", [0, 13 * 86400])
def test_a_submission_may_wait_up_to_a_day_less_than_its_marker_lives(seconds: int) -> None:
    settings = replace(SETTINGS, max_waiting_seconds=seconds)
    assert IngestSettings.from_environment(settings.to_environment()) == settings


def test_variables_are_named_for_assay_and_other_ones_are_passed_over() -> None:
    assert all(name.startswith("ASSAY_") for name in ENVIRONMENT)
    assert IngestSettings.from_environment({**ENVIRONMENT, "PATH": "/bin", "AWS_REGION": "x"}) == SETTINGS


def refusal(environment: dict[str, str]) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        IngestSettings.from_environment(environment)
    assert caught.value.code is SettingsCode.SETTINGS_MALFORMED
    return caught.value


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_a_missing_variable_is_named(variable: str) -> None:
    error = refusal({name: value for name, value in ENVIRONMENT.items() if name != variable})
    assert (error.field, error.problem) == (variable, "It is not set.")
    assert variable in str(error)


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_an_empty_variable_is_named(variable: str) -> None:
    assert refusal({**ENVIRONMENT, variable: ""}).field == variable


UPSTREAM = {"url": "https://cache.example.org", "publicKeys": [str(KEY)]}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ASSAY_STORE_DIR", "nix/store"),
        ("ASSAY_STORE_DIR", "/nix/store/"),
        *(
            ("ASSAY_MAX_NAR_SIZE", value)
            for value in ("0", "-1", "1.5", "1e9", "10 GiB", "1_000", " 1", "01", "٣", "\uff11", "9" * 30)
        ),
        *(("ASSAY_MAX_EXPANSION", value) for value in ("0", "-1", "1.5", "x", "01", "٣", "9" * 30)),
        *(("ASSAY_REFERENCE_NOT_FOUND", value) for value in ("Reject", "ignore", "reject ", "0")),
        *(("ASSAY_REFERENCE_UNDECLARED", value) for value in ("WARN", "none", "warn,reject", "true")),
        *(("ASSAY_FIRST_RETRY_SECONDS", value) for value in ("-1", "1.5", "10000", "01", "x")),
        *(("ASSAY_MAX_WAITING_SECONDS", value) for value in ("-1", "1.5", "01", "x", str(13 * 86400 + 1), "9" * 30)),
        *(("ASSAY_PUBLISH_UPSTREAM_PATHS", value) for value in ("True", "no", "1", "false ")),
        *(
            ("ASSAY_UPSTREAMS", value)
            for value in (
                "{",
                "5",
                "null",
                "{}x",
                '"x"',
                "[5]",
                "[null]",
                "[[]]",
                "[" * 100_000,
                json.dumps([{"url": "https://a"}]),
                json.dumps([{"publicKeys": [str(KEY)]}]),
                json.dumps([{**UPSTREAM, "url": 5}]),
                json.dumps([{**UPSTREAM, "url": "ftp://a"}]),
                json.dumps([{**UPSTREAM, "url": "https://a/"}]),
                json.dumps([{**UPSTREAM, "url": ""}]),
                json.dumps([{**UPSTREAM, "publicKeys": []}]),
                json.dumps([{**UPSTREAM, "publicKeys": 5}]),
                json.dumps([{**UPSTREAM, "publicKeys": [5]}]),
                json.dumps([{**UPSTREAM, "publicKeys": str(KEY)}]),
                json.dumps([{**UPSTREAM, "publicKeys": [str(KEY)[:-1]]}]),
                json.dumps([UPSTREAM, {**UPSTREAM, "publicKeys": [""]}]),
            )
        ),
    ],
    ids=lambda value: value[:40],
)
def test_a_bad_value_names_its_variable(variable: str, value: str) -> None:
    error = refusal({**ENVIRONMENT, variable: value})
    assert error.field == variable
    assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("url", ["", "cache.example.org", "file:///x", "s3://x", "https://cache.example.org/"])
def test_an_upstream_is_fetched_over_http(url: str) -> None:
    with pytest.raises(PermanentError, match="no binary cache's URL"):
        Upstream(url, (KEY,))


def test_an_upstream_that_nobody_signs_for_vouches_for_nothing() -> None:
    """I4: a reference counts as there only if a signature of its narinfo holds."""
    with pytest.raises(PermanentError, match="has no public key"):
        Upstream("https://cache.example.org", ())


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([str(KEY), "https://a"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["url", "publicKeys", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(ENVIRONMENT)), st.text() | JSON.map(json.dumps))
def test_any_value_is_accepted_or_named(variable: str, value: str) -> None:
    """The fuzz contract."""
    try:
        settings = IngestSettings.from_environment({**ENVIRONMENT, variable: value})
    except PermanentError as error:
        named = error
    else:
        assert IngestSettings.from_environment(settings.to_environment()) == settings
        return
    assert (named.code, named.field) == (SettingsCode.SETTINGS_MALFORMED, variable)
