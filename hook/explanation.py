"""Everything that can be found out about one store path: on this machine, in the caches, in the ledger.

Whatever cannot be asked is remembered with its reason, and keeps nothing else from being told.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from hook.aws import s3_client
from hook.lookup import NarInfoLookup
from hook.nix_store import NixStore
from hook.post_build import describe
from hook.queue.entry import Submitted
from hook.queue.view import Known, QueueView
from hook.subject import Subject
from hook.verdicts import Ledger
from nixcache.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hook.config import UploaderConfig
    from hook.nix_store import PathInfo
    from hook.queue.entry import Entry
    from nixcache.narinfo import NarInfo
    from nixcache.store_path import HashPart, StorePath
    from protocol.results import Result

    T = TypeVar("T")

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
ATTEMPTS: Final = 2
"""Somebody waits for the answer: what does not come within half a minute is told as such."""


@dataclass(frozen=True, slots=True)
class Unasked:
    """Something that could not be asked, and why, with what to do about it."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the cache at ``url`` has under the hash part; it may be another path's narinfo."""

    url: str
    narinfo: NarInfo | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A path that the subject refers to, or that the service waits for; None: that could not be asked.

    ``published`` is of the cache and the upstreams together.
    """

    path: StorePath
    here: bool | None
    published: bool | None
    known: Known | None


@dataclass(slots=True)
class Facts:
    """What is known. A source that could not be asked is in ``unasked``, and its field is as if it knew nothing.

    ``answers`` begins with the cache, if it answered; ``owner`` is the process that works on the queue.
    """

    subject: Subject
    cache_url: str | None = None
    local: PathInfo | None = None
    known: Known = field(default_factory=lambda: Known(None, None))
    owner: int | None = None
    answers: list[Answer] = field(default_factory=list)
    result: Result | None = None
    references: list[Reference] = field(default_factory=list)
    unasked: list[Unasked] = field(default_factory=list)

    @property
    def entry(self) -> Entry | None:
        """The entry in the queue."""
        return self.known.entry

    @property
    def published_in(self) -> Answer | None:
        """The first answer that is a narinfo of this very path."""
        return next((answer for answer in self.answers if self.is_of_subject(answer)), None)

    def is_of_subject(self, answer: Answer) -> bool:
        """Whether the answer is a narinfo of this very path, and not of another with the same hash part."""
        return answer.narinfo is not None and self.subject.path in {None, answer.narinfo.store_path}

    def could_not_ask(self, *what: str) -> bool:
        """Whether one of these could not be asked."""
        return any(unasked.what in what for unasked in self.unasked)


class Investigator:
    """Asks everybody about one path; ``view``, ``nix_store`` and ``config`` are None where they are not to be had."""

    def __init__(
        self, *, nix_store: NixStore, view: QueueView | None, config: UploaderConfig | None, unasked: Iterable[Unasked]
    ) -> None:
        """``unasked`` is what is known beforehand to be out of reach."""
        self._nix_store = nix_store
        self._view = view
        self._config = config
        self._unasked = list(unasked)

    def ask(self, subject: Subject) -> Facts:
        """Return what is known of ``subject``; whatever fails is in ``unasked``."""
        facts = Facts(subject, unasked=self._unasked)
        config = self._config
        with ThreadPoolExecutor() as pool:
            if config:
                facts.cache_url = config.cache_url
                lookup = NarInfoLookup(
                    config.cache_url,
                    config.upstreams,
                    config.machine.store_dir,
                    connect_seconds=CONNECT_SECONDS,
                    read_seconds=READ_SECONDS,
                    retries=ATTEMPTS - 1,
                )
                with lookup:
                    result = pool.submit(self._try, "ledger", lambda: _result(config, subject.hash_part), None)
                    narinfos = {
                        url: pool.submit(self._try, url, lambda url=url: _find(lookup, url, subject.hash_part), None)
                        for url in self._urls()
                    }
                    facts.answers = [answer for future in narinfos.values() if (answer := future.result())]
                    facts.result = result.result()
                    facts.subject = subject = _named(subject, facts)
                    self._ask_machine(facts)
                    facts.references = self._references(facts, lookup)
            else:
                self._ask_machine(facts)
                facts.references = self._references(facts, None)
        return facts

    def _ask_machine(self, facts: Facts) -> None:
        path, view = facts.subject.path, self._view
        if path is None:
            return
        facts.local = self._try("local store", lambda: self._nix_store.infos([path]).get(path), None)
        if view:
            facts.known = self._try("queue", lambda: view.known([path])[path], facts.known)
            facts.owner = self._try("queue", lambda: view.overview(limit=0).owner, None)

    def _references(self, facts: Facts, lookup: NarInfoLookup | None) -> list[Reference]:
        """Return the direct references, those that the service waits for among them."""
        wanted: set[StorePath] = set()
        if facts.local:
            wanted |= set(facts.local.references)
        elif (answer := facts.published_in) and answer.narinfo:
            wanted |= set(answer.narinfo.references)
        if facts.entry and isinstance(facts.entry.progress, Submitted):
            wanted |= set(facts.entry.progress.waits_for)
        paths = sorted(wanted - {facts.subject.path})
        view = self._view
        if not paths:
            return []
        # A cache that did not answer about the path itself would only make somebody wait a second time.
        asked = lookup if not facts.could_not_ask(*self._urls()) else None
        here = self._try("local store", lambda: set(self._nix_store.infos(paths)), None)
        known = self._try("queue", lambda: view.known(paths), None) if view else None
        published = self._try("cache for the references", lambda: asked.present(paths), None) if asked else None
        return [
            Reference(
                path,
                None if here is None else path in here,
                None if published is None else path in published,
                known.get(path) if known else None,
            )
            for path in paths
        ]

    def _urls(self) -> tuple[str, ...]:
        return (self._config.cache_url, *self._config.upstreams) if self._config else ()

    def _try(self, what: str, question: Callable[[], T], otherwise: T) -> T:
        try:
            return question()
        except AssayError as error:
            why = str(error)
        except OSError as error:
            why = describe(error)
        # From several threads; list.append is atomic.
        if all(unasked.what != what for unasked in self._unasked):
            self._unasked.append(Unasked(what, why))
        return otherwise


def _result(config: UploaderConfig, hash_part: HashPart) -> Result | None:
    client = s3_client(connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, attempts=ATTEMPTS)
    try:
        return Ledger(client, config.ledger_bucket, config.builder).result(hash_part)
    finally:
        client.close()


def _find(lookup: NarInfoLookup, url: str, hash_part: HashPart) -> Answer:
    return Answer(url, lookup.find(url, hash_part))


def _named(subject: Subject, facts: Facts) -> Subject:
    """Take the name from whoever knows it."""
    if subject.path:
        return subject
    for answer in facts.answers:
        if answer.narinfo:
            return Subject(subject.hash_part, answer.narinfo.store_path)
    return Subject(subject.hash_part, facts.result.store_path if facts.result else None)
