"""narinfo: each thing that is refused, with the field and the offset that a builder is told."""

from __future__ import annotations

import pytest

from nixcache.errors import Code, PermanentError
from nixcache.narinfo import MAX_NARINFO_SIZE, MAX_REFERENCES, MAX_SIGNATURES, NarInfo
from nixcache.store_path import NIX_STORE
from tests.nixcache.golden import HELLO, HELLO_DRV, HELLO_NAR_HASH, HELLO_NARINFO, HELLO_SIGNATURE, ZLIB

LINES = HELLO_NARINFO.decode().splitlines(keepends=True)


def refusal(data: bytes) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        NarInfo.parse(data, NIX_STORE)
    return caught.value


def changed(field: str, value: str) -> bytes:
    """Return the golden narinfo with another value in ``field``."""
    lines = [f"{field}: {value}\n" if line.startswith(f"{field}: ") else line for line in LINES]
    if not any(line.startswith(f"{field}: ") for line in LINES):
        lines.append(f"{field}: {value}\n")
    return "".join(lines).encode()


def test_the_untouched_one_is_accepted() -> None:
    """Else every refusal below could have another reason."""
    assert NarInfo.parse(changed("NarSize", "976"), NIX_STORE).render() == HELLO_NARINFO


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("StorePath", ""),
        ("StorePath", HELLO),
        ("StorePath", f"/nix/stor/{HELLO}"),
        ("StorePath", f"/nix/store/{HELLO}/bin"),
        ("StorePath", f"/nix/store/{HELLO} "),
        ("StorePath", f"/nix/store/../{HELLO}"),
        ("StorePath", f"/nix/store/./{HELLO}"),
        ("StorePath", f"/nix/store//{HELLO}"),
        ("StorePath", f"/nix/store/{HELLO}/"),
        ("StorePath", f"/nix/store/{HELLO.upper()}"),
        ("URL", ""),
        ("URL", "nar/a b.nar"),
        ("URL", "n" * 2049),
        ("NarHash", ""),
        ("NarHash", "sha256"),
        ("NarHash", "sha256:" + "e" * 52),
        ("NarHash", HELLO_NAR_HASH + " "),
        ("NarHash", "sha1:" + "0" * 32),
        ("NarHash", "sha512:" + "0" * 128),
        ("NarSize", ""),
        ("NarSize", "0"),
        ("NarSize", "-1"),
        ("NarSize", "+1"),
        ("NarSize", "01"),
        ("NarSize", " 1"),
        ("NarSize", "1_0"),
        ("NarSize", "0x10"),
        ("NarSize", "1e3"),
        ("NarSize", "1" + "0" * 19),
        ("NarHash", "sha256-" + "A" * 43),
        ("NarHash", "sha256-" + "A" * 42 + "B="),
        ("NarHash", "sha256-" + "A" * 43 + "=?x"),
        ("NarHash", "sha256-" + "0" * 64),
        ("FileHash", ""),
        ("FileHash", "md5:" + "0" * 32),
        ("FileHash", "x"),
        ("FileSize", ""),
        ("FileSize", "-1"),
        ("FileSize", "1.0"),
        ("References", f"/nix/store/{ZLIB}"),
        ("References", f"{ZLIB}  {HELLO}"),
        ("References", f"{ZLIB} "),
        ("References", f" {ZLIB}"),
        ("References", f"{ZLIB},{HELLO}"),
        ("References", f"{ZLIB} {ZLIB}"),
        ("References", "x"),
        ("Deriver", ""),
        ("Deriver", f"{HELLO[:32]}-.."),
        ("Deriver", f"{HELLO_DRV}!out"),
        ("Deriver", f"/nix/store/{HELLO}"),
        ("Deriver", "unknown"),
        ("CA", "fixed"),
        ("CA", "git:sha1:" + "0" * 40),
        ("CA", "text:sha256:x"),
        ("CA", "fixed:git:sha1:" + "0" * 40),
        ("Sig", ""),
        ("Sig", "cache.example.org-1"),
        ("Sig", "cache.example.org-1:AAAA"),
        ("Sig", f":{HELLO_SIGNATURE.partition(':')[2]}"),
        ("Sig", f"a b:{HELLO_SIGNATURE.partition(':')[2]}"),
        ("Sig", f"{HELLO_SIGNATURE} "),
        ("Sig", f"{HELLO_SIGNATURE} {HELLO_SIGNATURE}"),
        ("Sig", HELLO_SIGNATURE.rstrip("=")),
    ],
)
def test_a_bad_value_is_refused_where_it_begins(field: str, value: str) -> None:
    data = changed(field, value)
    error = refusal(data)
    assert (error.code, error.field) == (Code.NARINFO_MALFORMED, field)
    assert error.offset == data.index(f"{field}: ".encode()) + len(f"{field}: ")


