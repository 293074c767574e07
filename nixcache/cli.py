"""The proofs without AWS: ``python -m nixcache``.

Exit codes: 0 verified or done, 1 rejected, 2 usage (arguments, files that cannot be read, a malformed key).
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nixcache.dsse import MAX_ENVELOPE_SIZE, Envelope
from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import NarParser, dump
from nixcache.nar_listing import ListingBuilder
from nixcache.narinfo import MAX_NARINFO_SIZE, NarInfo
from nixcache.signature import PublicKey
from nixcache.signing import SecretKey
from nixcache.statement import PREDICATE_TYPE, Statement
from nixcache.store_path import NIX_STORE, StoreDir
from nixcache.verify import VerifiedStoreObject, verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHUNK_SIZE = 1024 * 1024
_VERIFIED, _REJECTED, _USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except OSError as error:
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        print(f"nixcache: {place}{error.strerror}", file=sys.stderr)
        return _USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nixcache",
        description="Check, hash, list and sign Nix store objects as Assay does, on this machine alone.",
        epilog="Exit codes: 0 verified or done, 1 rejected, 2 usage.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, run, text in (
        ("verify", _verify, "prove a narinfo against its NAR; print a JSON verdict"),
        ("sign", _sign, "prove a narinfo against its NAR; print it signed"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--narinfo", type=Path, required=True, metavar="FILE", help="the narinfo")
        command.add_argument("--nar", type=Path, required=True, metavar="FILE", help="the NAR, compressed as it says")
        command.add_argument(
            "--store-dir", type=_store_dir, default=NIX_STORE.path, metavar="DIR", help="default: %(default)s"
        )
        if run is _sign:
            command.add_argument("--key-file", type=Path, required=True, metavar="FILE", help="the secret key")
    for name, read, text in (
        ("nar-check", _nar_check, "check the NAR on standard input; print a JSON verdict"),
        ("ls", _list, "print the listing (.ls) of the NAR on standard input"),
    ):
        commands.add_parser(name, help=text, description=text).set_defaults(run=read)
    text = "print the nar hash of a path"
    command = commands.add_parser("hash", help=text, description=text)
    command.set_defaults(run=_hash)
    command.add_argument("path", type=Path, metavar="PATH")
    command.add_argument("--flat", action="store_true", help="hash the bytes of the file itself")
    text = "verify who signed a provenance, and print its statement as JSON"
    command = commands.add_parser("provenance", help=text, description=text)
    command.set_defaults(run=_provenance)
    command.add_argument("--envelope", type=Path, required=True, metavar="FILE", help="the DSSE envelope")
    command.add_argument(
        "--public-key",
        type=_public_key,
        required=True,
        action="append",
        metavar="KEY",
        help="a key to trust, as in trusted-public-keys; may be given again",
    )
    command.add_argument("--narinfo", type=Path, metavar="FILE", help="a narinfo that it has to be about")
    text = "print a new secret key; the public key goes to standard error"
    command = commands.add_parser("keygen", help=text, description=text)
    command.set_defaults(run=_keygen)
    command.add_argument("name", metavar="NAME", help="the key name, such as cache.example.org-1")
    return parser


def _store_dir(text: str) -> StoreDir:
    try:
        return StoreDir(text)
    except PermanentError as error:
        raise argparse.ArgumentTypeError(f"{error.problem} {error.remedy}") from error


def _public_key(text: str) -> PublicKey:
    try:
        return PublicKey.parse(text)
    except PermanentError as error:
        raise argparse.ArgumentTypeError(f"{error.problem} {error.remedy}") from error


def _verify(options: argparse.Namespace) -> int:
    try:
        verified = _prove(options)
    except PermanentError as error:
        return _reject(error)
    _print_json(
        {
            "verdict": "verified",
            "storePath": verified.store_dir.render(verified.store_path),
            "narHash": str(verified.nar_hash),
            "narSize": verified.nar_size,
            "fileHash": str(verified.file_hash),
            "fileSize": verified.file_size,
            "references": [reference.base_name for reference in verified.references],
            "undeclared": [path.base_name for path in verified.undeclared],
            "moreUndeclared": verified.more_undeclared,
            "buildIds": list(verified.build_ids),
            "ca": str(verified.ca) if verified.ca else None,
        }
    )
    return _VERIFIED


def _sign(options: argparse.Namespace) -> int:
    try:
        key = SecretKey.parse(options.key_file.read_text())
    except (PermanentError, UnicodeDecodeError) as error:
        print(f"nixcache: {options.key_file}: {error}", file=sys.stderr)
        return _USAGE
    try:
        verified = _prove(options)
    except PermanentError as error:
        return _reject(error)
    _print(verified.narinfo((key.sign(verified),)).render())
    return _VERIFIED


def _prove(options: argparse.Namespace) -> VerifiedStoreObject:
    with options.narinfo.open("rb") as file:
        # One byte more than allowed: enough for the parser to refuse it, however large the file is.
        narinfo = NarInfo.parse(file.read(MAX_NARINFO_SIZE + 1), options.store_dir)
    with options.nar.open("rb") as file:
        return verify(narinfo, _chunks(file))


def _provenance(options: argparse.Namespace) -> int:
    try:
        statement = _attested(options)
    except PermanentError as error:
        return _reject(error)
    _print(statement.to_json() + b"\n")
    return _VERIFIED


def _attested(options: argparse.Namespace) -> Statement:
    with options.envelope.open("rb") as file:
        envelope = Envelope.from_json(file.read(MAX_ENVELOPE_SIZE + 1))
    statement = Statement.from_envelope(envelope, options.public_key)
    if statement.predicate_type != PREDICATE_TYPE:
        # The key may one day attest other things: those are no provenance, whatever they look like.
        raise PermanentError(
            Code.ATTESTATION_MISMATCH,
            f"The statement is {statement.predicate_type[:80]}, no provenance.",
            remedy=f"Give an envelope with a statement of the type {PREDICATE_TYPE}.",
            field="predicateType",
        )
    if options.narinfo is not None:
        with options.narinfo.open("rb") as file:
            narinfo = NarInfo.parse(file.read(MAX_NARINFO_SIZE + 1), statement.store_dir)
        if not statement.is_about(narinfo):
            raise PermanentError(
                Code.ATTESTATION_MISMATCH,
                f"The statement is about {statement.store_dir.render(statement.store_path)} with the NAR hash"
                f" {statement.nar_hash}, the narinfo about another store object.",
                remedy="Fetch narinfo and provenance of the same store path.",
                field="subject",
            )
    return statement


def _nar_check(_options: argparse.Namespace) -> int:
    state = hashlib.sha256()
    size = 0
    parser = NarParser()
    try:
        for chunk in _chunks(_standard_input()):
            parser.feed(chunk)
            state.update(chunk)
            size += len(chunk)
        parser.close()
    except PermanentError as error:
        return _reject(error)
    _print_json({"verdict": "well-formed", "narHash": str(Hash(HashAlgorithm.SHA256, state.digest())), "narSize": size})
    return _VERIFIED


def _list(_options: argparse.Namespace) -> int:
    parser = NarParser()
    listing = ListingBuilder()
    try:
        for chunk in _chunks(_standard_input()):
            listing.feed(parser.feed(chunk))
        parser.close()
    except PermanentError as error:
        return _reject(error)
    text = listing.finish()
    if text is None:
        print("nixcache: this NAR has no listing: names that are no UTF-8, or too many entries", file=sys.stderr)
        return _REJECTED
    _print(text + b"\n")
    return _VERIFIED


def _hash(options: argparse.Namespace) -> int:
    state = hashlib.sha256()
    try:
        if options.flat:
            with options.path.open("rb") as file:
                for chunk in _chunks(file):
                    state.update(chunk)
        else:
            for chunk in dump(options.path):
                state.update(chunk)
    except PermanentError as error:
        return _reject(error)
    _print(f"{Hash(HashAlgorithm.SHA256, state.digest())}\n".encode())
    return _VERIFIED


def _keygen(options: argparse.Namespace) -> int:
    try:
        key = SecretKey.generate(options.name)
    except PermanentError as error:
        print(f"nixcache: {error}", file=sys.stderr)
        return _USAGE
    _print(f"{key.reveal()}\n".encode())
    print(f"public key: {key.public_key}", file=sys.stderr)
    return _VERIFIED


def _reject(error: PermanentError) -> int:
    _print_json(
        {
            "verdict": "rejected",
            "code": error.code.value,
            "problem": error.problem,
            "remedy": error.remedy,
            "field": error.field,
            "offset": error.offset,
        }
    )
    return _REJECTED


def _print_json(document: dict[str, Any]) -> None:
    # ASCII only: a problem may quote a file name that the terminal's encoding cannot show.
    _print(json.dumps(document).encode() + b"\n")


def _print(data: bytes) -> None:
    """Write to standard output now, so that a closed pipe or a full disk is met here and not while Python exits."""
    if sys.stdout is None:
        raise _closed("standard output")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is left in the buffer is flushed once more at exit: let that succeed, or Python prints a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(error.errno, error.strerror, "standard output") from error


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise _closed("standard input")
    return sys.stdin.buffer


def _closed(name: str) -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF), name)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    return iter(partial(file.read, _CHUNK_SIZE), b"")
