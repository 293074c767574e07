"""The builder's configuration: one small TOML file, each key overridden by an environment variable of its name.

The file is ``/etc/assay/builder.toml`` or what ``ASSAY_CONFIG`` names; ``cache_url`` in it is ``ASSAY_CACHE_URL`` in
the environment, and so on. Region, endpoint and credentials are AWS's own variables and files, which boto3 reads.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from hook.errors import BuilderCode
from hook.post_build import DEFAULT_STATE_DIR, gc_roots_dir
from hook.redaction import without_password
from hook.transfer.packing import DEFAULT_LEVELS, LEVELS, Packing
from nixcache.compression import Compression
from nixcache.errors import PermanentError
from nixcache.store_path import StoreDir
from protocol.keys import BuilderName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

DEFAULT_CONFIG_FILE = Path("/etc/assay/builder.toml")
MIN_BYTES_PER_SECOND = 64 * 1024
"""Below, the connections that share it would each be silent for so long that S3 gives up on them."""
KEYS = (
    "builder",
    "staging_bucket",
    "ledger_bucket",
    "cache_url",
    "upstreams",
    "state_dir",
    "nix_bin_dir",
    "compression",
    "compression_level",
    "max_bytes_per_second",
    "build_logs",
)

_URL_KEYS = ("cache_url", "upstreams")
_STORE_DIR = "/nix/store"
_MAX_FILE_NAME = 255
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_URL = re.compile(r"https?://[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineConfig:
    """What needs no service: where the queue is, and where Nix's programs are (``None``: on ``PATH``)."""

    state_dir: Path
    nix_bin_dir: Path | None
    store_dir: StoreDir


@dataclass(frozen=True, slots=True, kw_only=True)
class UploaderConfig:
    """What the uploader needs.

    ``cache_url`` is where published narinfos are looked up; nothing between here and there may remember a 404, or a
    look-up would hide what is published a moment later. ``upstreams`` are URLs of caches whose paths need no upload;
    they should be those that the service trusts, or submissions wait for their references.
    ``max_bytes_per_second`` is for all uploads together; None: as fast as it goes. ``build_logs`` says whether the logs
    go along.
    """

    machine: MachineConfig
    builder: BuilderName
    staging_bucket: str
    ledger_bucket: str
    cache_url: str
    upstreams: tuple[str, ...]
    compression: Packing
    max_bytes_per_second: int | None
    build_logs: bool


def machine_config(environ: Mapping[str, str]) -> MachineConfig:
    """Read what every command needs; raises :class:`PermanentError` (``config-invalid``)."""
    settings = _Settings(environ)
    config = _machine(settings)
    settings.raise_first()
    return config


def uploader_config(environ: Mapping[str, str]) -> UploaderConfig:
    """Read everything; raises :class:`PermanentError` (``config-invalid``), naming source, key and what to do."""
    settings = _Settings(environ)
    config = _uploader(settings)
    settings.raise_first()
    return config


def problems(environ: Mapping[str, str]) -> list[PermanentError]:
    """Return what is wrong with each key, where :func:`uploader_config` raises the first; none where it raises none."""
    try:
        settings = _Settings(environ)
    except PermanentError as error:
        return [error]
    _uploader(settings)
    return settings.problems


def _uploader(settings: _Settings) -> UploaderConfig:
    return UploaderConfig(
        machine=_machine(settings),
        builder=settings.required("builder", lambda value: BuilderName(_text(value))),
        staging_bucket=settings.required("staging_bucket", _bucket),
        ledger_bucket=settings.required("ledger_bucket", _bucket),
        cache_url=settings.required("cache_url", _url),
        upstreams=settings.optional("upstreams", _urls, ()),
        compression=_packing(settings),
        max_bytes_per_second=settings.optional("max_bytes_per_second", _bytes_per_second, None),
        build_logs=settings.optional("build_logs", _yes_or_no, default=False),
    )


def _machine(settings: _Settings) -> MachineConfig:
    return MachineConfig(
        state_dir=settings.optional("state_dir", _state_dir, Path(DEFAULT_STATE_DIR)),
        nix_bin_dir=settings.optional("nix_bin_dir", _absolute, None),
        store_dir=settings.store_dir(),
    )


