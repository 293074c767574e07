"""Store objects to publish, each new: their NARs, and what a truthful narinfo says of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from nixcache import nix32
from nixcache.compression import Compression
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.store_path import HashPart, StoreDir, StorePath
from tests.differential.real_paths import RealPath
from tests.nixcache.claims import sha256
from tests.nixcache.compressed import compressed
from tests.nixcache.nar_model import File, Link, Tree, nar


@dataclass(frozen=True, slots=True)
class StoreObject:
    """A store object and the file that a cache has of it."""

    store_dir: StoreDir
    path: StorePath
    nar: bytes
    references: tuple[StorePath, ...]
    compression: Compression
    deriver: StorePath | None = None
    ca: ContentAddress | None = None

    @property
    def nar_hash(self) -> Hash:
        """SHA-256 of the NAR."""
        return sha256(self.nar)

    @property
    def file(self) -> bytes:
        """The compressed NAR."""
        return compressed(self.compression, self.nar)

    @property
    def url(self) -> str:
        """Where the cache has it: named by the nar hash, as uploaders do."""
        return f"nar/{self.nar_hash.nix32}.nar{self.compression.extension}"

    def lines(self) -> list[str]:
        """Return the lines of a truthful narinfo, unsigned."""
        lines = [
            f"StorePath: {self.store_dir.render(self.path)}",
            f"URL: {self.url}",
            f"Compression: {self.compression}",
            f"FileHash: {sha256(self.file)}",
            f"FileSize: {len(self.file)}",
            f"NarHash: {self.nar_hash}",
            f"NarSize: {len(self.nar)}",
            f"References: {' '.join(reference.base_name for reference in self.references)}",
        ]
        lines += [f"Deriver: {self.deriver.base_name}"] if self.deriver else []
        return lines + ([f"CA: {self.ca}"] if self.ca else [])


KINDS = (
    "a file",
    "a tree with references",
    "text",
    "flat",
    "a tree by its NAR",
    "flat sha1",
    "a tree by its NAR's sha512",
)


def store_object(kind: str, number: int, closure: Sequence[RealPath], compression: Compression) -> StoreObject:
    """Return the ``number``-th store object of a kind; ``closure`` is what it may refer to, or is made after."""
    built = {real.path.name: real for real in closure}
    store_dir = closure[0].store_dir
    match kind:
        case "a file":
            return _rekeyed(built["lib-1.0"], number, compression)
        case "a tree with references":
            return _rekeyed(built["tool-1.0"], number, compression)
        case "text":
            references = tuple(sorted((built["lib-1.0"].path, built["text"].path)))
            mentions = " ".join(store_dir.render(reference) for reference in references)
            return _addressed(
                File(f"{number} {mentions}".encode()),
                ContentAddressMethod.TEXT,
                HashAlgorithm.SHA256,
                store_dir,
                compression,
                references,
            )
        case "flat" | "flat sha1":
            algorithm = HashAlgorithm.SHA1 if kind.endswith("sha1") else HashAlgorithm.SHA256
            return _addressed(
                File(f"source {number}".encode()), ContentAddressMethod.FLAT, algorithm, store_dir, compression
            )
        case _:
            algorithm = HashAlgorithm.SHA512 if kind.endswith("sha512") else HashAlgorithm.SHA256
            tree = Tree({b"file": File(b"%d" % number, executable=True), b"link": Link(b"file")})
            return _addressed(tree, ContentAddressMethod.NAR, algorithm, store_dir, compression)


def _rekeyed(original: RealPath, number: int, compression: Compression) -> StoreObject:
    """Give a real, input-addressed store object another hash part, in its own contents, too."""
    hash_part = HashPart(nix32.encode(hashlib.sha256(f"{original.path.name} {number}".encode()).digest()[:20]))
    path = StorePath(hash_part, original.path.name)
    references = {path if reference == original.path else reference for reference in original.references}
    return StoreObject(
        store_dir=original.store_dir,
        path=path,
        nar=original.nar.replace(original.path.hash_part.encode(), hash_part.encode()),
        references=tuple(sorted(references)),
        compression=compression,
        deriver=original.deriver,
    )


def _addressed(
    node: File | Tree,
    method: ContentAddressMethod,
    algorithm: HashAlgorithm,
    store_dir: StoreDir,
    compression: Compression,
    references: tuple[StorePath, ...] = (),
) -> StoreObject:
    data = nar(node)
    hashed = node.contents if isinstance(node, File) and method is not ContentAddressMethod.NAR else data
    state = algorithm.new()
    state.update(hashed)
    ca = ContentAddress(method, Hash(algorithm, state.digest()))
    path = ca.store_path(store_dir, "addressed-1.0", references, itself=False)
    return StoreObject(store_dir, path, data, references, compression, ca=ca)


def encodings(value: Hash) -> dict[str, str]:
    """Return every way to write a hash that some Nix reads, and some that none should."""
    algorithm, digest = value.algorithm, value.digest
    base64_text = base64.b64encode(digest).decode()
    return {
        "nix32": f"{algorithm}:{value.nix32}",
        "hex": f"{algorithm}:{value.hex}",
        "upper-case hex": f"{algorithm}:{value.hex.upper()}",
        "base64": f"{algorithm}:{base64_text}",
        "SRI": f"{algorithm}-{base64_text}",
        "SRI without padding": f"{algorithm}-{base64_text.rstrip('=')}",
        "base64 without padding": f"{algorithm}:{base64_text.rstrip('=')}",
        "SRI with spare bits": f"{algorithm}-{_spare_bit(base64_text)}",
        "nix32 with a dash": f"{algorithm}-{value.nix32}",
        "hex with a dash": f"{algorithm}-{value.hex}",
        "no algorithm": value.nix32,
        "upper-case nix32": f"{algorithm}:{value.nix32.upper()}",
        "nix32 with a bit too many": f"{algorithm}:z{value.nix32[1:]}",
        "upper-case algorithm": f"{algorithm.upper()}:{value.nix32}",
        "trailing space": f"{value} ",
        "leading space": f" {value}",
        "cut": str(value)[:-1],
        "empty": "",
        "SRI with options": f"{algorithm}-{base64_text}?x",
    }


def _spare_bit(base64_text: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = base64_text.rstrip("=")[-1]
    return base64_text.rstrip("=")[:-1] + alphabet[alphabet.index(last) | 1] + "=" * base64_text.count("=")


ENCODINGS = tuple(encodings(Hash(HashAlgorithm.SHA256, bytes(32))))
"""The names of those ways."""
