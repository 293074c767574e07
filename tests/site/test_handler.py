"""What EventBridge calls: everything written, again and again, and what is missing said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_cloudwatch import CloudWatchClient

from lambdas.context import Context
from lambdas.emf import EventLog
from lambdas.site.handler import Clients, handler, write_site
from lambdas.site.status import read_status
from local.aws import UNCHECKED
from nixcache.errors import PermanentError, TransientError
from nixcache.signing import SecretKey
from protocol.keys import INDEX_KEY, NIX_CACHE_INFO_KEY, PUBLIC_KEYS_JSON_KEY, STATUS_KEY
from protocol.settings import SettingsCode
from tests.site.conftest import NOW, Site

# What CloudFormation's status change looks like; the handler reads nothing of it.
EVENT = {"source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change", "detail": {}}
KEY = SecretKey.generate("cache.test-1").public_key
ANNOUNCED = {
    "version": 1,
    "keys": [{"name": KEY.name, "publicKey": str(KEY), "state": "now", "since": "2026-11-01T00:00:00Z", "until": None}],
}


@pytest.fixture
def announced(site: Site) -> Site:
    site.put(PUBLIC_KEYS_JSON_KEY, json.dumps(ANNOUNCED).encode())
    return site


def _write(site: Site, clients: Clients | None = None, *, hours: int = 0) -> None:
    log = EventLog(service="site", stage=site.settings.stage)
    write_site(site.settings, clients or site.clients, log, NOW + timedelta(hours=hours))


def test_everything_is_there_and_says_what_it_is(announced: Site) -> None:
    announced.count(12, ago=timedelta(hours=2))
    _write(announced)
    assert set(announced.everything()) == {NIX_CACHE_INFO_KEY, INDEX_KEY, STATUS_KEY, PUBLIC_KEYS_JSON_KEY}
    assert announced.get(NIX_CACHE_INFO_KEY) == b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n"
    status = read_status(announced.get(STATUS_KEY))
    assert status is not None
    assert status.published is not None
    assert (status.updated_at, status.published.total) == (NOW, 12)
    assert str(KEY).encode() in announced.get(INDEX_KEY)
    bucket = announced.settings.cache_bucket
    heads = {key: announced.clients.s3.head_object(Bucket=bucket, Key=key) for key in (INDEX_KEY, STATUS_KEY)}
    assert {key: (head["ContentType"], head["CacheControl"]) for key, head in heads.items()} == {
        INDEX_KEY: ("text/html; charset=utf-8", "public, max-age=60"),
        STATUS_KEY: ("application/json", "public, max-age=60"),
    }


def test_i6_twice_is_once(announced: Site) -> None:
    """I6: EventBridge calls at least once, and two deployments may end at once."""
    announced.count(12, ago=timedelta(days=3))
    _write(announced)
    once = announced.everything()
    _write(announced)
    assert announced.everything() == once


def test_an_operators_own_cache_info_stays(announced: Site) -> None:
    own = b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 10\n"
    announced.put(NIX_CACHE_INFO_KEY, own)
    _write(announced)
    assert announced.get(NIX_CACHE_INFO_KEY) == own


def test_before_the_first_key_the_page_says_so_and_lambda_is_asked_to_come_again(site: Site) -> None:
    with pytest.raises(TransientError, match=r"public-keys\.json is not there yet"):
        _write(site)
    assert b"first signing key is being made" in site.get(INDEX_KEY)
    assert set(site.everything()) == {NIX_CACHE_INFO_KEY, INDEX_KEY, STATUS_KEY}


def test_keys_that_cannot_be_read_leave_the_page_as_it_is(announced: Site) -> None:
    """A page without the key, or with half of one, would have readers stop trusting what they trust."""
    _write(announced)
    page = announced.get(INDEX_KEY)
    for broken in (b"{", b"[]", b'{"version": 2, "keys": []}', b'{"version": 1, "keys": [{"publicKey": "x"}]}'):
        announced.put(PUBLIC_KEYS_JSON_KEY, broken)
        with pytest.raises(TransientError, match=r"public-keys\.json cannot be read"):
            _write(announced)
    announced.put(PUBLIC_KEYS_JSON_KEY, b" " * 1_100_000)
    with pytest.raises(TransientError, match="more than 1,048,576 bytes"):
        _write(announced)
    assert announced.get(INDEX_KEY) == page


def test_while_cloudwatch_is_away_the_counts_before_stay_with_their_time(announced: Site) -> None:
    class Away:
        def get_metric_statistics(self, **_request: Any) -> dict[str, Any]:  # noqa: ANN401  as botocore has it
            raise ClientError({"Error": {"Code": "InternalServiceFault"}}, "GetMetricStatistics")

    away = replace(announced.clients, cloudwatch=cast("CloudWatchClient", Away()))
    with pytest.raises(TransientError, match="InternalServiceFault"):
        _write(announced, away)
    assert b"not yet" in announced.get(INDEX_KEY)
    announced.count(12, ago=timedelta(days=3))
    _write(announced)
    counted = announced.get(STATUS_KEY)
    with pytest.raises(TransientError, match="InternalServiceFault"):
        _write(announced, away, hours=1)
    assert announced.get(STATUS_KEY) == counted
    assert b'value="12"' in announced.get(INDEX_KEY)
    assert NOW.strftime("%Y-%m-%d %H:%M UTC").encode() in announced.get(INDEX_KEY)


def test_s3_that_refuses_is_named(announced: Site) -> None:
    missing = replace(announced, settings=replace(announced.settings, cache_bucket="nowhere-at-all"))
    with pytest.raises(TransientError, match=r"PutObject of s3://nowhere-at-all/nix-cache-info failed: NoSuchBucket"):
        _write(missing)


@contextmanager
def _environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patch:
        for name, value in {**site.aws.environment(UNCHECKED), **site.settings.to_environment()}.items():
            patch.setenv(name, value)
        yield patch


def test_the_handler_needs_its_environment_alone(
    announced: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _environment(announced, monkeypatch):
        handler(EVENT, cast("Context", None))
    line = json.loads(capsys.readouterr().out)
    assert (line["service"], line["message"], line["keys"]) == ("site", "site written", [KEY.name])
    assert line["stage"] == announced.settings.stage
    assert set(announced.everything()) >= {INDEX_KEY, STATUS_KEY}


def test_a_wrong_environment_names_its_variable(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in site.settings.to_environment():
        with _environment(site, monkeypatch) as patch:
            patch.delenv(variable)
            with pytest.raises(PermanentError) as caught:
                handler(EVENT, cast("Context", None))
        assert (caught.value.code, caught.value.field) == (SettingsCode.SETTINGS_MALFORMED, variable)


@pytest.mark.parametrize(
    "url", ["http://cache.example.org", "https://cache.example.org/", "https://a b", "https://<b>"]
)
def test_an_address_that_is_no_caches_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with _environment(site, monkeypatch) as patch:
        patch.setenv("ASSAY_CACHE_URL", url)
        with pytest.raises(PermanentError) as caught:
            handler(EVENT, cast("Context", None))
    assert caught.value.field == "ASSAY_CACHE_URL"
