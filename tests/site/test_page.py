"""The page: the lines in it work, it is whole without a script, and nothing in it is anybody else's markup."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pytest

from lambdas.site.page import Cache, render
from lambdas.site.status import Closed, Published, Status, Stored
from nixcache.signature import PublicKey
from nixcache.signing import SecretKey
from protocol.public_keys import AnnouncedKey

PUBLIC = Cache("https://cache.example.org", is_private=False)
PRIVATE = Cache("https://cache.example.org", is_private=True)
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
KEYS = (
    AnnouncedKey(SecretKey.generate("cache.example.org-2").public_key, SINCE, None),
    AnnouncedKey(SecretKey.generate("cache.example.org-1").public_key, SINCE, datetime(2027, 2, 1, tzinfo=UTC)),
)
STATUS = Status(
    datetime(2026, 11, 23, 1, 0, tzinfo=UTC),
    Published(48_211, 1_730, Closed(date(2026, 11, 22), 48_000)),
    Stored(311_400_000_000, datetime(2026, 11, 22, tzinfo=UTC)),
)
NOTHING = Status(STATUS.updated_at, None, None)
HOSTILE = "\"'<script>alert(1)</script>&amp;${host}\\$"
VOID = {"meta", "link", "br", "img", "input", "hr", "path"}


class Page(HTMLParser):
    """The elements of a page, and the text of those that have an id or are the lines of a block."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {}
        self.blocks: dict[str, str] = {}
        self._open: list[tuple[str, str | None]] = []
        self.feed(data.decode())
        self.close()
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append((tag, attributes.get("id")))
        if tag == "pre":
            self._block = attributes["aria-labelledby"]
            self.blocks[self._block] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop()[0] == tag, "elements are closed in another order than they were opened"

    def handle_data(self, data: str) -> None:
        for tag, name in self._open:
            if name is not None:
                self.texts[name] = self.texts.get(name, "") + data
            if tag == "pre":
                self.blocks[self._block] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(params=[PUBLIC, PRIVATE], ids=["public", "private"])
def page(request: pytest.FixtureRequest) -> Page:
    return Page(render(request.param, KEYS, STATUS))


def _words(command: str) -> list[str]:
    # A backslash at the end of a line joins it to the next, which shlex does not know.
    return shlex.split(command.replace("\\\n", ""))


def _trusted(text: str) -> list[PublicKey]:
    return [PublicKey.parse(key) for key in text.split()]


def test_the_lines_for_nix_conf_are_nixs(page: Page) -> None:
    settings = dict(line.split(" = ") for line in page.blocks["nix-conf"].splitlines())
    assert settings.pop("extra-substituters") == "https://cache.example.org"
    assert _trusted(settings.pop("extra-trusted-public-keys")) == [key.public_key for key in KEYS]
    assert settings == {}


def test_the_lines_for_nixos_are_an_attribute_set_of_nix(page: Page) -> None:
    expression = f"{{ {page.blocks['nixos']} }}"
    command = ["nix-instantiate", "--eval", "--strict", "--expr", expression]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert '"https://cache.example.org"' in answer.stdout
    for key in KEYS:
        assert f'"{key.public_key}"' in answer.stdout


def test_the_command_for_once_is_one_command(page: Page) -> None:
    words = _words(page.blocks["once"])
    assert words[:3] == ["nix", "build", "nixpkgs#hello"]
    assert words[3:6] == ["--option", "extra-substituters", "https://cache.example.org"]
    assert words[6:8] == ["--option", "extra-trusted-public-keys"]
    assert _trusted(words[8]) == [key.public_key for key in KEYS]
    assert len(words) == 9


def test_every_key_says_what_it_signs_and_until_when(page: Page) -> None:
    times = [attributes["datetime"] for attributes in page.all("time")]
    assert times == ["2026-11-01", "2027-02-01", "2026-11-01", "2026-11-23T01:00:00Z"]


def test_the_counts_are_there_without_a_script(page: Page) -> None:
    values = {attributes["id"]: attributes["value"] for attributes in page.all("data")}
    assert values == {"published": "48211", "recent": "1730", "stored": "311400000000"}
    assert [page.texts[name] for name in values] == ["48,211", "1,730", "311.4 GB"]


