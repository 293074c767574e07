"""narinfos to ask about: truthful ones, edited as careless or hostile writers would."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from hypothesis import strategies as st

from nixcache.compression import Compression
from nixcache.errors import PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.store_path import StorePath
from tests.differential.store_objects import ENCODINGS, KINDS, StoreObject, encodings


class Edit(NamedTuple):
    """One thing done to a narinfo: an operation, the field whose line it is done to, and what it needs to know."""

    operation: str
    field: str
    argument: str = ""


class NarInfoCase(NamedTuple):
    """A store object by kind and compression, and what is done to its narinfo."""

    kind: str
    compression: Compression
    edits: tuple[Edit, ...]


Value = Callable[[StoreObject], str]


def _constant(text: str) -> Value:
    return lambda _: text


def _hashes(data: Callable[[StoreObject], bytes]) -> dict[str, Value]:
    """Return the ways to write a hash of ``data``, in each encoding and in each algorithm."""

    def of(thing: StoreObject, algorithm: HashAlgorithm) -> Hash:
        state = algorithm.new()
        state.update(data(thing))
        return Hash(algorithm, state.digest())

    def encoded(name: str) -> Value:
        return lambda thing: encodings(of(thing, HashAlgorithm.SHA256))[name]

    def by(algorithm: HashAlgorithm) -> Value:
        return lambda thing: str(of(thing, algorithm))

    return {
        **{name: encoded(name) for name in ENCODINGS},
        **{algorithm: by(algorithm) for algorithm in HashAlgorithm},
        "of something else": _constant(str(Hash(HashAlgorithm.SHA256, hashlib.sha256(b"").digest()))),
        "blake3": _constant("blake3:" + "0" * 52),
    }


def _addresses(method: str) -> dict[str, Value]:
    """Return the ways to write the address that an object has, if it is ``method``'s."""

    def encoded(name: str) -> Value:
        return lambda thing: method + encodings(thing.ca.hash if thing.ca else thing.nar_hash)[name]

    return {f"{method}{name}": encoded(name) for name in ENCODINGS}


def _numbers(number: Callable[[StoreObject], int]) -> dict[str, Value]:
    forms: dict[str, Callable[[int], str]] = {
        "as it is": str,
        "empty": lambda _: "",
        "0": lambda _: "0",
        "one more": lambda n: str(n + 1),
        "leading zero": lambda n: f"0{n}",
        "plus": lambda n: f"+{n}",
        "minus": lambda n: f"-{n}",
        "minus 2^64": lambda n: str(n - 2**64),
        "plus 2^64": lambda n: str(n + 2**64),
        "2^63": lambda _: str(2**63),
        "2^64 - 1": lambda _: str(2**64 - 1),
        "20 digits": lambda _: "9" * 20,
        "hexadecimal": hex,
        "exponent": lambda n: f"{n}e0",
        "fraction": lambda n: f"{n}.0",
        "underscore": lambda n: f"{str(n)[:1]}_{str(n)[1:]}",
        "unit": lambda n: f"{n}B",
        "leading space": lambda n: f" {n}",
        "trailing space": lambda n: f"{n} ",
        "tab": lambda n: f"\t{n}",
    }

    def written(form: Callable[[int], str]) -> Value:
        return lambda thing: form(number(thing))

    return {name: written(form) for name, form in forms.items()}


def _words(thing: StoreObject) -> list[str]:
    return [reference.base_name for reference in thing.references]


def _full(thing: StoreObject) -> str:
    return thing.store_dir.render(thing.path)


_HASH_PART = "0" * 32

