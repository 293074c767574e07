"""A promise: one sentence on AWS that ingest relies on, and the test that asks engines for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

import pytest

from tests.contract.engines import Engine, EngineName

Test: TypeAlias = Callable[[Engine], None]

WITNESSES_NEEDED: Final = 2
"""So many engines other than the simulator must keep a promise: one alone may share its mistake by chance."""

_ALL: Final = frozenset(EngineName)


class Service(Enum):
    """A part of AWS, and the engines that have it."""

    S3 = ("S3", _ALL)
    NOTIFICATIONS = ("S3 event notifications", _ALL - {EngineName.SEAWEEDFS})
    SQS = ("SQS", _ALL - {EngineName.SEAWEEDFS})
    SECRETS = ("Secrets Manager", _ALL - {EngineName.SEAWEEDFS})

    def __init__(self, title: str, engines: frozenset[EngineName]) -> None:
        self.title = title
        self.engines = engines


@dataclass(frozen=True, slots=True)
class Breach:
    """What an engine does instead of keeping a promise; not ``always`` where that is a matter of luck, as in a race."""

    instead: str
    always: bool = True


@dataclass(frozen=True, slots=True)
class Promise:
    """``sentence`` is what is promised, ``relied_on`` who counts on it, ``broken`` which engines do not keep it.

    ``repaired`` engines keep it only since we mended them, so they are no witnesses. Where too few keep it,
    ``documented`` says where AWS itself promises it.
    """

    sentence: str
    service: Service
    relied_on: str
    broken: Mapping[EngineName, Breach]
    repaired: Collection[EngineName]
    documented: str | None

    def kept_by(self, engine: EngineName) -> bool:
        """Tell whether ``engine`` keeps it."""
        return engine in self.service.engines and engine not in self.broken

    @property
    def witnesses(self) -> tuple[EngineName, ...]:
        """The engines that keep it of themselves, the simulator left out."""
        ours = {EngineName.MEMORY, *self.repaired}
        return tuple(engine for engine in EngineName if engine not in ours and self.kept_by(engine))


PROMISES: Final[dict[str, Promise]] = {}
"""All promises of the modules imported so far, by the names of their tests."""


def promise(
    service: Service,
    *,
    relied_on: str,
    broken: Mapping[EngineName, Breach] | None = None,
    repaired: Collection[EngineName] = (),
    documented: str | None = None,
) -> Callable[[Test], Test]:
    """Make a function whose docstring is the promise into a test of each engine that has ``service``.

    An engine that is known to break it must fail: if it has been mended, somebody shall notice.
    """

    def register(test: Test) -> Test:
        found = Promise(" ".join((test.__doc__ or "").split()), service, relied_on, broken or {}, repaired, documented)
        PROMISES[test.__name__] = found
        engines = [
            pytest.param(engine, id=engine.value, marks=_marks(found.broken.get(engine)))
            for engine in EngineName
            if engine in service.engines
        ]
        return pytest.mark.parametrize("engine", engines, indirect=True)(test)

    return register


def _marks(breach: Breach | None) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(reason=breach.instead, strict=breach.always)] if breach else []
