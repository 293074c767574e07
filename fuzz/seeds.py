"""``python -m fuzz.seeds``: writes the seeds of every corpus again, the same each time.

They are few and small, and show each construct of a format, good and bad; what else reaches new code, fuzzing finds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fuzz.corpus import SEEDS
from fuzz.mutators.compressed import compressed, frame
from fuzz.oracles import addresses
from fuzz.oracles.archive import encode
from fuzz.targets.addresses import DRAFT
from nixcache.compression import Compression, compress
from nixcache.content_address import ContentAddressMethod
from nixcache.dsse import Envelope, EnvelopeSignature
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from nixcache.signing import SecretKey
from nixcache.statement import PREDICATE_TYPE, Statement
from nixcache.store_path import NIX_STORE, HashPart, StorePath
from protocol.keys import BuilderName, StagingNarInfoKey
from protocol.results import Result
from protocol.verdicts import Against, AwaitingQuorum, Conflict, Duplicate, Published, Rejected, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.verdicts import Verdict

_HELLO = StorePath(HashPart("8v5wq9sk6zp7b3n2xqd1c4mmhy8fvgrc"), "hello-2.12")
_ZLIB = StorePath(HashPart("0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b"), "zlib-1.2.12")
_GLIBC = StorePath(HashPart("1lz8y3dz4b2w3n8w0ws3dh2z7g3kv0sb"), "glibc-2.35")
_DERIVATION = StorePath(HashPart("wq9sk6zp7b3n2xqd1c4mmhy8fvgrc8v5"), "hello-2.12.drv")
_SIGNATURE = Signature("cache.example.org-1", bytes(range(64)))
# What the tests of nixcache sign with: public since it was made.
_SECRET_KEY = (
    "cache.example.org-1:Tk6iGz9J+SkZ0/PoMo76N3srAlhP5xqFbBK5CPdGFzK1nLUM5z8BFgaZgO4yeLKPZfg5DKo27kns3QD3GHothA=="
)
_METHODS = (Compression.NONE, Compression.ZSTD, Compression.XZ, Compression.BZIP2, Compression.GZIP, Compression.BR)


def _file(contents: bytes = b"", *, executable: bool = False) -> list[bytes]:
    flag = [b"executable", b""] if executable else []
    return [b"(", b"type", b"regular", *flag, b"contents", contents, b")"]


def _link(target: bytes) -> list[bytes]:
    return [b"(", b"type", b"symlink", b"target", target, b")"]


def _directory(**entries: list[bytes]) -> list[bytes]:
    words = [b"(", b"type", b"directory"]
    for name, node in entries.items():
        words += [b"entry", b"(", b"name", name.encode(), b"node", *node, b")"]
    return [*words, b")"]


def _nested(levels: int) -> list[bytes]:
    node = _file()
    for _ in range(levels - 1):
        node = _directory(d=node)
    return node


_SCRIPT = f"#!{NIX_STORE.render(_ZLIB)}/lib\necho hello {NIX_STORE.render(_HELLO)}\n".encode()
_TREES = {
    "empty-file": _file(),
    "file": _file(_SCRIPT),
    "executable": _file(b"#!/bin/sh\n", executable=True),
    "symlink": _link(b"../elsewhere"),
    "empty-directory": _directory(),
    "hello": _directory(
        bin=_directory(hello=_file(_SCRIPT, executable=True)), share=_directory(link=_link(b"../bin/hello"))
    ),
    "every-padding": _directory(**{"n" * size: _file(b"c" * size) for size in range(1, 10)}),
    "names": _directory(**{"\n": _file(), '"\\': _file(), "é": _link("é".encode()), "𝄞": _directory()}),
    "build-ids": _directory(
        lib=_directory(
            debug=_directory(**{".build-id": _directory(**{"0f": _directory(**{"1" * 38 + ".debug": _file()})})})
        )
    ),
    "deep": _nested(64),
    "too-deep": _nested(65),
    "unsorted": _directory(b=_file(), a=_file()),
    "dots": _directory(**{"..": _file()}),
    "slash": _directory(**{"a/b": _file()}),
    "long-name": _directory(**{"n" * 255: _file()}),
    "no-contents": [b"(", b"type", b"regular", b")"],
}
_NARS = {name: encode([b"nix-archive-1", *words]) for name, words in _TREES.items()}


def _archives() -> Iterator[tuple[str, bytes]]:
    yield from _NARS.items()
    yield "nothing", b""
    yield "cut-off", _NARS["hello"][:-1]
    yield "trailing", _NARS["hello"] + bytes(8)
    yield "padding", _NARS["symlink"].replace(b"symlink\0", b"symlink\1")
    yield "huge", _NARS["empty-file"][:-24] + struct.pack("<Q", 2**63 - 1)
    yield "too-huge", _NARS["empty-file"][:-24] + struct.pack("<Q", 2**63)
    yield (
        "not-utf-8",
        _NARS["empty-directory"][:-16]
        + encode([b"entry", b"(", b"name", b"\xff", b"node", *_link(b"\xfe"), b")", b")"]),
    )


def _claim(nar: bytes, file: bytes, compression: Compression) -> NarInfo:
    return NarInfo(
        store_dir=NIX_STORE,
        store_path=_HELLO,
        url=f"nar/x.nar{compression.extension}",
        compression=compression,
        file_hash=_sha256(file),
        file_size=len(file),
        nar_hash=_sha256(nar),
        nar_size=len(nar),
        references=(),
        deriver=None,
        signatures=(),
        ca=None,
    )


def _sha256(data: bytes) -> Hash:
    return Hash(HashAlgorithm.SHA256, hashlib.sha256(data).digest())


def _narinfos() -> Iterator[tuple[str, bytes]]:
    nar = _NARS["hello"]
    plain = _claim(nar, nar, Compression.NONE)
    full = dataclasses.replace(
        plain,
        references=(_ZLIB, _HELLO),
        deriver=_DERIVATION,
        signatures=(_SIGNATURE, _SIGNATURE),
        ca=addresses.addresses(nar, ContentAddressMethod.NAR, HashAlgorithm.SHA256, _HELLO.hash_part)[0],
    ).render()
    yield "plain", plain.render()
    yield "full", full
    yield "required-only", dataclasses.replace(plain, file_hash=None, file_size=None).render()
    yield "hex", full.replace(plain.nar_hash.nix32.encode(), plain.nar_hash.hex.encode())
    yield "unknown-deriver", full.replace(_DERIVATION.base_name.encode(), b"unknown-deriver")
    yield "unknown-field", b"System: x86_64-linux\n" + full
    yield "carriage-returns", full.replace(b"\n", b"\r\n")
    yield "no-last-newline", full[:-1]
    yield "blank-line", b"\n" + full
    yield "leading-zero", full.replace(b"NarSize: ", b"NarSize: 0")
    yield "sha1", full.replace(b"FileHash: sha256:" + plain.nar_hash.nix32.encode(), b"FileHash: sha1:" + b"0" * 32)
    yield "twice", full + b"NarSize: 1\n"


def _files(method: Compression) -> Iterator[tuple[str, bytes]]:
    source = random.Random(method.value)
    file = b"".join(compress(method, [_NARS["hello"]])) if method in _WRITTEN else _compressed(method, _NARS["hello"])
    yield "hello", file
    yield "nothing", b""
    yield "empty", _compressed(method, b"")
    yield "two", file + _compressed(method, b"more")
    yield "cut-off", file[:-1]
    yield "garbage", file + b"garbage"
    yield "zeros", file + bytes(8)
    yield "expanding", _compressed(method, bytes(20_000))
    for number in range(3):
        yield f"made-{number}", compressed(method, _NARS["every-padding"], source)
    if method is Compression.ZSTD:
        yield "skippable", struct.pack("<II", 0x184D2A50, 3) + b"abc" + file
        yield from _zstd_frames()


def _zstd_frames() -> Iterator[tuple[str, bytes]]:
    """Frames that no encoder makes (RFC 8878, section 3.1.1): the library reads them, or not, by how they are cut."""
    magic, last_raw, last_repeated = b"\x28\xb5\x2f\xfd", 1, 1 | 1 << 1
    for log in (27, 28, 31):
        window = bytes([(log - 10) << 3])
        yield f"window-{log}", magic + b"\0" + window + _zstd_block(last_raw, 3) + b"abc"
        # 256 bytes, as the header says, too: the smallest size that two bytes hold.
        yield f"window-{log}-sized", magic + b"\x40" + window + b"\0\0" + _zstd_block(last_repeated, 256) + b"a"
    for size in (0, 40):
        yield f"empty-for-{size}", magic + b"\x20" + bytes([size]) + _zstd_block(last_raw, 0)
    yield "empty-compressed", magic + b"\x20\0" + _zstd_block(1 | 2 << 1, 0)


def _zstd_block(kind: int, size: int) -> bytes:
    return (kind | size << 3).to_bytes(3, "little")


_WRITTEN = (Compression.NONE, Compression.ZSTD, Compression.XZ)
"""What nixcache writes itself."""


def _compressed(method: Compression, plain: bytes) -> bytes:
    return frame(method, plain, random.Random(0))


def _mentions() -> Iterator[tuple[str, bytes]]:
    declared = f"{_HELLO.hash_part} {_ZLIB.hash_part} {_GLIBC.hash_part}".encode()
    paths = "".join(f"/nix/store/{digit * 32}-x " for digit in "0123456789abcdfghijklmnpqrsvwxyz")
    yield "hello", declared + b"\n" + _NARS["hello"]
    yield "none", b"\n" + _NARS["hello"]
    yield "overlapping", b"0" * 32 + b" " + b"01" * 16 + b"\n" + b"0" * 40 + b"01" * 20
    yield "undeclared", b"0" * 32 + b"\n" + (paths * 2).encode()
    yield "too-many", b"\n" + "".join(f"/nix/store/{number:032}-x\n" for number in range(66)).encode()
    yield "no-names", declared + f"\n/nix/store/{'a' * 32}-.. /nix/store/{'a' * 32} /nix/store/{'a' * 32}-x".encode()
    yield "many-declared", b" ".join(b"%032d" % number for number in range(30)) + b"\n" + b"0" * 31 + b"12345678" * 9


def _addresses() -> Iterator[tuple[str, bytes]]:
    itself = encode([b"nix-archive-1", *_file(DRAFT.base_name.encode() * 2)])
    for line in (
        "text sha256 alone 0 newest true",
        "text sha256 alone 3 newest unsaid",
        "fixed sha1 alone 0 newest true",
        "fixed:r sha256 alone 2 newest true",
        "fixed:r sha512 alone 0 newest true",
        "fixed:r md5 alone 1 newest true",
        "fixed:r sha256 alone 0 newest hash",
        "fixed sha256 alone 0 newest path",
        "text sha256 alone 1 newest references",
    ):
        yield "-".join(line.replace(":", "-").split(" ")), line.encode() + b"\n" + _NARS["file"]
    for line in (
        "fixed:r sha256 itself 1 newest true",
        "fixed:r sha256 itself 1 2.34 true",
        "text sha256 alone 0 2.34 true",
    ):
        yield "-".join(line.replace(":", "-").split(" ")) + "-mentioned", line.encode() + b"\n" + itself
    yield "directory", b"text\n" + _NARS["hello"]
    yield "executable", b"fixed\n" + _NARS["executable"]


def _submissions() -> Iterator[tuple[str, bytes]]:
    nar = _NARS["hello"]
    for method in _METHODS:
        file = _compressed(method, nar)
        claim = dataclasses.replace(_claim(nar, file, method), references=(_ZLIB, _HELLO))
        yield f"hello-{method}", _submission(claim, file)
    claim = _claim(nar, nar, Compression.NONE)
    yield "undeclared", _submission(claim, nar)
    yield "unmentioned", _submission(dataclasses.replace(claim, references=(_GLIBC,)), nar)
    yield "larger", _submission(dataclasses.replace(claim, nar_size=len(nar) - 1), nar)
    yield "smaller", _submission(dataclasses.replace(claim, nar_size=len(nar) + 1, file_size=None), nar)
    yield "far-too-large", _submission(dataclasses.replace(claim, nar_size=10**18), nar)
    yield "other-hash", _submission(dataclasses.replace(claim, nar_hash=_sha256(b"")), nar)
    yield "other-file-hash", _submission(dataclasses.replace(claim, file_hash=_sha256(b"")), nar)
    yield "unsupported", _submission(dataclasses.replace(claim, compression=Compression.LZIP), nar)
    for name in ("build-ids", "unsorted"):
        yield name, _submission(_claim(_NARS[name], _NARS[name], Compression.NONE), _NARS[name])
    bomb = _compressed(Compression.ZSTD, bytes(60_000))
    yield "bomb", _submission(dataclasses.replace(_claim(b"", bomb, Compression.ZSTD), nar_size=1000), bomb)
    yield from _addressed()


def _addressed() -> Iterator[tuple[str, bytes]]:
    nar = encode([b"nix-archive-1", *_file(b"Derive([])")])
    for name, method in (
        ("x", ContentAddressMethod.NAR),
        ("x", ContentAddressMethod.FLAT),
        ("x.drv", ContentAddressMethod.TEXT),
    ):
        address = addresses.addresses(nar, method, HashAlgorithm.SHA256, _HELLO.hash_part)[0]
        path = addresses.store_path(address, name, (), itself=False)
        if path is not None:
            claim = dataclasses.replace(_claim(nar, nar, Compression.NONE), store_path=path, ca=address)
            yield f"addressed-{name}-{method.value.replace(':', '-')}", _submission(claim, nar)
    yield (
        "not-addressed.drv",
        _submission(dataclasses.replace(_claim(nar, nar, Compression.NONE), store_path=_DERIVATION), nar),
    )


def _submission(claim: NarInfo, file: bytes) -> bytes:
    return claim.render() + b"\n" + file


def _texts() -> Iterator[tuple[str, bytes]]:
    value = _sha256(b"")
    for number, text in enumerate(
        (
            value.nix32,
            str(value),
            f"sha256:{value.hex}",
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            f"md5:{hashlib.md5(b'', usedforsecurity=False).hexdigest()}",
            _HELLO.hash_part,
            _HELLO.base_name,
            f"{_HELLO.hash_part}-..",
            f"{_HELLO.hash_part}-a/b",
            NIX_STORE.render(_HELLO),
            NIX_STORE.path,
            f"fixed:r:{value}",
            f"text:{value}",
            str(_SIGNATURE),
            "cache.example.org-1:tZy1DOc/ARYGmYDuMniyj2X4OQyqNu5J7N0A9xh6LYQ=",
            _SECRET_KEY,
            "builder-1",
            f"nar/{value.nix32}.nar.zst",
            f"builder-1/{_HELLO.hash_part}.narinfo",
            f"waiting/{_ZLIB.hash_part}/builder-1/{_HELLO.hash_part}",
            f"votes/{_ZLIB.hash_part}/builder-1.json",
        )
    ):
        yield f"{number:02}", text.encode()


def _results() -> Iterator[tuple[str, bytes]]:
    verdicts: tuple[Verdict, ...] = (
        Published(("cache.example.org-1",)),
        Duplicate("https://cache.example.org"),
        Waiting((_ZLIB, _GLIBC)),
        AwaitingQuorum(1, 2),
        Conflict(_sha256(b""), _sha256(b"x"), Against.VOTE),
        Rejected(code="nar-malformed", problem="It is wrong.", remedy="Make it right.", field="NAR", offset=8),
    )
    for verdict in verdicts:
        result = Result(
            submission=StagingNarInfoKey(BuilderName("builder-1"), _HELLO.hash_part),
            version_id="3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY",
            store_path=_HELLO,
            verdict=verdict,
            at=datetime(2026, 11, 22, 10, tzinfo=UTC),
            disputed_by=(_sha256(b"x"), _sha256(b"y")),
        )
        yield verdict.kind.value, result.to_json()


def _attestations() -> Iterator[tuple[str, bytes]]:
    key = SecretKey.parse(_SECRET_KEY)
    statement = Statement(
        store_dir=NIX_STORE,
        store_path=_HELLO,
        nar_hash=_sha256(b""),
        predicate_type=PREDICATE_TYPE,
        predicate={"quorum": None, "narSize": 96, "references": [_ZLIB.base_name], "policy": {"x": True}},
    )
    text, envelope = statement.to_json(), key.attest(statement)
    yield "statement", text
    yield "no-predicate", dataclasses.replace(statement, predicate={}).to_json().replace(b'"predicate":{},', b"")
    yield "two-subjects", text.replace(b'"subject":[', b'"subject":[{},')
    yield "other-digests", text.replace(b'"sha256"', b'"md5":"","sha256"')
    yield "twice", text.replace(b'"narSize"', b'"quorum"')
    yield "fraction", text.replace(b"96", b"9.6")
    yield "envelope", envelope.to_json()
    yield "two-signatures", dataclasses.replace(envelope, signatures=envelope.signatures * 2).to_json()
    yield "no-signatures", dataclasses.replace(envelope, signatures=()).to_json()
    yield "other-payload", Envelope("application/x", b"\xff", (EnvelopeSignature("", b""),)).to_json()
    yield "no-keyid", b'{"payload": "", "payloadType": "", "signatures": [{"sig": "", "x": 1e999}]}'
    yield "url-safe", b'{"payload": "-_-_", "payloadType": "", "signatures": [{"sig": "-_8="}]}'
    yield "mixed-alphabets", b'{"payload": "-_+/", "payloadType": "", "signatures": []}'
    yield "spare-bits", b'{"payload": "+/9=", "payloadType": "", "signatures": []}'
    yield "no-padding", b'{"payload": "", "payloadType": "", "signatures": [{"sig": "-_8"}]}'
    yield "payload-twice", b'{"payload": "", "payloadType": "", "signatures": [], "payload": "e30="}'


def main() -> None:
    """Write them; what else is in a corpus stays."""
    corpora = {
        "nar": _archives(),
        "narinfo": _narinfos(),
        **{method.value: _files(method) for method in _METHODS},
        "references": _mentions(),
        "content-address-proof": _addresses(),
        "verify": _submissions(),
        "texts": _texts(),
        "results": _results(),
        "attestations": _attestations(),
    }
    for target, inputs in corpora.items():
        directory = SEEDS / target
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.glob("seed-*"):
            old.unlink()
        for name, data in inputs:
            (directory / f"seed-{name}").write_bytes(data)


if __name__ == "__main__":
    main()