VALUES: Mapping[str, Mapping[str, Value]] = {
    "StorePath": {
        "as it is": _full,
        "empty": lambda _: "",
        "another name": lambda thing: f"{_full(thing)}1",
        "another hash part": lambda thing: thing.store_dir.render(StorePath.from_base_name(f"{_HASH_PART}-x")),
        "another store dir": lambda thing: f"/elsewhere/store/{thing.path.base_name}",
        "base name": lambda thing: thing.path.base_name,
        "trailing slash": lambda thing: f"{_full(thing)}/",
        "a file in it": lambda thing: f"{_full(thing)}/bin",
        "doubled slash": lambda thing: f"{thing.store_dir.path}//{thing.path.base_name}",
        "dot": lambda thing: f"{thing.store_dir.path}/./{thing.path.base_name}",
        "dots": lambda thing: f"{thing.store_dir.path}/x/../{thing.path.base_name}",
        "trailing space": lambda thing: f"{_full(thing)} ",
        "leading space": lambda thing: f" {_full(thing)}",
        "upper case": lambda thing: thing.store_dir.render(thing.path).upper(),
        "NUL": lambda thing: f"{_full(thing)}\0",
        "long name": lambda thing: f"{thing.store_dir.path}/{thing.path.hash_part}-{'n' * 212}",
    },
    "URL": {
        "as it is": lambda thing: thing.url,
        "empty": lambda _: "",
        "dot": lambda thing: f"./{thing.url}",
        "dots": lambda thing: f"nar/../{thing.url}",
        "out of the cache and back": lambda thing: f"../submitted/{thing.url}",
        "doubled slash": lambda thing: thing.url.replace("/", "//"),
        "leading slash": lambda thing: f"/{thing.url}",
        "query": lambda thing: f"{thing.url}?x=1",
        "fragment": lambda thing: f"{thing.url}#x",
        "percent": lambda thing: thing.url.replace("nar/", "n%61r/"),
        "trailing space": lambda thing: f"{thing.url} ",
        "absent": lambda _: "nar/absent.nar",
        "a name of its own": lambda _: "nar/x.nar",
        "long": lambda thing: "./" * 1100 + thing.url,
        "another host": lambda _: "https://cache.invalid/x.nar",
        "NUL": lambda thing: f"{thing.url}\0",
    },
    "Compression": {
        **{name: _constant(name) for name in [*Compression, "snappy", "ZSTD", "auto", "lzma", "gz", "unknown"]},
        "empty": lambda _: "",
        "trailing space": lambda thing: f"{thing.compression} ",
    },
    "FileHash": _hashes(lambda thing: thing.file),
    "FileSize": _numbers(lambda thing: len(thing.file)),
    "NarHash": _hashes(lambda thing: thing.nar),
    "NarSize": _numbers(lambda thing: len(thing.nar)),
    "References": {
        "as it is": lambda thing: " ".join(_words(thing)),
        "empty": lambda _: "",
        "reversed": lambda thing: " ".join(reversed(_words(thing))),
        "one twice": lambda thing: " ".join(_words(thing)[:1] + _words(thing)),
        "all twice": lambda thing: " ".join(_words(thing) * 2),
        "one left out": lambda thing: " ".join(_words(thing)[1:]),
        "itself, too": lambda thing: " ".join(sorted({*_words(thing), thing.path.base_name})),
        "an unknown one, too": lambda thing: " ".join([*_words(thing), f"{_HASH_PART}-unknown"]),
        "full paths": lambda thing: " ".join(map(thing.store_dir.render, thing.references)),
        "leading space": lambda thing: f" {' '.join(_words(thing))}",
        "trailing space": lambda thing: f"{' '.join(_words(thing))} ",
        "two spaces": lambda thing: "  ".join(_words(thing)),
        "tabs": lambda thing: "\t".join(_words(thing)),
        "commas": lambda thing: ",".join(_words(thing)),
        "upper case": lambda thing: " ".join(_words(thing)).upper(),
        "a file in it": lambda thing: " ".join(f"{word}/bin" for word in _words(thing)),
        "no path": lambda _: "x",
        "hash part alone": lambda _: _HASH_PART,
        "two outputs": lambda thing: " ".join(f"{word}!out" for word in _words(thing)),
    },
    "Deriver": {
        "a derivation": lambda _: f"{_HASH_PART}-x.drv",
        "full path": lambda thing: thing.store_dir.render(StorePath.from_base_name(f"{_HASH_PART}-x.drv")),
        "no derivation": lambda _: f"{_HASH_PART}-x",
        "unknown-deriver": lambda _: "unknown-deriver",
        "empty": lambda _: "",
        "two": lambda _: f"{_HASH_PART}-x.drv {_HASH_PART}-y.drv",
        "an output": lambda _: f"{_HASH_PART}-x.drv!out",
        "no path": lambda _: "x",
        "name of dots": lambda _: f"{_HASH_PART}-..",
        "no name": lambda _: f"{_HASH_PART}-",
        "trailing space": lambda _: f"{_HASH_PART}-x.drv ",
        "leading space": lambda _: f" {_HASH_PART}-x.drv",
    },
    "CA": {
        **_addresses("fixed:r:"),
        **_addresses("fixed:"),
        **_addresses("text:"),
        "as it is": lambda thing: str(thing.ca or ""),
        "empty": lambda _: "",
        "git": lambda _: "fixed:git:sha1:" + "0" * 32,
        "of something else": lambda _: "fixed:r:sha256:" + "0" * 52,
        "no method": lambda thing: str(thing.nar_hash),
        "unknown method": lambda thing: f"nar:{thing.nar_hash}",
        "trailing space": lambda thing: f"{thing.ca or ''} ",
        "x": lambda _: "x",
    },
    "Sig": {
        "of zeros": lambda _: "cache-1:" + "A" * 86 + "==",
        "too short": lambda _: "cache-1:AAAA",
        "too long": lambda _: "cache-1:" + "A" * 88,
        "no base64": lambda _: "cache-1:" + "!" * 88,
        "no padding": lambda _: "cache-1:" + "A" * 86,
        "spare bits": lambda _: "cache-1:" + "A" * 85 + "B==",
        "no bytes": lambda _: "cache-1:",
        "no colon": lambda _: "cache-1",
        "no name": lambda _: ":" + "A" * 86 + "==",
        "empty": lambda _: "",
        "another name": lambda _: "other-1:" + "A" * 86 + "==",
        "another name, too short": lambda _: "other-1:AAAA",
        "a space in the name": lambda _: "other 1:" + "A" * 86 + "==",
        "trailing space": lambda _: "cache-1:" + "A" * 86 + "== ",
        "a space in the base64": lambda _: "cache-1:" + "A" * 40 + " " + "A" * 46 + "==",
        "two in a line": lambda _: "cache-1:" + "A" * 86 + "== cache-1:" + "A" * 86 + "==",
    },
}
"""For each field, values that some reader takes, and values that none should."""

