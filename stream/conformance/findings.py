"""From figures to findings: what must be mended before go-live, what should be looked at, what is good to know.

Owns the rules and their thresholds. Must not know how anything is counted. Each finding says what to do, in one line,
to somebody who runs an integration engine and has never read our code.
"""

from __future__ import annotations

from collections.abc import Iterator

from models.news2 import SOURCES
from stream.conformance.advice import NOTES
from stream.conformance.shape import CodeUse, Fault, Finding, Report, Severity, Verdict
from stream.conformance.traffic import GENERAL_ZONE
from stream.settings import Settings

SHARE_MUST = 0.01
"""A cause that refuses one message in a hundred, of those that are for us, is a fault of the feed and no accident."""
IMPOSSIBLE_MUST = 0.01
"""So many impossible values of a code in one unit are another unit than is said."""
FUTURE_MUST = 0.001
EMPTY_SHARE = 0.5
DUPLICATES_SHARE = 0.05
DELAY_S_SHOULD = 2 * 3600.0
"""Half of the results later than two hours: NEWS2 then tells of the past."""
LISTED_MAX = 5
"""Codes named in one line of a finding; the report's tables have all."""
_NOT_FOR_US = "unsupported_message_type"
_NEWS2_FEATURES = frozenset(feature for features in SOURCES.values() for feature in features)
_ORDER: dict[Severity, int] = {"must": 0, "should": 1, "note": 2}


def findings_of(report: Report, settings: Settings) -> list[Finding]:
    """Give what is found in a report's figures, the most serious first."""
    rules = (
        _account,
        _faults,
        _times,
        _zones,
        _units,
        _inputs,
        _codes,
        _answers,
        _people,
        _identifiers,
        _sending,
        _notes,
    )
    found = [finding for rule in rules for finding in rule(report, settings)]
    return sorted(found, key=lambda finding: _ORDER[finding.severity])


def many(count: int, what: str, plural: str = "") -> str:
    """Say how many of something.

    >>> many(1, "message"), many(1200, "message"), many(2, "value is", "values are")
    ('1 message', '1,200 messages', '2 values are')
    """
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def verdict_of(findings: tuple[Finding, ...]) -> Verdict:
    """Give the verdict: the most serious finding decides.

    >>> verdict_of(())
    'ready'
    """
    severities = {finding.severity for finding in findings}
    if "must" in severities:
        return "not_ready"
    return "ready_with_findings" if "should" in severities else "ready"


def _account(report: Report, _settings: Settings) -> Iterator[Finding]:
    account = report.account
    if not account.messages:
        yield Finding("must", "no_messages", "the sample holds no message", "give files that hold some")
    elif not account.accepted:
        yield Finding(
            "must", "nothing_accepted", "no message of the sample can be used", "mend the causes below", account.refused
        )
    if account.messages and account.duplicates / account.messages > DUPLICATES_SHARE:
        yield Finding(
            "note", "duplicates", f"{many(account.duplicates, 'message')} came before, byte for byte: no harm",
            "see whether the engine sends everything twice", account.duplicates,
        )  # fmt: skip
    if report.skipped:
        yield Finding(
            "note", "files_left_out", f"{many(report.skipped, 'file is', 'files are')} of no kind that is read",
            "name message files .hl7, .json or .ndjson", report.skipped,
        )  # fmt: skip


def _faults(report: Report, _settings: Settings) -> Iterator[Finding]:
    foreign = sum(fault.count for fault in report.faults if fault.reason == _NOT_FOR_US)
    ours = max(1, report.account.messages - foreign)
    for fault in report.faults:
        if fault.reason == _NOT_FOR_US:
            continue
        severity: Severity = "must" if fault.count / ours >= SHARE_MUST else "should"
        yield Finding(severity, f"refused.{fault.reason}", _refusal(fault), fault.action, fault.count, fault.example)
    if foreign:
        more = ", …" if len(report.foreign_kinds) > LISTED_MAX else ""
        kinds = ", ".join(tally.word for tally in report.foreign_kinds[:LISTED_MAX]) + more
        yield Finding(
            "note", "types_not_for_us", f"{many(foreign, 'message')} of types not for us: refused ({kinds})",
            "filter them out at the engine, or have it take AR for them as final", foreign,
        )  # fmt: skip


def _refusal(fault: Fault) -> str:
    return f"{many(fault.count, 'message')} refused: {fault.reason} at {fault.place} ({fault.detail})"