def test_what_could_not_be_counted_is_said_to_be_so() -> None:
    page = Page(render(PUBLIC, KEYS, NOTHING))
    assert [page.texts[attributes["id"]] for attributes in page.all("data")] == ["not yet"] * 3


def test_without_a_key_nobody_is_told_to_trust_nothing() -> None:
    page = Page(render(PUBLIC, (), STATUS))
    assert set(page.blocks) == {"builder", "hook"}
    assert b"first signing key is being made" in render(PUBLIC, (), STATUS)


def test_only_a_private_cache_speaks_of_passwords_and_asks_to_be_left_out_of_indexes() -> None:
    public, private = Page(render(PUBLIC, KEYS, STATUS)), Page(render(PRIVATE, KEYS, STATUS))
    assert "netrc" not in public.blocks
    assert private.blocks["netrc"].splitlines()[0] == "machine cache.example.org"
    assert 'cache_url = "https://cache.example.org"' in public.blocks["builder"]
    assert 'cache_url = "https://NAME:PASSWORD@cache.example.org"' in private.blocks["builder"]
    robots = [
        [meta["content"] for meta in page.all("meta") if meta.get("name") == "robots"] for page in (public, private)
    ]
    assert robots == [["index"], ["noindex"]]


def test_i5_a_name_that_is_markup_stays_a_name() -> None:
    """I5: a key name may hold any visible character, and Nix's and the shell's own besides HTML's."""
    name = HOSTILE.replace(" ", "").replace(":", "")
    keys = [AnnouncedKey(PublicKey(name, bytes(32)), SINCE, None)]
    data = render(PUBLIC, keys, STATUS)
    page = Page(data)
    assert len(page.all("script")) == len(Page(render(PUBLIC, KEYS, STATUS)).all("script"))
    trusted = str(keys[0].public_key)
    assert page.blocks["nix-conf"].splitlines()[1] == f"extra-trusted-public-keys = {trusted}"
    assert _words(page.blocks["once"])[-1] == trusted
    expression = f"(({{ {page.blocks['nixos']} }}).nix.settings.trusted-public-keys)"
    answer = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "--expr", expression],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(answer.stdout) == [trusted]


def test_nothing_is_asked_of_anybody_else(page: Page) -> None:
    addresses = [
        attributes[name] for _, attributes in page.elements for name in ("src", "href", "action") if name in attributes
    ]
    assert [address for address in addresses if "//" in address and not address.startswith("data:")] == []
    # An attribute with a script or a style in it would be refused by the Content-Security-Policy.
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    assert [attributes for _, attributes in page.elements if "style" in attributes] == []


def test_it_is_small(page: Page) -> None:
    for cache in (PUBLIC, PRIVATE):
        assert len(render(cache, KEYS, STATUS)) < 16_000
    assert page.all("html") == [{"lang": "en"}]


def test_it_can_be_found_through_by_its_headings_and_landmarks(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    headings = [int(tag[1]) for tag in tags if tag in {"h1", "h2", "h3"}]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    assert [tags.count(landmark) for landmark in ("header", "main", "footer")] == [1, 1, 1]
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    pointed_at = {
        *(attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes),
        *(link["href"][1:] for link in page.all("a") if link["href"].startswith("#")),
    }
    assert pointed_at <= set(names)
    [live] = [attributes for _, attributes in page.elements if "aria-live" in attributes]
    assert live == {"id": "said", "class": "said", "role": "status", "aria-live": "polite"}


def test_the_same_arguments_make_the_same_page() -> None:
    assert render(PUBLIC, KEYS, STATUS) == render(PUBLIC, KEYS, STATUS)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_500_000_000_000, "1.5 TB"),
        (2_000_000_000_000_000, "2.0 PB"),
    ],
)
def test_sizes_as_people_say_them(count: int, text: str) -> None:
    page = Page(render(PUBLIC, KEYS, Status(STATUS.updated_at, None, Stored(count, SINCE))))
    assert page.texts["stored"] == text
