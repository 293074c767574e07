"""Plain YAML: one meaning for every reader, the line of every field, and bounds."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.fields import member
from stacks.plain_yaml import MAX_DEPTH, MAX_NAME_LENGTH, MAX_SIZE, PlainYaml, PlainYamlError

WHOLE = """\
# a comment
builders:

  ci:
    names: ["*-doc", lib-1.2.3,
            'c']
    maxNarSize:
      1073741824
    inputAddressed: false
  "ci.2": {}
quorum:
- names:
    - a
    - b
  builders: 2
-
  builders: -3
"""
LINES = {
    "": 1,
    "builders": 2,
    "builders.ci": 4,
    "builders.ci.names": 5,
    "builders.ci.names[0]": 5,
    "builders.ci.names[1]": 5,
    "builders.ci.names[2]": 6,
    "builders.ci.maxNarSize": 7,
    "builders.ci.inputAddressed": 9,
    "builders.'ci.2'": 10,
    "quorum": 11,
    "quorum[0]": 12,
    "quorum[0].names": 12,
    "quorum[0].names[0]": 13,
    "quorum[0].names[1]": 14,
    "quorum[0].builders": 15,
    "quorum[1]": 17,
    "quorum[1].builders": 17,
}


def test_values_and_lines() -> None:
    read = PlainYaml.parse(WHOLE.encode())
    assert read.document == {
        "builders": {
            "ci": {"names": ["*-doc", "lib-1.2.3", "c"], "maxNarSize": 1073741824, "inputAddressed": False},
            "ci.2": {},
        },
        "quorum": [{"names": ["a", "b"], "builders": 2}, {"builders": -3}],
    }
    assert {field: read.line_of(field) for field in LINES} == LINES


def test_a_missing_field_has_the_line_of_what_it_is_missing_from() -> None:
    read = PlainYaml.parse(WHOLE.encode())
    assert read.line_of("quorum[1].names") == 17
    assert read.line_of("builders.ci.trustGroup") == 4
    assert read.line_of("stage") == 1


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_says_nothing(data: bytes) -> None:
    read = PlainYaml.parse(data)
    assert (read.document, read.line_of("builders")) == (None, 1)


@pytest.mark.parametrize("data", [b"---\na: 1\n...\n", b"%YAML 1.1\n---\na: 1", b"\xef\xbb\xbfa: 1", b"a: 1\r\n"])
def test_what_yaml_puts_around_a_document_is_no_part_of_it(data: bytes) -> None:
    assert PlainYaml.parse(data).document == {"a": 1}


def refusal(data: bytes) -> PlainYamlError:
    with pytest.raises(PlainYamlError) as caught:
        PlainYaml.parse(data)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "field", "problem"),
    [
        ("a: 1\nb: 2\na: 3", 3, "a", "is there twice; the first is on line 1"),
        ("a: 1\n'a': 2", 2, "a", "is there twice"),
        ("x:\n  y: {b: 1,\n      b: 1}", 3, "x.y.b", "is there twice; the first is on line 2"),
        # An alias, an anchor, a tag.
        ("a: &x [1]\nb: *x", 1, "a", "an anchor (&) stands here"),
        ("a:\n  - *x", 2, "a[0]", "an alias (*) stands here"),
        (
            "names: [*-doc]",
            1,
            "names[0]",
            "an alias (*) stands here, and none is read; put a pattern that begins with *",
        ),
        ("a: 1\nnames: *", 2, "", "this is no YAML: expected alphabetic or numeric character, but found"),
        ("*x : 1", 1, "", "an alias (*) stands here"),
        ("&x a: 1", 1, "", "an anchor (&) stands here"),
        ("!!str a: 1", 1, "", "a tag (!) stands here"),
        ("a: !!python/object/apply:os.system [ls]", 1, "a", "a tag (!) stands here"),
        ("a: ! x", 1, "a", "a tag (!) stands here"),
        ("a: !!set {b}", 1, "a", "a tag (!) stands here"),
        ("a: 1\nb: &x", 2, "b", "an anchor (&) stands here"),
        ("a:\n  <<: {b: 1}", 2, "a", "'<<' is no text for YAML"),
        # Names that are no texts.
        ("a: 1\nno: 1", 2, "", "'no' is no text for YAML: put the name of a field into quotes"),
        ("x: {on: 1}", 1, "x", "'on' is no text"),
        ("12: 1", 1, "", "'12' is no text"),
        ("1.5: 1", 1, "", "'1.5' is no text"),
        ("null: 1", 1, "", "'null' is no text"),
        ("? \n: 1", 1, "", "'' is no text"),
        ("2026-11-22: 1", 1, "", "'2026-11-22' is no text"),
        ("? [a]\n: 1", 1, "", "a mapping or list stands where the name of a field is wanted"),
        ("{{a: 1}: 2}", 1, "", "a mapping or list stands where the name of a field is wanted"),
        (f"{'k' * 101}: 1", 1, "", "the name of a field has more than 100 characters"),
        # Values that readers disagree on.
        ("a:", 1, "a", "is empty"),
        ("a: ~", 1, "a", "is empty"),
        ("a: null", 1, "a", "is empty"),
        ("a: [b, ]\nc: [,]", 2, "", "this is no YAML"),
        ("a:\n- b\n-", 3, "a[1]", "is empty"),
        ("a: yes", 1, "a", "is 'yes', which some read as a truth value"),
        ("a: [x, no]", 1, "a[1]", "is 'no', which some read as a truth value"),
        ("a: True", 1, "a", "is 'True', which some read as a truth value"),
        ("a: 010", 1, "a", "is '010'; write a number in decimal digits"),
        ("a: 0x10", 1, "a", "is '0x10'; write a number"),
        ("a: 1_000", 1, "a", "is '1_000'; write a number"),
        ("a: +1", 1, "a", "is '+1'; write a number"),
        ("a: 1:30", 1, "a", "is '1:30'; write a number"),
        ("a: 1.10", 1, "a", "is '1.10'; write a number in decimal digits, and a text in quotes"),
        ("a: .inf", 1, "a", "is '.inf'; write a number"),
        (f"a: {'9' * 20}", 1, "a", f"is '{'9' * 20}'; write a number"),
        (f"a: {'9' * 10_000}", 1, "a", f"is '{'9' * 100}'; write a number"),
        ("a: 2026-11-22", 1, "a", "is '2026-11-22', which YAML takes for a timestamp: put a text into quotes"),
        ("a: =", 1, "a", "is '=', which YAML takes for a value"),
        # No YAML at all.
        ("a:\n\tb: 1", 2, "", "this is no YAML: found character '\\t' that cannot start any token"),
        ("a: 1\n b: 2", 2, "", "this is no YAML: mapping values are not allowed here"),
        ("a: [1", 1, "", "this is no YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\nb: 'x", 2, "", "this is no YAML: found unexpected end of stream"),
        ("a: 1\n---\nb: 1", 2, "", "a second document begins here"),
        ("%YAML 2.0\n---\na: 1", 1, "", "this is no YAML: found incompatible YAML document"),
        (f"%YAML {'9' * 5000}.1\n---\na: 1", 1, "", "what follows is no YAML"),
        ('a: 1\nb: "\\UFFFFFFFF"', 2, "b", "what follows is no YAML"),
        ("a: 1\nb: x\0y", 2, "", "the character U+0000 is not allowed"),
        ("a: 1\n\n\x1b[31m", 3, "", "the character U+001B is not allowed"),
        ("a: 1\nb: x\x85y", 2, "", "the character U+0085 is not allowed"),
        ("a: 1\n# \u2028c: 2", 2, "", "the character U+2028 is not allowed"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_not_plain_is_refused_with_its_line(text: str, line: int, field: str, problem: str) -> None:
    error = refusal(text.encode())
    assert error.problem.startswith(problem)
    assert error.line == line
    assert error.field in {field, ""}


def test_what_is_in_quotes_is_a_text() -> None:
    quoted = ["no", "true", "1", "1.10", "~", "", "2026-11-22", "<<", "*", "&x"]
    assert PlainYaml.parse(json.dumps(dict.fromkeys(quoted, "no")).encode()).document == dict.fromkeys(quoted, "no")


@pytest.mark.parametrize(("data", "line"), [(b"\xff", 1), (b"a: 1\nb: \xc3", 2), ("a: 1".encode("utf-16"), 1)])
def test_what_is_not_utf_8_is_refused(data: bytes, line: int) -> None:
    error = refusal(data)
    assert (error.line, error.problem) == (line, "this is not UTF-8")


def test_the_size_is_bounded() -> None:
    assert PlainYaml.parse(b"a: 1\n" + b"#" * (MAX_SIZE - 5)).document == {"a": 1}
    assert refusal(b"a: 1\n" + b"#" * (MAX_SIZE - 4)).problem == f"the file has more than {MAX_SIZE} bytes"


@pytest.mark.parametrize(
    "data", ["[" * 100_000, "- " * 100_000, "{" + "a: {" * 60_000, "? " * 100_000, "[{a: " * 50_000]
)
def test_depth_is_bounded(data: str) -> None:
    """A composer recurses as deep as the document does: so many brackets would be a traceback."""
    assert refusal(data.encode()).line == 1


def test_the_deepest_document_is_read() -> None:
    depth = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH
    assert PlainYaml.parse(depth.encode()).document == json.loads(depth)
    assert refusal(f"[{depth}]".encode()).problem == f"is nested more than {MAX_DEPTH} levels deep"


def test_aliases_are_not_followed_however_many() -> None:
    """Nine lines of YAML that a reader of aliases would make a billion texts of."""
    bomb = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    assert refusal("\n".join(bomb).encode()).line == 1


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029"), max_size=6) | st.sampled_from(
    ["no", "*", "1e3", "0o7", "a: b", "#", "- x"]
)
NAMES = TEXTS.filter(lambda text: len(text) <= MAX_NAME_LENGTH)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(10**18), 10**18) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
).filter(lambda document: _depth(document) <= MAX_DEPTH)


def _depth(document: object) -> int:
    match document:
        case dict():
            return 1 + max(map(_depth, document.values()), default=0)
        case list():
            return 1 + max(map(_depth, document), default=0)
    return 0


@given(DOCUMENTS, st.booleans(), st.integers(2, 8), st.integers(20, 200))
def test_what_an_emitter_of_yaml_writes_is_read_back(document: object, flow: bool, indent: int, width: int) -> None:  # noqa: FBT001 - drawn
    text = yaml.safe_dump(document, default_flow_style=flow, indent=indent, width=width, allow_unicode=True)
    read = PlainYaml.parse(text.encode())
    assert read.document == document
    assert type(read.document) is type(document)


@given(
    st.lists(st.tuples(st.from_regex(r"\A[a-z]{1,5}\Z"), st.integers(0, 3)), min_size=1, unique_by=lambda row: row[0])
)
def test_lines_are_those_of_the_file(rows: list[tuple[str, int]]) -> None:
    text = "".join("\n" * blank + f"'{name}': x # {name}\n" for name, blank in rows)
    read = PlainYaml.parse(text.encode())
    for name, _ in rows:
        assert f"# {name}" in text.split("\n")[read.line_of(member("", name)) - 1] + " "


FRAGMENTS = st.sampled_from(
    [
        *"a1:- \n\t\r\0\x85\u2028\ufeff[]{},*&!|>'\"\\#%@?~",
        "\n  ",
        "---",
        "...",
        "<<",
        "no",
        "\\UFFFFFFFF",
        "%YAML 1",
        "!!",
    ]
)


@given(st.binary(max_size=60) | st.lists(FRAGMENTS, max_size=30).map(lambda parts: "".join(parts).encode()))
@example(b'"\\UFFFFFFFF"')
@example(b'"\\ud800": 1')
def test_any_bytes_are_read_or_refused_with_a_line(data: bytes) -> None:
    """The fuzz contract; and no line lies behind the last one."""
    try:
        read = PlainYaml.parse(data)
    except PlainYamlError as error:
        line, message = error.line, str(error)
    else:
        line, message = max(read.lines.values()), ""
    breaks = re.findall(r"\r\n|[\n\r]", data.decode(errors="replace"))
    assert 1 <= line <= len(breaks) + 1
    assert len(message.splitlines()) <= 1
    assert len(message) < 500
