"""The facts about a path in words and as data: what they come to, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, assert_never

from hook import wording
from hook.exit_code import ExitCode
from hook.queue.entry import Queued, Refused, Submitted
from hook.redaction import without_password
from protocol.verdicts import AwaitingQuorum, Conflict, Duplicate, Published, Rejected, Verdict, Waiting

if TYPE_CHECKING:
    from hook.errors import Cause
    from hook.explanation import Answer, Facts, Reference
    from hook.queue.entry import Entry
    from nixcache.narinfo import NarInfo
    from nixcache.store_path import StoreDir

REFERENCES_AT_MOST: Final = 10
"""In the text; the JSON document has all of them."""
SLOW_SECONDS: Final = 3600
"""Verdicts take seconds. After an hour somebody should look."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """``state`` is one word for machines; ``to_do`` a sentence or two for people."""

    state: str
    to_do: str
    exit_code: ExitCode


def conclude(facts: Facts, store_dir: StoreDir, now: float) -> Conclusion:
    """Say what the facts come to; ``now`` is in seconds since the epoch."""
    path = facts.subject.path
    name = store_dir.render(path) if path else str(facts.subject.hash_part)
    if (answer := facts.published_in) and answer.narinfo:
        return _of_published(answer.narinfo, facts, name)
    if facts.entry:
        return _of_entry(facts.entry, facts, name, store_dir, now)
    return _of_nothing(facts, name)


def _of_published(narinfo: NarInfo, facts: Facts, name: str) -> Conclusion:
    refused = facts.entry is not None and isinstance(facts.entry.progress, Refused)
    if facts.local and facts.local.nar_hash != narinfo.nar_hash:
        to_do = (
            "compare the two (diffoscope): the build is not reproducible, or one of them was tampered with. What is"
            " published stays."
        )
        return Conclusion("published-otherwise", to_do, ExitCode.REFUSED if refused else ExitCode.DONE)
    if refused:
        return Conclusion("published", f"`assay forget {name}`: it is published after all.", ExitCode.DONE)
    missing = [reference for reference in facts.references if reference.published is False]
    if missing:
        to_do = (
            f"`assay explain {missing[0].path.base_name}`: the path is published and what it refers to is not, so that"
            " clients cannot install it. Something was removed from the cache."
        )
        return Conclusion("published", to_do, ExitCode.DONE)
    return Conclusion("published", "nothing; clients can fetch it.", ExitCode.DONE)


def _of_nothing(facts: Facts, name: str) -> Conclusion:
    """Say what it comes to where it is neither published nor in the queue, as far as could be asked."""
    if facts.result and isinstance(facts.result.verdict, Rejected | Conflict):
        return Conclusion("rejected", f"mend what the service found, then `assay push {name}`.", ExitCode.REFUSED)
    if facts.result and isinstance(facts.result.verdict, Waiting | AwaitingQuorum):
        to_do = (
            "nothing here: it is not in this machine's queue, and the service still waits."
            f" `assay push {name}` follows it."
        )
        return Conclusion("under-way", to_do, ExitCode.TIMED_OUT)
    if facts.could_not_ask("cache", facts.cache_url or "cache", "queue", "local store"):
        return Conclusion(
            "unknown", "mend what could not be asked (`assay doctor` checks it), then ask again.", ExitCode.TROUBLE
        )
    if facts.known.concluded or facts.result:
        to_do = (
            f"`assay push {name}` if it is still wanted: it was published once, and the cache does not have it (any"
            " more). It was removed, or something between here and the cache remembers an old answer."
        )
        return Conclusion("gone", to_do, ExitCode.REFUSED)
    if facts.local:
        to_do = (
            f"`assay push {name}`. Nothing ever queued it: it was fetched or built before the hook was there, or the"
            " hook did not run (`assay doctor`)."
        )
        return Conclusion("not-queued", to_do, ExitCode.REFUSED)
    return Conclusion("not-known", "build it, with the hook in nix.conf; `assay doctor` checks that.", ExitCode.REFUSED)


def _of_entry(entry: Entry, facts: Facts, name: str, store_dir: StoreDir, now: float) -> Conclusion:
    match entry.progress:
        case Refused():
            return Conclusion("rejected", f"mend that, then `assay push {name}`.", ExitCode.REFUSED)
        case Queued(problem=problem):
            to_do = _start(facts)
            if problem:
                to_do = f"mend that (`assay doctor` checks the set-up); it is tried again by itself. {to_do}".rstrip()
            to_do = to_do or f"wait: `assay wait {name}`."
            return Conclusion("queued", to_do, ExitCode.TIMED_OUT)
        case Submitted() as submitted:
            to_do = _of_submitted(submitted, facts, store_dir, now)
            if any(_is_refused(reference) for reference in _waited_for(submitted, facts)):
                # As `assay wait` has it: nobody needs to wait for what will not come.
                return Conclusion("blocked", to_do, ExitCode.REFUSED)
            return Conclusion("submitted", to_do or f"wait: `assay wait {name}`.", ExitCode.TIMED_OUT)
    assert_never(entry.progress)


def _start(facts: Facts) -> str:
    if facts.owner is not None or facts.could_not_ask("queue"):
        return ""
    return "No uploader runs here: start the daemon, or run `assay upload --once`."


def _of_submitted(submitted: Submitted, facts: Facts, store_dir: StoreDir, now: float) -> str:
    said = [_of_waiting(reference, store_dir) for reference in _waited_for(submitted, facts)]
    if said:
        return " ".join(filter(None, dict.fromkeys([*said, _start(facts)])))
    if submitted.quorum:
        return "have another builder, of another trust group, build and submit it: its agreement is what is missing."
    if start := _start(facts):
        return start
    if now - submitted.since > SLOW_SECONDS:
        return (
            "tell the service's operator: verdicts take seconds. Or this builder may not read its results"
            " (`assay doctor`)."
        )
    return ""


def _waited_for(submitted: Submitted, facts: Facts) -> list[Reference]:
    waits_for = set(submitted.waits_for)
    return [reference for reference in facts.references if reference.path in waits_for]


def _is_refused(reference: Reference) -> bool:
    entry = reference.known.entry if reference.known else None
    return entry is not None and isinstance(entry.progress, Refused)


def _of_waiting(reference: Reference, store_dir: StoreDir) -> str:
    """Say what to do about a path that the service waits for."""
    name = store_dir.render(reference.path)
    entry = reference.known.entry if reference.known else None
    if entry:
        match entry.progress:
            case Refused():
                return f"it will wait for ever unless {name} is published: `assay explain {name}`."
            case Queued() | Submitted():
                return f"wait for {reference.path.base_name}, which is {entry.progress.state} here."
    if reference.published:
        return f"wait: {reference.path.base_name} is published by now, and the service is about to notice."
    if reference.here:
        return f"`assay push {name}`: it is here, and nothing has queued it."
    if reference.here is None or reference.published is None:
        return f"`assay explain {name}` once everything can be asked."
    return f"{name} is neither here nor published: build or fetch it and push it, or have its builder do so."


def as_text(facts: Facts, conclusion: Conclusion, store_dir: StoreDir, now: float) -> str:
    """Return lines for people; the last one says what to do."""
    path = facts.subject.path
    lines = [store_dir.render(path) if path else f"{facts.subject.hash_part} (nobody here knows its name)"]
    if path and not facts.could_not_ask("local store"):
        lines.append(_line("store", _of_local(facts)))
    if path and not facts.could_not_ask("queue"):
        lines.append(_line("queue", _of_queue(facts, now)))
    lines += [
        _line(
            "cache" if answer.url == facts.cache_url else "upstream",
            f"{without_password(answer.url)}: {_of_answer(answer, facts)}",
        )
        for answer in facts.answers
    ]
    if not facts.could_not_ask("ledger"):
        lines += [_line("service", said) for said in _of_result(facts, now)]
    lines += _of_references(facts)
    lines += [_line("not asked", f"{without_password(unasked.what)}: {unasked.why}") for unasked in facts.unasked]
    return "\n".join([*lines, f"What to do: {conclusion.to_do}"])


def _line(who: str, what: str) -> str:
    # One line each, whatever a server or a command has said.
    return f"  {who:<10} {' '.join(what.split())}"


def _of_local(facts: Facts) -> str:
    if not facts.local:
        return "not in the store of this machine"
    return f"valid on this machine: {facts.local.nar_hash}, {facts.local.nar_size} bytes"


def _of_queue(facts: Facts, now: float) -> str:
    entry, concluded = facts.entry, facts.known.concluded
    if entry:
        return f"{_of_progress(entry, now)} (built or pushed {_ago(now - entry.queued_at)})"
    if concluded:
        remark = f": {concluded.remark}" if concluded.remark else ""
        return f"left it {_ago(now - concluded.at)} as {concluded.outcome}{remark}"
    return "not in it"


def _of_progress(entry: Entry, now: float) -> str:
    match entry.progress:
        case Queued(problem=problem, cause=cause, tries=tries, next_attempt_at=next_attempt_at):
            if not problem:
                return "queued, not tried yet"
            when = "now" if next_attempt_at <= now else f"in {wording.of_age(next_attempt_at - now)}"
            times = f"{tries} {'try' if tries == 1 else 'tries'} in vain, next {when}"
            return f"queued, {times}; {_of_cause(cause)}{problem}"
        case Submitted() as submitted:
            nth = f", submission number {submitted.uploads}" if submitted.uploads > 1 else ""
            waits = ""
            if submitted.waits_for:
                waits = f"; waits for {', '.join(path.base_name for path in submitted.waits_for)}"
            elif submitted.quorum:
                waits = f"; {wording.of_quorum(submitted.quorum)}"
            return f"submitted {_ago(now - submitted.since)} as version {submitted.version_id}{nth}{waits}"
        case Refused(code=code, problem=problem, since=since):
            return f"rejected {_ago(now - since)} with {problem if problem.startswith(code) else f'{code}: {problem}'}"
    assert_never(entry.progress)


def _of_cause(cause: Cause | None) -> str:
    return f"{cause}: " if cause else ""


def _of_answer(answer: Answer, facts: Facts) -> str:
    narinfo = answer.narinfo
    if not narinfo:
        return "does not have it"
    if not facts.is_of_subject(answer):
        return f"has another path under this hash part: {narinfo.store_path.base_name}"
    signed = ", ".join(sorted({signature.key_name for signature in narinfo.signatures}))
    if not facts.local:
        same = f"NarHash {narinfo.nar_hash}"
    elif facts.local.nar_hash == narinfo.nar_hash:
        same = "the same NarHash as here"
    else:
        same = f"ANOTHER NarHash than here: {narinfo.nar_hash}"
    return f"has it, {same}, {f'signed by {signed}' if signed else 'without a signature'}"


def _of_result(facts: Facts, now: float) -> list[str]:
    result = facts.result
    if not result:
        return ["no verdict on a submission of this builder, or this builder may not read it"]
    submitted = facts.entry.progress if facts.entry and isinstance(facts.entry.progress, Submitted) else None
    version = result.version_id
    if submitted:
        version = "this submission" if version == submitted.version_id else f"another submission, version {version}"
    else:
        version = f"version {version}"
    said = [f"{_of_verdict(result.verdict)} ({_ago(now - result.at.timestamp())}, on {version})"]
    if dispute := wording.of_dispute(result):
        said.append(dispute)
    return said


def _of_verdict(verdict: Verdict) -> str:
    match verdict:
        case Published(signed_by=signed_by, warnings=warnings):
            warned = "".join(f"; warning {wording.of_warning(warning)}" for warning in warnings)
            return f"published, signed by {', '.join(signed_by)}{warned}"
        case Duplicate(upstream=upstream):
            return f"duplicate: {upstream or 'this cache'} had it already"
        case Waiting(missing=missing):
            return f"waiting for {', '.join(path.base_name for path in missing)}"
        case AwaitingQuorum() as quorum:
            return f"awaiting a quorum: {wording.of_quorum(quorum)}"
        case Conflict() as conflict:
            return wording.of_conflict(conflict)
        case Rejected() as rejected:
            return f"rejected with {wording.of_rejection(rejected)}"
    assert_never(verdict)


def _of_references(facts: Facts) -> list[str]:
    references = facts.references
    if not references:
        return []
    missing = [reference for reference in references if not reference.published]
    unknown = any(reference.published is None for reference in references)
    count = f"{len(references)} direct reference{'s' if len(references) > 1 else ''}"
    if not missing:
        return [_line("closure", f"{count}, all of them published")]
    state = "whether they are published could not be asked" if unknown else f"{len(missing)} not published"
    lines = [_line("closure", f"{count}, {state}:")]
    lines += [f"  {'':<10}   {_of_reference(reference)}" for reference in missing[:REFERENCES_AT_MOST]]
    if len(missing) > REFERENCES_AT_MOST:
        lines.append(f"  {'':<10}   and {len(missing) - REFERENCES_AT_MOST} more")
    return lines


def _of_reference(reference: Reference) -> str:
    here = {True: "on this machine", False: "not on this machine", None: ""}[reference.here]
    known = reference.known
    if known and known.entry:
        queue = f"{known.entry.progress.state} here"
    elif known and known.concluded:
        queue = f"left the queue as {known.concluded.outcome}"
    else:
        queue = "not queued" if known else ""
    return f"{reference.path.base_name}: {', '.join(filter(None, (here, queue))) or 'nothing could be asked'}"


def as_document(facts: Facts, conclusion: Conclusion, store_dir: StoreDir) -> dict[str, Any]:
    """Return all of it as plain data; times are in seconds since the epoch."""
    path, result, local = facts.subject.path, facts.result, facts.local
    return {
        "hashPart": facts.subject.hash_part,
        "storePath": store_dir.render(path) if path else None,
        "state": conclusion.state,
        "toDo": conclusion.to_do,
        "local": {"narHash": str(local.nar_hash), "narSize": local.nar_size} if local else None,
        "queue": {**facts.known.document(store_dir), "owner": facts.owner},
        "caches": [_answer_document(answer, facts) for answer in facts.answers],
        "result": {
            "versionId": result.version_id,
            "at": result.at.timestamp(),
            "verdict": result.verdict.kind.value,
            "said": _of_verdict(result.verdict),
            "disputedBy": [str(nar_hash) for nar_hash in result.disputed_by],
        }
        if result
        else None,
        "references": [
            {
                "storePath": store_dir.render(reference.path),
                "here": reference.here,
                "published": reference.published,
                "queue": reference.known.document(store_dir) if reference.known else None,
            }
            for reference in facts.references
        ],
        "notAsked": [{"what": without_password(unasked.what), "why": unasked.why} for unasked in facts.unasked],
    }


def _answer_document(answer: Answer, facts: Facts) -> dict[str, Any]:
    narinfo = answer.narinfo
    return {
        "url": without_password(answer.url),
        "storePath": facts_path if (facts_path := narinfo and narinfo.store_path.base_name) else None,
        "isIt": facts.is_of_subject(answer),
        "narHash": str(narinfo.nar_hash) if narinfo else None,
        "sameAsHere": facts.local.nar_hash == narinfo.nar_hash if narinfo and facts.local else None,
        "signedBy": [signature.key_name for signature in narinfo.signatures] if narinfo else [],
    }


def _ago(seconds: float) -> str:
    return f"{wording.of_age(seconds)} ago"
