"""A report's figures as tables, once for the terminal and the page.

Owns which tables there are, their columns and how long they may be. Must not know how a table is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stream.conformance.shape import CodeUse, Report, Tally

ROWS_SHORT = 15
"""Rows of a table on the terminal; the page and the JSON have all."""


class Shown(NamedTuple):
    """One table: the first column is words, what looks like a number is set to the right."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    remark: str = ""


def tables_of(report: Report) -> Iterator[Shown]:
    """Give the tables of a report in the order of reading; those without a row are left out.

    >>> from stream.conformance.survey import Survey
    >>> from stream.settings import Settings
    >>> [shown.title for shown in tables_of(Survey(Settings(), now=0).report(sources=1, skipped=0))]
    ['Messages', 'Inputs of NEWS2', 'Patients']
    """
    for shown in (
        _account(report),
        _faults(report),
        _senders(report),
        _tallies("Message types", report.kinds),
        _tallies("Types that hold nothing for us", report.ignored_kinds),
        _tallies("Types that are not for us: refused", report.foreign_kinds),
        _inputs(report),
        _mapped(report),
        _unmapped(report),
        _tallies("Answers that are not understood", report.unknown_answers),
        _people(report),
        _tallies("Assigning authorities", report.people.authorities),
        _tallies("Wards", report.people.wards),
        _tallies("Local times that only the configuration gives a zone", report.times.zoneless),
        _tallies("Events", report.events),
        _tallies("Statuses of results", report.statuses),
        _tallies("Oddities read by a declared rule", report.notes),
        _tallies("Versions (MSH-12)", report.versions),
        _tallies("Character sets (MSH-18)", report.charsets),
        _tallies("Segments", report.segments),
        _tallies("Fields and elements that are read", report.fields_read),
        _tallies("Fields and elements that are kept and not read", report.fields_unread),
    ):
        if shown.rows:
            yield shown


def _tallies(title: str, tallies: Sequence[Tally]) -> Shown:
    rows = [(tally.word or "(empty)", f"{tally.count:,}", tally.example) for tally in tallies]
    return Shown(title, ("what", "count", "first in"), rows)


def _account(report: Report) -> Shown:
    account = report.account
    rows = [
        ("messages", f"{account.messages:,}"),
        ("accepted", f"{account.accepted:,}"),
        ("  of them with nothing for us", f"{account.accepted_without_events:,}"),
        ("duplicates", f"{account.duplicates:,}"),
        ("refused", f"{account.refused:,}"),
    ]
    return Shown("Messages", ("what", "count"), rows, "Accepted, duplicates and refused are all of them.")


def _faults(report: Report) -> Shown:
    rows = [(fault.reason, fault.place, fault.detail, f"{fault.count:,}", fault.example) for fault in report.faults]
    return Shown("Refused, by cause", ("reason", "at", "because", "count", "first in"), rows)


def _senders(report: Report) -> Shown:
    rows = [
        (
            one.name, f"{one.messages:,}", f"{one.refused:,}", one.first_time[:16], one.last_time[:16],
            "" if one.per_hour is None else f"{one.per_hour:,}", f"{one.peak_per_minute:,}",
            f"{one.longest_silence_s / 3600:,.1f}", one.zone,
        )
        for one in report.senders
    ]  # fmt: skip
    columns = (
        "sender",
        "messages",
        "refused",
        "from",
        "to",
        "an hour",
        "a minute, at most",
        "silent h, at most",
        "zone",
    )
    return Shown("Senders", columns, rows)


def _inputs(report: Report) -> Shown:
    rows = [(one.name, f"{one.results:,}", f"{one.patients:,}", ", ".join(one.features)) for one in report.inputs]
    return Shown("Inputs of NEWS2", ("input", "usable results", "patients", "features"), rows)


def _mapped(report: Report) -> Shown:
    rows = [
        (
            f"{use.system}|{use.code}", use.name, use.feature, use.unit, use.unit_fault or "converted",
            f"{use.count:,}", f"{use.patients:,}", _fates(use), _spread(use),
        )
        for use in report.codes_mapped
    ]  # fmt: skip
    columns = ("code", "called", "feature", "unit", "its conversion", "results", "patients", "values", "5, 50, 95 %")
    return Shown("Codes that are mapped", columns, rows)


def _unmapped(report: Report) -> Shown:
    rows = [
        (
            f"{use.system}|{use.code}", use.name, use.unit, f"{use.count:,}", f"{use.patients:,}", _spread(use),
            "; ".join(_candidate(one.feature, one.loinc, one.likeness, one.reasons) for one in use.candidates),
        )
        for use in report.codes_unmapped
    ]  # fmt: skip
    columns = ("code", "called", "unit", "results", "patients", "5, 50, 95 %", "may be (to be confirmed)")
    remark = "A candidate is a likeness of names and units, never applied: somebody who knows the sender confirms it."
    return Shown("Codes that are mapped to nothing", columns, rows, remark)


def _candidate(feature: str, loinc: str, likeness: float, reasons: tuple[str, ...]) -> str:
    named = f"{feature} (LOINC {loinc})" if loinc else feature
    return f"{named} {likeness:.2f} by {', '.join(reasons)}"


def _fates(use: CodeUse) -> str:
    return ", ".join(f"{count:,} {fate}" for fate, count in use.fates)


def _spread(use: CodeUse) -> str:
    if use.low is None or use.middle is None or use.high is None:
        return ""
    return f"{use.low:g}, {use.middle:g}, {use.high:g}"


def _people(report: Report) -> Shown:
    people, times = report.people, report.times
    rows = [
        ("patients", f"{people.patients:,}"),
        ("with a usable result", f"{people.observed:,}"),
        ("  of them on no known ward", f"{people.observed_without_ward:,}"),
        ("  of them in no known bed", f"{people.observed_without_bed:,}"),
        ("  of them never admitted in the sample", f"{people.never_admitted:,}"),
        ("without a birth date", f"{people.without_birth_date:,}"),
        ("beds", f"{people.beds:,}"),
        ("messages whose identifiers disagree", f"{people.conflicts:,}"),
    ]
    if times.delay_s_p50 is not None and times.delay_s_p95 is not None:
        rows.append(("minutes from result to message, half", f"{times.delay_s_p50 / 60:,.1f}"))
        rows.append(("minutes from result to message, 95 of 100", f"{times.delay_s_p95 / 60:,.1f}"))
    return Shown("Patients", ("what", "count"), rows)
