"""The submission policy: which builder may submit what, and how many have to agree before it is signed.

An operator writes it into the configuration; the stack resolves its defaults and puts the canonical document beside
the ingest function's code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from nixcache.compression import READABLE, Compression
from nixcache.errors import PermanentError
from nixcache.store_path import StorePath
from protocol.fields import Fields, member
from protocol.keys import BuilderName

MAX_PATTERNS: Final = 64
"""Name patterns in one rule."""
MAX_PATTERN_LENGTH: Final = 256
"""Characters of a name pattern. A name has 211 at most."""
MAX_QUORUM_RULES: Final = 64
MAX_QUORUM: Final = 64
"""Trust groups that a quorum may ask for: each votes once, and a publication reads all votes."""
LARGEST_NAR_SIZE: Final = 10**18
"""Beyond any size that means something; environment variables carry 19 digits at most."""

ANY_NAME: Final = ("*",)

# Every character may occur in a name, or is a wildcard. No other: a pattern that can match nothing, because of a space,
# a `^` for `!` or a bracket that stays open, would leave open what an operator believes closed, and nobody would see.
_LITERAL: Final = "0-9A-Za-z+._?="
_SEQUENCE: Final = re.compile(rf"\[!?((?:[{_LITERAL}](?:-[{_LITERAL}])?)+)-?\]", re.ASCII)
_PATTERN: Final = re.compile(rf"(?:[{_LITERAL}*-]|{_SEQUENCE.pattern})+", re.ASCII)
_RANGE: Final = re.compile(r"(.)-(.)")


class PolicyCode(StrEnum):
    """What can be wrong with a submission policy."""

    POLICY_MALFORMED = "policy-malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderRules:
    """What one builder may submit.

    ``trust_group``: who falls together, as builders of one owner do; a quorum counts groups. ``names``: patterns, one
    of which matches the name of each store path. ``max_nar_size``: in bytes, uncompressed. ``compressions``: the
    methods of the NAR's file. ``input_addressed``: whether also paths without a content address, derivations apart.
    """

    trust_group: str
    names: tuple[str, ...] = ANY_NAME
    max_nar_size: int
    compressions: frozenset[Compression] = frozenset(READABLE)
    input_addressed: bool = True

    def allows_name(self, path: StorePath) -> bool:
        """Tell whether the name of ``path`` is one that this builder may submit."""
        return _matches(path, self.names)


@dataclass(frozen=True, slots=True)
class QuorumRule:
    """How many trust groups have to agree on a store path whose name one of the patterns matches."""

    names: tuple[str, ...]
    builders: int


@dataclass(frozen=True, slots=True)
class SubmissionPolicy:
    """The rules of every builder of the deployment, and the quorum rules, of which the first that matches decides.

    A builder that is not in ``builders`` may submit nothing. Raises :class:`PermanentError` (``policy-malformed``),
    whose ``field`` is a path in the document, for a rule that says nothing, or that nobody could ever fulfil.
    """

    builders: Mapping[BuilderName, BuilderRules]
    quorum: tuple[QuorumRule, ...] = ()

    def __post_init__(self) -> None:
        """Check each rule and the rules against one another; keep the builders in order, and for good."""
        object.__setattr__(self, "builders", MappingProxyType(dict(sorted(self.builders.items()))))
        for name, rules in self.builders.items():
            _check_rules(member("builders", str(name)), rules)
        _check_quorum(self.quorum, voters=self._voters)

    @classmethod
    def open_to(cls, builders: Iterable[BuilderName], max_nar_size: int) -> SubmissionPolicy:
        """Return the policy without rules: each builder may submit everything, and is a trust group of its own."""
        return cls({name: BuilderRules(trust_group=str(name), max_nar_size=max_nar_size) for name in builders})

    @classmethod
    def from_document(cls, document: object, *, defaults: SubmissionPolicy | None = None) -> SubmissionPolicy:
        """Read a document as :meth:`to_json` writes it, already parsed.

        With ``defaults``, the policy without rules, it is as people write it: a builder or a rule of a builder that it
        leaves out comes from there, and so do the builders that exist and the largest NAR that is allowed at all.

        Raises :class:`PermanentError` (``policy-malformed``) with the path of the wrong field.
        """
        fields = Fields("", document, _malformed)
        # Both are asked for, though they may be empty: a file that was cut off must not open what its lost half closed.
        for section, none in (("builders", "{}"), ("quorum", "[]")):
            if section not in fields:
                raise _malformed(section, f"is missing; write {none} for none")
        builders = dict(defaults.builders) if defaults else {}
        for text, rules in fields.child("builders").members():
            name = _builder_name(rules.path, text, known=defaults)
            builders[name] = _rules(rules, builders.get(name))
        quorum = tuple(map(_quorum_rule, fields.objects("quorum")))
        fields.nothing_else()
        return cls(builders, quorum)

    def to_json(self) -> bytes:
        """Return the canonical document: the same policy gives the same bytes."""
        document = {
            "builders": {
                str(name): {
                    "trustGroup": rules.trust_group,
                    "names": list(rules.names),
                    "maxNarSize": rules.max_nar_size,
                    "compressions": sorted(rules.compressions),
                    "inputAddressed": rules.input_addressed,
                }
                for name, rules in self.builders.items()
            },
            "quorum": [{"names": list(rule.names), "builders": rule.builders} for rule in self.quorum],
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> SubmissionPolicy:
        """Read the canonical document, and no other.

        Raises :class:`PermanentError` (``policy-malformed``): a program wrote it, so whatever is amiss means that
        somebody else was at it, or that it belongs to another version.
        """
        try:
            policy = cls.from_document(json.loads(data))
        # RecursionError: what json raises for a document nested a thousand levels deep.
        except (ValueError, RecursionError) as error:
            raise _malformed("", f"the policy cannot be read: {error!r:.200}") from error
        # Two members of one name, of which json takes the last, are caught by this, too.
        if policy.to_json() != data:
            raise _malformed("", "the policy is not as this version of Assay writes it; deploy the stack again")
        return policy

    def rules(self, builder: BuilderName) -> BuilderRules | None:
        """Return what ``builder`` may submit; None: nothing."""
        return self.builders.get(builder)

    def quorum_for(self, path: StorePath) -> int:
        """Return how many distinct trust groups have to agree before ``path`` is signed; 1 is no quorum.

        Of use for a path without a content address: one that has it, and verifies, needs nobody's word.
        """
        return next((rule.builders for rule in self.quorum if _matches(path, rule.names)), 1)

    @property
    def _voters(self) -> frozenset[str]:
        """The trust groups that can vote: those with a builder that may submit what a vote decides about."""
        return frozenset(rules.trust_group for rules in self.builders.values() if rules.input_addressed)


def _matches(path: StorePath, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path.name, pattern) for pattern in patterns)


def _builder_name(field: str, text: str, *, known: SubmissionPolicy | None) -> BuilderName:
    if known is not None:
        for name in known.builders:
            if str(name) == text:
                return name
        raise _malformed(field, f"no builder of this deployment has this name; there are {_listed(known.builders)}")
    try:
        return BuilderName(text)
    except PermanentError as error:
        raise _malformed(field, f"cannot name a builder: {error.remedy}") from error


def _rules(fields: Fields, defaults: BuilderRules | None) -> BuilderRules:
    largest = LARGEST_NAR_SIZE if defaults is None else defaults.max_nar_size

    def left_out(name: str) -> BuilderRules | None:
        """Return what stands in for a field that is not there; without defaults every field has to be."""
        return None if name in fields else defaults

    rules = BuilderRules(
        trust_group=d.trust_group if (d := left_out("trustGroup")) else fields.text("trustGroup"),
        names=d.names if (d := left_out("names")) else tuple(fields.texts("names")),
        max_nar_size=d.max_nar_size
        if (d := left_out("maxNarSize"))
        else fields.integer("maxNarSize", "bytes", least=1, most=largest),
        compressions=d.compressions if (d := left_out("compressions")) else _compressions(fields, "compressions"),
        input_addressed=d.input_addressed if (d := left_out("inputAddressed")) else fields.boolean("inputAddressed"),
    )
    fields.nothing_else()
    return rules


def _compressions(fields: Fields, name: str) -> frozenset[Compression]:
    methods: set[Compression] = set()
    for position, text in enumerate(fields.texts(name)):
        field = f"{fields.field(name)}[{position}]"
        if text not in READABLE:
            raise _malformed(field, f"{text[:100]!r} is no compression method that Assay reads: {_listed(READABLE)}")
        if text in methods:
            raise _malformed(field, f"{text!r} is there twice")
        methods.add(Compression(text))
    return frozenset(methods)


def _quorum_rule(fields: Fields) -> QuorumRule:
    rule = QuorumRule(
        names=tuple(fields.texts("names")),
        builders=fields.integer("builders", "trust groups", least=1, most=MAX_QUORUM),
    )
    fields.nothing_else()
    return rule


def _check_rules(field: str, rules: BuilderRules) -> None:
    try:
        BuilderName(rules.trust_group)
    except PermanentError as error:
        raise _malformed(
            f"{field}.trustGroup", f"{rules.trust_group[:100]!r} cannot name a trust group: {error.remedy}"
        ) from error
    _check_patterns(f"{field}.names", rules.names)
    if not 1 <= rules.max_nar_size <= LARGEST_NAR_SIZE:
        raise _malformed(f"{field}.maxNarSize", f"is {rules.max_nar_size}, not from 1 to {LARGEST_NAR_SIZE}")
    if not rules.compressions:
        raise _malformed(f"{field}.compressions", "is empty, so this builder could submit nothing")
    if not rules.compressions <= frozenset(READABLE):
        raise _malformed(f"{field}.compressions", f"there is more than Assay reads: {_listed(READABLE)}")


def _check_quorum(quorum: tuple[QuorumRule, ...], *, voters: frozenset[str]) -> None:
    if len(quorum) > MAX_QUORUM_RULES:
        raise _malformed("quorum", f"has {len(quorum)} rules; {MAX_QUORUM_RULES} are allowed")
    decided: dict[str, int] = {}
    for position, rule in enumerate(quorum):
        field = f"quorum[{position}]"
        _check_patterns(f"{field}.names", rule.names)
        for number, pattern in enumerate(rule.names):
            for earlier in ("*", _shortest(pattern)):
                if earlier in decided:
                    raise _malformed(
                        f"{field}.names[{number}]",
                        f"is never reached: {earlier!r} in quorum[{decided[earlier]}] decides before it",
                    )
        decided.update((_shortest(pattern), position) for pattern in rule.names)
        if not 1 <= rule.builders <= MAX_QUORUM:
            raise _malformed(f"{field}.builders", f"is {rule.builders}, not from 1 to {MAX_QUORUM}")
        if rule.builders > max(1, len(voters)):
            raise _malformed(
                f"{field}.builders",
                f"{rule.builders} trust groups can never agree: the builders that may submit input-addressed paths "
                f"are in {len(voters)} ({_listed(sorted(voters)) or 'none'})",
            )


def _shortest(pattern: str) -> str:
    """Return ``pattern`` with one star for many, which match the same."""
    return re.sub(r"\*+", "*", pattern)


def _check_patterns(field: str, patterns: tuple[str, ...]) -> None:
    if not patterns:
        raise _malformed(field, 'is missing or empty, so it would match no name; write ["*"] for all')
    if len(patterns) > MAX_PATTERNS:
        raise _malformed(field, f"has {len(patterns)} patterns; {MAX_PATTERNS} are allowed")
    for position, pattern in enumerate(patterns):
        place = f"{field}[{position}]"
        if len(pattern) > MAX_PATTERN_LENGTH:
            raise _malformed(place, f"has {len(pattern)} characters; {MAX_PATTERN_LENGTH} are allowed")
        if not _PATTERN.fullmatch(pattern):
            raise _malformed(
                place,
                f"{pattern!r} matches no name; use 0-9 A-Z a-z + - . _ = and the wildcards *, ?, [a-z], [!a-z]",
            )
        for sequence in _SEQUENCE.finditer(pattern):
            for first, last in _RANGE.findall(sequence[1]):
                if first > last:
                    raise _malformed(place, f"{pattern!r} has the range {first}-{last}, which is empty")
        if pattern in patterns[:position]:
            raise _malformed(place, f"{pattern!r} is there twice")


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))


def _malformed(field: str, problem: str) -> PermanentError:
    return PermanentError(PolicyCode.POLICY_MALFORMED, problem, field=field or None)
