"""What docs/explanation/cost.md says of a month in which nothing happens: what the function does, times the prices."""

from __future__ import annotations

import json
from collections import Counter

from bench import prices
from lambdas.emf import EventLog
from lambdas.site.handler import write_site
from local.aws import PROJECT_ROOT
from nixcache.signing import SecretKey
from protocol.keys import PUBLIC_KEYS_JSON_KEY
from tests.site.conftest import NOW, Site

COST = PROJECT_ROOT / "docs" / "explanation" / "cost.md"


def test_the_page_is_written_with_as_many_requests_as_are_paid_for(site: Site) -> None:
    key = SecretKey.generate("cache.test-1").public_key
    announced = {
        "name": key.name,
        "publicKey": str(key),
        "state": "now",
        "since": "2025-01-01T00:00:00Z",
        "until": None,
    }
    site.put(PUBLIC_KEYS_JSON_KEY, json.dumps({"version": 1, "keys": [announced]}).encode())
    write_site(site.settings, site.clients, EventLog(service="site", stage="test"), NOW)
    sent: Counter[str] = Counter()

    def count(event_name: str, **_: object) -> None:
        sent[event_name.rpartition(".")[2]] += 1

    for events in (site.clients.s3.meta.events, site.clients.cloudwatch.meta.events):
        events.register("before-send", count)
    write_site(site.settings, site.clients, EventLog(service="site", stage="test"), NOW)
    assert sent == {"PutObject": 3, "GetObject": 2, "GetMetricStatistics": 2}
    assert (prices.SITE_WRITES, prices.SITE_READS, prices.SITE_METRICS) == (3, 2, 2)


def test_the_page_about_cost_has_the_bill_of_a_quiet_month() -> None:
    lines = [line.split("|") for line in COST.read_text().partition("| a month without")[2].splitlines()[2:]]
    told = {cells[1].strip(): cells[3].strip(" *") for cells in lines if len(cells) > 3}
    items = prices.monthly_bill()
    for item in items:
        assert told[item.name] == f"{item.dollars:.4f}"
    assert told["**together**"] == f"{prices.total(items):.2f}"