def test_a_compression_that_nix_does_not_know_has_a_code_of_its_own() -> None:
    """Published, it would abort a 2.34 client."""
    error = refusal(changed("Compression", "snappy"))
    assert (error.code, error.field) == (Code.COMPRESSION_UNSUPPORTED, "Compression")
    assert "snappy" in error.problem


@pytest.mark.parametrize("field", ["StorePath", "URL", "NarHash", "NarSize"])
def test_a_missing_field_is_named(field: str) -> None:
    error = refusal("".join(line for line in LINES if not line.startswith(f"{field}:")).encode())
    assert (error.code, error.field) == (Code.NARINFO_MALFORMED, field)


@pytest.mark.parametrize(
    "field",
    ["StorePath", "URL", "Compression", "FileHash", "FileSize", "NarHash", "NarSize", "References", "Deriver", "CA"],
)
def test_a_field_given_twice_is_refused(field: str) -> None:
    """Nix takes the last of most, which a reader of the first would not see."""
    line = next((line for line in LINES if line.startswith(f"{field}:")), f"CA: fixed:{HELLO_NAR_HASH}\n")
    data = HELLO_NARINFO + line.encode() + (line.encode() if field == "CA" else b"")
    error = refusal(data)
    assert (error.field, error.offset) == (field, len(data) - len(line))


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (HELLO_NARINFO[:-1], len(HELLO_NARINFO) - 1),
        (b"\n" + HELLO_NARINFO, 0),
        (HELLO_NARINFO + b"\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO.replace(b"\n", b"\r\n"), 0),
        (HELLO_NARINFO + b"X:\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO + b"X:y\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO + b": y\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO + b"no colon\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO + b" X: y\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO + b"X: a\tb\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO + b"X: a\0b\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO + b"X: a\x7fb\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO + b"X: a\x0bSig: b\n", len(HELLO_NARINFO)),
        (HELLO_NARINFO + b"X: \xc3\xa9\n", len(HELLO_NARINFO) + 3),
        (b"\xef\xbb\xbf" + HELLO_NARINFO, 0),
    ],
)
def test_what_is_no_line_of_a_narinfo(data: bytes, offset: int) -> None:
    error = refusal(data)
    assert (error.code, error.offset) == (Code.NARINFO_MALFORMED, offset)


def test_no_space_after_the_references_colon_is_refused() -> None:
    """A Nix client would read the next line as the references."""
    assert (
        refusal(changed("References", "").replace(b"References: \n", b"References:\n")).code is Code.NARINFO_MALFORMED
    )


def test_size_is_bounded() -> None:
    """I7: a narinfo is held in memory, so it is limited first of all."""
    padding = b"X: " + b"x" * (MAX_NARINFO_SIZE - len(HELLO_NARINFO) - 4) + b"\n"
    assert NarInfo.parse(HELLO_NARINFO + padding, NIX_STORE).render() == HELLO_NARINFO
    error = refusal(HELLO_NARINFO + b"x" + padding)
    assert (error.code, error.offset) == (Code.NARINFO_MALFORMED, MAX_NARINFO_SIZE)


def test_the_number_of_signatures_is_bounded() -> None:
    line = f"Sig: {HELLO_SIGNATURE}\n".encode()
    data = HELLO_NARINFO + line * (MAX_SIGNATURES - 1)
    assert len(NarInfo.parse(data, NIX_STORE).signatures) == MAX_SIGNATURES
    error = refusal(data + line)
    assert (error.code, error.field, error.offset) == (Code.NARINFO_MALFORMED, "Sig", len(data))


def test_the_number_of_references_is_bounded() -> None:
    """I7: each is looked up before the path is published."""
    names = [f"{HELLO[:32]}-{number}" for number in range(MAX_REFERENCES + 1)]
    assert len(NarInfo.parse(changed("References", " ".join(names[1:])), NIX_STORE).references) == MAX_REFERENCES
    data = changed("References", " ".join(names))
    error = refusal(data)
    assert (error.code, error.field) == (Code.NARINFO_MALFORMED, "References")
    assert error.offset == data.index(b"References: ") + len("References: ")
    assert str(MAX_REFERENCES) in error.problem