def _times(report: Report, _settings: Settings) -> Iterator[Finding]:
    times = report.times
    results = sum(tally.count for tally in report.statuses)
    if times.future:
        severity: Severity = "must" if times.future / max(1, results) >= FUTURE_MUST else "should"
        yield Finding(
            severity, "results_ahead", f"{many(times.future, 'result')} dated after the message itself: quarantined",
            "check the zone of the sender and its clock", times.future, times.future_example,
        )  # fmt: skip
    if times.ahead:
        yield Finding(
            "must", "messages_ahead", f"{many(times.ahead, 'message')} dated after now",
            "check the zone of the sender and its clock", times.ahead, times.ahead_example,
        )  # fmt: skip
    if times.untimed:
        yield Finding(
            "should", "messages_untimed", f"{many(times.untimed, 'message')} without a time of sending",
            "fill MSH-7 (HL7), or issued or meta.lastUpdated (FHIR)", times.untimed,
        )  # fmt: skip
    if times.delay_s_p50 is not None and times.delay_s_p50 > DELAY_S_SHOULD:
        yield Finding(
            "should", "results_late", f"half of the results are older than {times.delay_s_p50 / 3600:.0f} h when sent",
            "send results as they are charted, not by the shift",
        )  # fmt: skip


def _zones(report: Report, settings: Settings) -> Iterator[Finding]:
    senders = [sender for sender in report.senders if sender.zone == GENERAL_ZONE]
    if not senders:
        return
    general = settings.hl7.zone
    fields = ", ".join(tally.word for tally in report.times.zoneless[:LISTED_MAX])
    named = ", ".join(sender.name for sender in senders[:LISTED_MAX]) + (", …" if len(senders) > LISTED_MAX else "")
    yield Finding(
        "must" if general == "UTC" else "note", "no_zone",
        f"local times without a zone ({fields}) are read as {general}; by {many(len(senders), 'sender')}: {named}",
        f'say the zone of each, UTC too: [hl7.zones] "{senders[0].name}" = "Europe/London"',
        sum(sender.messages for sender in senders), report.times.zoneless[0].example if report.times.zoneless else "",
    )  # fmt: skip


def _units(report: Report, _settings: Settings) -> Iterator[Finding]:
    for use in report.codes_mapped:
        fates = dict(use.fates)
        where = f"{_code(use)} ({use.feature})"
        faulty = fates.get(use.unit_fault, 0) if use.unit_fault else 0
        if faulty:
            told = f"in {use.unit!r}" if use.unit else "without a unit"
            yield Finding(
                "must", f"unit.{use.unit_fault}", f"{many(faulty, 'value')} of {where} {told}: quarantined",
                "send a UCUM unit of the same kind; a spelling that is right and not known: ask for it to be added",
                faulty, use.example,
            )  # fmt: skip
        impossible = fates.get("impossible_value", 0)
        if impossible:
            severity: Severity = "must" if impossible / use.count >= IMPOSSIBLE_MUST else "should"
            yield Finding(
                severity, "impossible_values",
                f"{impossible:,} of {use.count:,} values of {where} cannot be in {use.unit!r}",
                "check unit and scale at the sender; single ones are artefacts, and are quarantined", impossible,
                use.example,
            )  # fmt: skip
        empty = fates.get("absent", 0)
        if empty / use.count >= EMPTY_SHARE:
            yield Finding(
                "should", "empty_values", f"{empty:,} of {use.count:,} values of {where} are empty or said absent",
                "see whether the sender means to send them", empty, use.example,
            )  # fmt: skip
        words = fates.get("not_a_number", 0)
        if words:
            yield Finding(
                "should", "not_a_number", f"{words:,} of {use.count:,} values of {where} are no numbers",
                "send NM with a plain number (a comparator as SN); words are quarantined", words, use.example,
            )  # fmt: skip


def _inputs(report: Report, _settings: Settings) -> Iterator[Finding]:
    absent = [one.name for one in report.inputs if not one.results]
    if len(absent) == len(report.inputs):
        yield Finding(
            "note", "no_vitals", "no vital sign of this sample is usable: by itself it gives no NEWS2",
            "if it should carry some, see the codes that are mapped to nothing",
        )  # fmt: skip
    elif absent:
        yield Finding(
            "should", "news2_partial", f"NEWS2 is partial by this feed: nothing usable of {', '.join(absent)}",
            "send them, map their codes, or see that another feed brings them",
        )  # fmt: skip


