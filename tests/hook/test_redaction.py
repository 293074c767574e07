"""URLs are shown without user and password."""

from __future__ import annotations

import pytest

from hook.redaction import without_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@cache.example.org/nix?x=1", "https://cache.example.org/nix?x=1"),
        ("http://me:secret@proxy.example.org:3128", "http://proxy.example.org:3128"),
        ("https://secret@cache.example.org", "https://cache.example.org"),
        ("https://me:secret@[::1]:8080/", "https://[::1]:8080/"),
        # Nobody escapes a password that worked elsewhere.
        ("https://me:sec@ret@cache.example.org", "https://cache.example.org"),
        ("https://me:sec/ret@cache.example.org/nix", "https://cache.example.org/nix"),
        ("https://me:sec#ret@cache.example.org", "https://cache.example.org"),
        ("https://me:sec ret@cache.example.org", "https://cache.example.org"),
        ("https://me:/secret@cache.example.org", "https://me:/secret@cache.example.org"),
        # A proxy may have no scheme.
        ("me:secret@proxy.example.org:3128", "proxy.example.org:3128"),
        ("me:sec/ret@proxy.example.org:3128", "proxy.example.org:3128"),
    ],
)
def test_user_and_password_are_left_out(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://cache.example.org",
        "https://cache.example.org/a@b",
        "https://cache.example.org:443/a@b",
        "https://cache.example.org:443?a@b",
        "https://cache.example.org:/a@b",
        "https://[::1]/a@b",
        "https://[::1]:80/a@b",
        "localhost:3128",
        "localhost:3128/a@b",
        "s3://bucket/key",
        "http://[",
    ],
)
def test_what_has_none_is_shown_as_it_is(url: str) -> None:
    assert without_password(url) == url