class _Settings:
    """Raw values and where each came from; a stand-in, and one more of ``problems``, where a key is missing or wrong.

    Raises :class:`PermanentError` where there is no reading the file at all.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[PermanentError] = []
        self._environ = environ
        named = environ.get("ASSAY_CONFIG")
        self._file = Path(named) if named else DEFAULT_CONFIG_FILE
        self._values: dict[str, tuple[Any, str]] = {}
        for key, value in self._read_file(must_exist=bool(named)).items():
            if key in KEYS:
                self._values[key] = (value, str(self._file))
            else:
                self.problems.append(_invalid(str(self._file), key, "is no setting", f"Known are {', '.join(KEYS)}."))
        for key in KEYS:
            variable = _variable(key)
            if environ.get(variable):
                self._values[key] = (environ[variable], variable)

    def raise_first(self) -> None:
        """Raise the first problem, if there is any."""
        if self.problems:
            raise self.problems[0]

    def required(self, key: str, parse: Callable[[Any], T]) -> T:
        nothing = cast("T", None)
        if key in self._values:
            return self._parsed(key, parse, nothing)
        remedy = f"Set it there, or {_variable(key)} in the environment."
        self.problems.append(_invalid(str(self._file), key, "is not set", remedy))
        return nothing

    def optional(self, key: str, parse: Callable[[Any], T], default: T) -> T:
        return self._parsed(key, parse, default) if key in self._values else default

    def store_dir(self) -> StoreDir:
        """Return what Nix's own variable says, so that both always speak of the same store."""
        try:
            return StoreDir(self._environ.get("NIX_STORE_DIR") or _STORE_DIR)
        except PermanentError as error:
            self.problems.append(error)
            return StoreDir(_STORE_DIR)

    def _parsed(self, key: str, parse: Callable[[Any], T], stand_in: T) -> T:
        value, where = self._values[key]
        try:
            return parse(value)
        except PermanentError as error:
            self.problems.append(_invalid(where, key, error.problem, error.remedy))
        except (ValueError, TypeError) as error:
            shown = _without_passwords(value) if key in _URL_KEYS else value
            self.problems.append(_invalid(where, key, f"{shown!r} will not do", str(error)))
        return stand_in

    def _read_file(self, *, must_exist: bool) -> dict[str, Any]:
        try:
            return tomllib.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if must_exist:
                raise _invalid(str(self._file), None, "there is no such file", "Correct ASSAY_CONFIG.") from None
            return {}
        except OSError as error:
            raise _invalid(
                str(self._file), None, str(error.strerror), "Make the file readable for this user."
            ) from error
        except ValueError as error:
            raise _invalid(str(self._file), None, f"not TOML: {error}", 'Write one key = "value" a line.') from error


def _without_passwords(value: object) -> object:
    if isinstance(value, list):
        return [_without_passwords(word) for word in value]
    return without_password(value) if isinstance(value, str) else value


def _variable(key: str) -> str:
    return f"ASSAY_{key.upper()}"


def _invalid(where: str, key: str | None, problem: str, remedy: str) -> PermanentError:
    place = f"{where}, {key}" if key and where != _variable(key) else where
    return PermanentError(BuilderCode.CONFIG_INVALID, f"{place}: {problem.rstrip('.')}.", remedy=remedy)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("Give a text in quotes.")
    return value


def _bucket(value: object) -> str:
    if not _BUCKET.fullmatch(_text(value)):
        raise ValueError("Give the bucket's name alone: 3 to 63 characters of a-z, 0-9, dot and dash.")
    return str(value)


def _url(value: object) -> str:
    text = _text(value)
    if not _URL.fullmatch(text):
        raise ValueError("Give a URL that begins with https:// or http://.")
    if not _has_host(text):
        raise ValueError("Give a URL with a host, and with %2F where a password has a slash.")
    return text.rstrip("/")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _urls(value: object) -> tuple[str, ...]:
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list):
        raise TypeError("Give a list of URLs.")
    return tuple(_url(word) for word in words)


def _absolute(value: object) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise ValueError("Give an absolute path: the hook runs in another directory.")
    return path


def _state_dir(value: object) -> Path:
    path = _absolute(value)
    length = len(os.fsencode(Path(gc_roots_dir(str(path))).name))
    if length > _MAX_FILE_NAME:
        raise ValueError(
            f"Give a shorter path: the directory of its garbage-collection roots carries its name, which takes {length}"
            f" bytes there (a dash takes four), and {_MAX_FILE_NAME} are possible."
        )
    return path


def _packing(settings: _Settings) -> Packing:
    compression = settings.optional("compression", _compression, Compression.ZSTD)
    levels = LEVELS[compression]
    level = settings.optional(
        "compression_level", lambda value: _level(value, compression, levels), DEFAULT_LEVELS[compression]
    )
    return Packing(compression, level)


def _compression(value: object) -> Compression:
    if _text(value) not in LEVELS:
        raise ValueError(f"Give one of {', '.join(LEVELS)}.")
    return Compression(_text(value))


def _level(value: object, compression: Compression, levels: range) -> int:
    level = _whole_number(value)
    if level not in levels:
        raise ValueError(
            f"{compression.value} has levels from {levels[0]} (fastest) to {levels[-1]} (smallest)."
            if len(levels) > 1
            else f"With compression = {compression.value}, leave it out."
        )
    return level


def _bytes_per_second(value: object) -> int | None:
    number = _whole_number(value)
    if number < MIN_BYTES_PER_SECOND:
        raise ValueError(f"Give at least {MIN_BYTES_PER_SECOND}, or leave it out for as fast as it goes.")
    return number


def _yes_or_no(value: object) -> bool:
    # 1 equals True to Python, but nobody who writes it says yes in TOML.
    if isinstance(value, bool):
        return value
    if value in {"true", "false"}:
        return value == "true"
    raise ValueError("Give true or false.")


def _whole_number(value: object) -> int:
    # bool is an int to Python, and never one to whoever writes `true`.
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError("Give a whole number.")
    try:
        return int(value)
    except ValueError:
        raise ValueError("Give a whole number.") from None