def _codes(report: Report, _settings: Settings) -> Iterator[Finding]:
    if not report.codes_unmapped:
        return
    absent = {name for one in report.inputs if not one.results for name in one.features}
    vital = [use for use in report.codes_unmapped if use.candidates and use.candidates[0].feature in _NEWS2_FEATURES]
    wanted = [use for use in vital if use.candidates[0].feature in absent]
    for severity, name, uses in (("must", "news2_codes", wanted), ("should", "vital_codes", _without(vital, wanted))):
        if uses:
            named = ", ".join(f"{_code(use)} (as {use.candidates[0].feature}?)" for use in uses[:LISTED_MAX])
            yield Finding(
                "must" if severity == "must" else "should", f"unmapped.{name}",
                f"{many(len(uses), 'code')} like inputs of NEWS2, mapped to nothing: {named}",
                "have somebody who knows the sender's table confirm each: `wardstream codes suggest` writes the list",
                sum(use.count for use in uses), uses[0].example,
            )  # fmt: skip
    others = _without(list(report.codes_unmapped), vital)
    if others:
        named = ", ".join(_code(use) for use in others[:LISTED_MAX])
        yield Finding(
            "note", "unmapped.others", f"{many(len(others), 'other code')} mapped to nothing: {named}",
            "map those that the catalogue has; the rest is counted and not used",
            sum(use.count for use in others), others[0].example,
        )  # fmt: skip


def _without(uses: list[CodeUse], left_out: list[CodeUse]) -> list[CodeUse]:
    return [use for use in uses if use not in left_out]


def _code(use: CodeUse) -> str:
    return f"{use.system or 'local'}|{use.code}" + (f" {use.name}" if use.name and use.name != use.code else "")


def _answers(report: Report, _settings: Settings) -> Iterator[Finding]:
    total = sum(tally.count for tally in report.unknown_answers)
    if total:
        named = ", ".join(tally.word for tally in report.unknown_answers[:LISTED_MAX])
        yield Finding(
            "must", "unknown_answers", f"{many(total, 'answer')} not understood: {named}",
            "send the answers of docs/catalogue.md (ACVPU, air or oxygen)", total, report.unknown_answers[0].example,
        )  # fmt: skip


def _people(report: Report, _settings: Settings) -> Iterator[Finding]:
    people = report.people
    if people.observed_without_ward:
        yield Finding(
            "must", "patients_without_ward",
            f"{people.observed_without_ward:,} of {people.observed:,} observed patients lie on no ward that is known",
            "send PV1-3 with results, the ADT feed with them, or a census first: their alerts go to the catch-all",
            people.observed_without_ward, people.example_without_ward,
        )  # fmt: skip
    if (without := people.observed_without_bed - people.observed_without_ward) > 0:
        yield Finding(
            "note", "patients_without_bed", f"{many(without, 'observed patient')} with a ward and no bed",
            "fill PV1-3.3 if beds are wanted on the board", without,
        )  # fmt: skip
    if people.patients and people.without_birth_date:
        yield Finding(
            "should", "no_birth_date",
            f"{people.without_birth_date:,} of {people.patients:,} patients have no birth date",
            "fill PID-7, or Patient.birthDate: unknown age counts as adult, and NEWS2 is not for children",
            people.without_birth_date,
        )  # fmt: skip
    if people.conflicts:
        yield Finding(
            "must", "identity_conflicts",
            f"{many(people.conflicts, 'message')} with identifiers that belong to two patients",
            "check PID-3: visit or account numbers among patient numbers, or a merge (A40) that is not sent",
            people.conflicts,
        )  # fmt: skip


def _identifiers(report: Report, _settings: Settings) -> Iterator[Finding]:
    people = report.people
    if people.unnamed_authority:
        yield Finding(
            "should", "no_authority",
            f"{many(people.unnamed_authority, 'message')} with a number without its assigning authority (PID-3.4)",
            "fill PID-3.4, or set [hl7.authorities] for the sender: two senders' equal numbers are two patients else",
            people.unnamed_authority, people.unnamed_example,
        )  # fmt: skip


def _sending(report: Report, _settings: Settings) -> Iterator[Finding]:
    if report.repeated_control_ids:
        yield Finding(
            "should", "control_ids_reused",
            f"{many(report.repeated_control_ids, 'message')} with a control id (MSH-10) that stood on another one",
            "give each message its own: an acknowledgement is matched by it", report.repeated_control_ids,
            report.repeated_example,
        )  # fmt: skip


def _notes(report: Report, _settings: Settings) -> Iterator[Finding]:
    for tally in report.notes:
        severity, meaning, action = NOTES.get(tally.word, ("note", tally.word, "see docs/decisions/0010 and 0011"))
        title = f"{many(tally.count, 'message')}: {meaning}"
        yield Finding(severity, f"note.{tally.word}", title, action, tally.count, tally.example)
