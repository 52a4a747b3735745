"""Render ER7: ADT and ORU^R01 messages from plain inputs, for the simulated hospital and the importers.

Owns the layout of the messages we send and the escaping of what goes into them. Must not know where the bytes go, nor
any clock: every time is given. What is rendered here decodes to what was put in (a law of the tests): identifiers,
codes, values, units and times come back unchanged, times to the millisecond.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Literal

import msgspec

from connectors.decoded import Identifier
from connectors.hl7v2.delimiters import escape as escape_all
from events import MILLIS_PER_SECOND, Coding, Location, Millis, to_iso

VERSION = "2.5.1"
"""MSH-12 of what we render: the version most feeds speak, and the first with EVN-6, SPM and CWE together."""
TEXT_CHARS_MAX = 199
"""ST holds at most 199 characters (chapter 2A); a longer text is sent as TX."""

SYSTEM_NAMES = {"loinc": "LN", "mdc": "MDC", "snomed": "SCT", "ucum": "UCUM"}
"""HL7 table 0396 names of our coding systems; any other is sent as it is."""
SEX_CODES = {"male": "M", "female": "F", "other": "O", "unknown": "U"}
"""HL7 table 0001."""

LINES_REMEMBERED_MAX = 8_192
"""PID and PV1 lines kept, each: the inpatients of a large hospital; at ~250 bytes a line some 2 MB."""
RESULTS_REMEMBERED_MAX = 16_384
"""OBX lines of numbers and codes kept: whole vital signs at their places in a set are some thousands; some 4 MB."""
DAYS_REMEMBERED_MAX = 1_024
"""Days kept as text; a feed speaks of few at a time."""
SECONDS_PER_DAY = 86_400
SIMPLE_BELOW = 1e15
"""A float below this writes itself without an exponent if it is whole."""

_NO_LOCATION = Location()
_special = re.compile(r'[\x00-\x1f\x7f|^~\\&"]').search
_MINUTES = tuple(f"{hour:02d}{minute:02d}" for hour in range(24) for minute in range(60))
_SECONDS = tuple(f"{second:02d}+0000" for second in range(60))


def escape(text: str) -> str:
    """Escape as `delimiters.escape` does; most texts hold nothing to escape, and that is seen sooner."""
    return escape_all(text) if _special(text) else text


class Result(msgspec.Struct, frozen=True, gc=False):
    """One OBX to be rendered.

    `value` is a number (NM), a text (ST or TX), a coding (CWE) or None (an empty OBX-5). `event_time` None leaves
    OBX-14 empty, so that OBR-7 holds. `status` is OBX-11 (HL7 table 0085).

    >>> Result(code="8867-4", system="loinc", value=72.0, unit="/min").status
    'F'
    """

    code: str
    system: str = "loinc"
    label: str = ""
    value: float | str | Coding | None = None
    unit: str = ""
    event_time: Millis | None = None
    status: Literal["F", "P", "R", "I", "C", "D", "W", "X"] = "F"
    sub_id: str = ""


def render_time(instant: Millis) -> str:
    """Write an instant as HL7 TS in UTC, with milliseconds only where there are any.

    >>> render_time(0), render_time(1_500)
    ('19700101000000+0000', '19700101000001.500+0000')
    """
    seconds, millis = divmod(instant, MILLIS_PER_SECOND)
    day, second = divmod(seconds, SECONDS_PER_DAY)
    minute, second = divmod(second, 60)
    if millis:
        return f"{_day(day)}{_MINUTES[minute]}{second:02d}.{millis:03d}+0000"
    return _day(day) + _MINUTES[minute] + _SECONDS[second]


@lru_cache(maxsize=DAYS_REMEMBERED_MAX)
def _day(number: int) -> str:
    return to_iso(number * SECONDS_PER_DAY * MILLIS_PER_SECOND)[:10].replace("-", "")


def render_number(value: float) -> str:
    """Write a number as HL7 NM: the shortest decimal that reads back as the same float, without an exponent.

    Raises `ValueError` for NaN and infinities: NM has no words for them.

    >>> render_number(72.0), render_number(36.6), render_number(1e-05)
    ('72', '36.6', '0.00001')
    """
    if not math.isfinite(value):
        raise ValueError("NM holds finite numbers only")
    if 1.0 <= value < SIMPLE_BELOW:
        return repr(float(value)).removesuffix(".0")
    text = f"{Decimal(repr(float(value))):f}"
    return text.removesuffix(".0")


def render_adt(  # noqa: PLR0913 - the fields of a message are what they are
    trigger: str,
    *,
    control_id: str,
    sent_time: int,
    feed: str,
    patient: Identifier,
    event_time: int,
    encounter: str = "",
    location: Location = _NO_LOCATION,
    birth_date: str | None = None,
    sex: str | None = None,
    deceased: bool | None = None,
    disposition: str = "",
    patient_class: str = "I",
    retired: Identifier | None = None,
    other: Identifier | None = None,
    name: str = "",
) -> bytes:
    """Render an ADT message: `trigger` is one of `connectors.hl7v2.adt.TRIGGERS`.

    `feed` is `MSH-3|MSH-4`; `event_time` (milliseconds) goes to EVN-6, and to PV1-44 of an admission or PV1-45 of a
    discharge; `retired` is MRG-1 of an A34, A40 or A45; `other` is A37's second PID.

    >>> print(render_adt("A08", control_id="1", sent_time=0, feed="SIM|HOSP", patient=Identifier("H", "7"),
    ...                  event_time=0, sex="male").decode().split(chr(13))[2])
    PID|1||7^^^H^MR|||||M||||||||||||||||||||||
    """
    moment = render_time(event_time)
    segments = [
        _header(("ADT", trigger), control_id, sent_time, feed),
        f"EVN|{escape(trigger)}|{render_time(sent_time)}||||{moment}",
        _patient(patient, birth_date, sex, deceased, name),
    ]
    if retired is not None:
        segments.append(f"MRG|{_identifier(retired)}")
    segments.append(
        _visit(
            encounter,
            location,
            patient_class,
            disposition,
            moment if trigger in {"A01", "A04"} else "",
            moment if trigger == "A03" else "",
        )
    )
    if other is not None:
        segments.append(_patient(other, None, None, None, ""))
    return _message(segments)


def render_oru(  # noqa: PLR0913 - the fields of a message are what they are
    *,
    control_id: str,
    sent_time: int,
    feed: str,
    patient: Identifier,
    encounter: str,
    location: Location,
    observed_time: int,
    order: str,
    results: Sequence[Result],
    panel: str = "",
    patient_class: str = "I",
    birth_date: str | None = None,
    sex: str | None = None,
    name: str = "",
) -> bytes:
    """Render an ORU^R01 with one OBR: `order` is the filler order number (OBR-3), `panel` its code (OBR-4).

    `observed_time` (milliseconds) is OBR-7 and holds for each result that names no time of its own.

    >>> print(render_oru(control_id="1", sent_time=0, feed="SIM|HOSP", patient=Identifier("H", "7"), encounter="V",
    ...     location=Location(ward="W"), observed_time=0, order="O1",
    ...     results=[Result("8867-4", value=72.0, unit="/min")]).decode().split(chr(13))[4])
    OBX|1|NM|8867-4^^LN||72|/min|||||F
    """
    segments = [
        _header(("ORU", "R01"), control_id, sent_time, feed),
        _patient(patient, birth_date, sex, None, name),
        _visit(encounter, location, patient_class, "", "", ""),
        f"OBR|1||{escape(order)}|{escape(panel)}|||{render_time(observed_time)}||||||||||||||||||F",
    ]
    segments += [_result(number, result) for number, result in enumerate(results, start=1)]
    return _message(segments)


def _message(segments: list[str]) -> bytes:
    return ("\r".join(segments) + "\r").encode("utf-8")


def _header(kind: tuple[str, str], control_id: str, sent_time: Millis, feed: str) -> str:
    before, after = _header_parts(kind, feed)
    return f"{before}{render_time(sent_time)}{after}{escape(control_id)}|P|{VERSION}||||||UNICODE UTF-8"


@lru_cache(maxsize=LINES_REMEMBERED_MAX)
def _header_parts(kind: tuple[str, str], feed: str) -> tuple[str, str]:
    application, _, facility = feed.partition("|")
    return f"MSH|^~\\&|{escape(application)}|{escape(facility)}|||", f"||{escape(kind[0])}^{escape(kind[1])}|"


@lru_cache(maxsize=LINES_REMEMBERED_MAX)
def _patient(
    patient: Identifier,
    birth_date: str | None,
    sex: str | None,
    deceased: bool | None,  # noqa: FBT001 - by place, for the look-up's sake
    name: str,
) -> str:
    born = (birth_date or "").replace("-", "")
    death = "" if deceased is None else "Y" if deceased else "N"
    fields = [""] * 31
    fields[0], fields[1], fields[3] = "PID", "1", _identifier(patient)
    fields[5], fields[7], fields[8], fields[30] = escape(name), escape(born), SEX_CODES.get(sex or "", ""), death
    return "|".join(fields)


def _identifier(identifier: Identifier) -> str:
    return f"{escape(identifier.value)}^^^{escape(identifier.authority)}^MR"


@lru_cache(maxsize=LINES_REMEMBERED_MAX)
def _visit(
    encounter: str, location: Location, patient_class: str, disposition: str, admitted: str, discharged: str
) -> str:
    place = "^".join([escape(part) for part in (location.ward, location.room, location.bed, location.facility)])
    fields = [""] * 46
    fields[0], fields[1], fields[2], fields[3] = "PV1", "1", escape(patient_class), place.rstrip("^")
    fields[19], fields[36], fields[44], fields[45] = escape(encounter), escape(disposition), admitted, discharged
    return "|".join(fields).rstrip("|")


def _result(number: int, result: Result) -> str:
    # A text may be long and comes once; 0.0 and -0.0 are equal, but not written alike.
    if result.event_time is None and result.value and not isinstance(result.value, str):
        return _remembered_result(number, result)
    return _write_result(number, result)


def _write_result(number: int, result: Result) -> str:
    kind, value = _value(result.value)
    system = SYSTEM_NAMES.get(result.system, result.system)
    code = f"{escape(result.code)}^{escape(result.label)}^{escape(system)}"
    line = f"OBX|{number}|{kind}|{code}|{escape(result.sub_id)}|{value}|{escape(result.unit)}|||||{result.status}"
    return line if result.event_time is None else f"{line}|||{render_time(result.event_time)}"


_remembered_result = lru_cache(maxsize=RESULTS_REMEMBERED_MAX)(_write_result)


def _value(value: float | str | Coding | None) -> tuple[str, str]:
    """Give OBX-2 and OBX-5."""
    if value is None:
        return "NM", ""
    if isinstance(value, str):
        return ("ST" if len(value) <= TEXT_CHARS_MAX else "TX"), escape(value)
    if isinstance(value, tuple):
        system, code = value
        return "CWE", f"{escape(code)}^^{escape(SYSTEM_NAMES.get(system, system))}"
    return "NM", render_number(value)
