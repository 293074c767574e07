"""Builder names: DNS labels, so that a name is a prefix, a policy's resource and a path component, and one of each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.errors import PermanentError
from protocol.keys import BuilderName, KeyCode


@pytest.mark.parametrize("name", ["a", "0", "ci", "ci-1", "a--b", "0a", "x" * 63])
def test_names(name: str) -> None:
    builder = BuilderName(name)
    assert str(builder) == builder.value == name
    assert (builder.staging_prefix, builder.results_prefix) == (f"{name}/", f"results/{name}/")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 64,
        "-a",
        "a-",
        "-",
        "CI",
        "Ci",
        "a_b",
        "a.b",
        ".",
        "..",
        "a/b",
        "a/",
        "/a",
        "a b",
        " a",
        "a\n",
        "\na",
        "a\0",
        "ä",
        "\uff41",  # a full-width a
        "a٣",
        "*",
        "a*",
        "?",
        "${aws:username}",
        "%2e",
        "\u017f",  # a long s, whose upper case is an S
        "\ud800",
    ],
)
def test_what_is_no_name(name: str) -> None:
    """I8: no wildcard, policy variable, second slash or case could make one builder's prefix cover another's."""
    with pytest.raises(PermanentError) as caught:
        BuilderName(name)
    assert caught.value.code is KeyCode.BUILDER_NAME_MALFORMED


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES)
def test_no_builders_prefix_covers_anothers(one: str, other: str) -> None:
    """I8: a role's grant on its own prefix is no grant on another's."""
    if one != other:
        assert not BuilderName(other).staging_prefix.startswith(BuilderName(one).staging_prefix)
        assert not BuilderName(other).results_prefix.startswith(BuilderName(one).results_prefix)