LINES = [
    "",
    " ",
    "X: y",
    "X:y",
    "X:",
    "X: ",
    "X",
    ": y",
    ":",
    "# comment",
    " X: y",
    "X : y",
    "X_Y: z",
    "X.Y: z",
    "1X: z",
    "System: x86_64-linux",
    "X: \xc3\xa9",
    "\xc3\xa9: x",
    "X: \xff",
    "X: a\0b",
    "X: a\x01b",
    "X: a\tb",
    "X: a\x7fb",
    "X: a\rb",
    "X: a\x0bb",
    "X: " + "x" * 5000,
    "X: NarSize: 1",
    "storepath: x",
    "References",
]
"""Lines that somebody may have added."""

_LINE_OPERATIONS = [
    "drop",
    "repeat",
    "first",
    "last",
    "no space",
    "two spaces",
    "tab",
    "trailing space",
    "leading space",
]
_LINE_OPERATIONS += ["space before the colon", "lower case", "upper case", "CR", "two lines"]
_TEXT_OPERATIONS = [
    "no final newline",
    "CRLF",
    "blank last line",
    "blank first line",
    "byte order mark",
    "CR at the end",
]
_TEXT_OPERATIONS += ["NUL at the end", "shuffled", "a line of 300 kB"]


def narinfo_cases() -> st.SearchStrategy[NarInfoCase]:
    """Any case: mostly one edit, so that the verdict has one reason."""
    fields = st.sampled_from(list(VALUES))
    values = fields.flatmap(
        lambda field: st.builds(
            Edit,
            st.sampled_from(["value", "value", "value", "before", "after"]),
            st.just(field),
            st.sampled_from(list(VALUES[field])),
        )
    )
    lines = st.builds(Edit, st.sampled_from(_LINE_OPERATIONS), fields)
    added = st.builds(Edit, st.just("add"), fields, st.sampled_from(LINES))
    text = st.builds(Edit, st.sampled_from(_TEXT_OPERATIONS), st.just("StorePath"))
    damage = st.builds(Edit, st.just("damage"), st.just("StorePath"), st.integers(0, 2**40).map(str))
    edits = st.one_of(values, values, values, lines, lines, added, text, damage)
    return st.builds(
        NarInfoCase,
        st.sampled_from(KINDS),
        # Not gzip: its files are named as those without compression, and one of the kinds is always the same NAR.
        st.sampled_from([Compression.NONE, Compression.XZ, Compression.ZSTD, Compression.BZIP2, Compression.BR]),
        st.one_of(st.just(()), *[edits.map(lambda edit: (edit,))] * 6, st.tuples(edits, edits)),
    )


def edited(case: NarInfoCase, thing: StoreObject, *, sign: Callable[[tuple[StorePath, ...]], str]) -> bytes:
    """Return the narinfo of ``thing`` after the case's edits; ``sign`` signs it with the references that it is given.

    Where the edits change which references a reader finds, that reading is signed, too: a client must not refuse for
    its signature what it understood.
    """
    lines = [*thing.lines(), f"Sig: {sign(thing.references)}"]
    whole = [edit for edit in case.edits if edit.operation in _TEXT_OPERATIONS or edit.operation == "damage"]
    for edit in case.edits:
        if edit not in whole:
            _edit(lines, edit, thing)
    references = _read_references(lines)
    if references is not None and references != thing.references:
        lines.append(f"Sig: {sign(references)}")
    data = "".join(f"{line}\n" for line in lines).encode("latin-1")
    for edit in whole:
        data = _edit_text(data, edit)
    return data


def _edit(lines: list[str], edit: Edit, thing: StoreObject) -> None:
    own = [number for number, line in enumerate(lines) if line.startswith(f"{edit.field}:")]
    at = own[0] if own else len(lines)
    name, _, value = lines[at].partition(": ") if own else (edit.field, "", "")
    replacements: dict[str, list[str]] = {
        "drop": [],
        "repeat": [f"{name}: {value}"] * 2,
        "no space": [f"{name}:{value}"],
        "two spaces": [f"{name}:  {value}"],
        "tab": [f"{name}:\t{value}"],
        "trailing space": [f"{name}: {value} "],
        "leading space": [f" {name}: {value}"],
        "space before the colon": [f"{name} : {value}"],
        "lower case": [f"{name.lower()}: {value}"],
        "upper case": [f"{name.upper()}: {value}"],
        "CR": [f"{name}: {value}\r"],
        "two lines": [f"{name}: {value[: len(value) // 2]}", value[len(value) // 2 :]],
        "add": [edit.argument, *lines[at : at + 1]],
    }
    match edit.operation:
        case "value":
            lines[at : at + 1] = [f"{edit.field}: {VALUES[edit.field][edit.argument](thing)}"]
        case "before":
            lines.insert(at, f"{edit.field}: {VALUES[edit.field][edit.argument](thing)}")
        case "after":
            lines.insert(at + 1, f"{edit.field}: {VALUES[edit.field][edit.argument](thing)}")
        case "first":
            lines[:0] = [lines.pop(at)] if own else []
        case "last":
            lines += [lines.pop(at)] if own else []
        case operation:
            lines[at : at + 1] = replacements[operation]


def _edit_text(data: bytes, edit: Edit) -> bytes:
    if edit.operation == "damage":
        where, what = divmod(int(edit.argument), 256)
        position = where % len(data)
        return data[:position] + bytes([what]) + data[position + what % 2 :]
    return {
        "no final newline": data.removesuffix(b"\n"),
        "CRLF": data.replace(b"\n", b"\r\n"),
        "blank last line": data + b"\n",
        "blank first line": b"\n" + data,
        "byte order mark": b"\xef\xbb\xbf" + data,
        "CR at the end": data + b"\r",
        "NUL at the end": data + b"\0",
        "shuffled": b"".join(sorted(data.splitlines(keepends=True))),
        "a line of 300 kB": data + b"X: " + b"x" * 300_000 + b"\n",
    }[edit.operation]


def _read_references(lines: list[str]) -> tuple[StorePath, ...] | None:
    """Return the references that the most lenient reader finds, or None where there are none to be made out."""
    value = next((line for line in reversed(lines) if line.startswith("References: ")), "References: ")
    try:
        return tuple(sorted({StorePath.from_base_name(word) for word in value.removeprefix("References: ").split()}))
    except PermanentError:
        return None


def single_edits() -> list[Edit]:
    """Return every edit that the list above can name, but for random damage."""
    found = [Edit("value", field, name) for field, values in VALUES.items() for name in values]
    found += [Edit("after", field, name) for field, values in VALUES.items() for name in list(values)[:2]]
    found += [Edit(operation, field) for operation in _LINE_OPERATIONS for field in VALUES]
    found += [Edit("add", "NarHash", line) for line in LINES]
    return found + [Edit(operation, "StorePath") for operation in _TEXT_OPERATIONS]
