"""OBX-5: what was measured or charted, by the type that OBX-2 names.

Owns the reading of numbers, structured numerics, coded answers and text. Must not know codes, units or times. A value
that is not what its type promises never costs the message: it is kept as text with `value` None, and the fold
quarantines it.
"""

from __future__ import annotations

import math

import msgspec

from connectors.hl7v2.dialect import Dialect
from connectors.hl7v2.memo import Memo
from events import Coding
from events.clinical import Comparator

TEXT_CHARS_MAX = 200
"""The vocabulary keeps at most this much of a textual value."""
NUMBER_CHARS_MAX = 32
"""A longer run of digits is no measurement."""
NUMBERS_MAX = 16_384
"""Numbers remembered: vital signs and laboratory values to their charted precision repeat all day."""

NUMERIC = frozenset({"NM", ""})
TIMED = frozenset({"TS", "DT", "TM", "DTM"})
"""Dates and times: text, for 1230 is half past twelve."""
TEXTUAL = frozenset({"ST", "TX", "FT"}) | TIMED
CODED = frozenset({"CE", "CWE", "CNE", "CF", "ID", "IS"})
ENCAPSULATED = frozenset({"ED", "RP", "MA", "CD"})
"""Documents, references and waveforms: not for us, and never quoted."""
OF_PEOPLE = frozenset({"CX", "CK", "EI", "TN", "XTN", "XPN", "PN", "XCN", "CN", "PPN", "XAD", "AD", "XON"})
"""Who somebody is, and how he is reached: its digits are a record's or a telephone's, and no measurement."""
READ = NUMERIC | TEXTUAL | CODED | {"SN", "NA"}
"""OBX-2 with a rule of its own. Of any other a plain number is one, and nothing else is kept: it may be a name."""

_COMPARATORS: dict[str, Comparator] = {
    "": "",
    "=": "",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "≤": "<=",
    "≥": ">=",
}


class Value(msgspec.Struct, frozen=True, gc=False):
    """One repetition of OBX-5, in the words of `events.Observation`."""

    value: float | None = None
    comparator: Comparator = ""
    answers: tuple[Coding, ...] = ()
    text: str = ""
    absent_reason: str = ""


EMPTY = Value(absent_reason="unknown")
NULL = Value(absent_reason="null")
UNSUPPORTED = Value(absent_reason="unsupported")


def read_number(text: str) -> float | None:
    """Read HL7 NM: sign, digits, a point; no exponent, no comma, no `nan`. None where the text is no such number.

    >>> read_number(" 36.6 "), read_number("1e3"), read_number("7,2"), read_number("nan")
    (36.6, None, None, None)
    """
    plain = text.strip()
    unsigned = plain[1:] if plain[:1] in {"+", "-"} else plain
    digits = unsigned.replace(".", "", 1)
    if len(plain) > NUMBER_CHARS_MAX or not digits.isascii() or not digits.isdigit():
        return None
    number = float(plain)
    return number if math.isfinite(number) else None


numbers: Memo[float | None] = Memo(read_number, limit=NUMBERS_MAX)


def read_values(kind: str, field: str, dialect: Dialect, unit: str = "") -> list[Value]:
    r"""Read OBX-5 of type `kind`: one value a repetition, but the lines of a text together as one.

    `unit` is OBX-6: a number that repeats it ("98%") is one.

    >>> from connectors.hl7v2.dialect import dialect_of
    >>> [value] = read_values("SN", ">^90", dialect_of("|^~\\&"))
    >>> value.comparator, value.value
    ('>', 90.0)
    """
    if kind in ENCAPSULATED or kind in OF_PEOPLE:
        return [UNSUPPORTED]
    mark = dialect.delimiters.repetition
    if kind == "NA" and mark in field:
        return [UNSUPPORTED]
    if mark not in field:
        return [_read_value(kind, field, dialect, unit)]
    values = [_read_value(kind, part, dialect, unit) for part in field.split(mark)]
    if kind in TEXTUAL and all(value.value is None for value in values):
        return [Value(text="\n".join([value.text for value in values if value.text])[:TEXT_CHARS_MAX])]
    return [value for value in values if value is not EMPTY] or [EMPTY]


def _read_value(  # noqa: PLR0911 - one return a form, read from top to bottom
    kind: str, field: str, dialect: Dialect, unit: str
) -> Value:
    plain = field.strip()
    if not plain:
        return EMPTY
    if plain == '""':
        return NULL
    if kind in CODED:
        return _read_coded(plain, dialect)
    if kind == "SN" and dialect.delimiters.component in plain:
        return _read_structured(plain, dialect)
    text = dialect.leaf(plain)
    if kind in TIMED:
        return Value(text=text[:TEXT_CHARS_MAX])
    number = numbers[text]
    if number is not None:
        return Value(value=number)
    return _read_text(text, unit) if kind in READ and kind != "NA" else UNSUPPORTED


def _read_text(text: str, unit: str) -> Value:
    """Read `<0.1`, `>= 90`, `98%` where OBX-6 says `%`, and the like; any other text stays text."""
    compared = _read_compared(text)
    if compared is None and unit and not unit[0].isdigit() and text.endswith(unit):
        bare = text.removesuffix(unit).rstrip()
        number = numbers[bare]
        compared = _read_compared(bare) if number is None else Value(value=number)
    return Value(text=text[:TEXT_CHARS_MAX]) if compared is None else compared


def _read_compared(text: str) -> Value | None:
    for length in (2, 1):
        comparator = _COMPARATORS.get(text[:length])
        if comparator is not None and len(text) > length:
            number = numbers[text[length:]]
            if number is not None:
                return Value(value=number, comparator=comparator)
    return None


def _read_structured(field: str, dialect: Dialect) -> Value:
    """Read SN: comparator, number, separator, number. A range or ratio (`^100^-^200`) is no one value: kept as text."""
    parts = [dialect.leaf(part) for part in field.split(dialect.delimiters.component)]
    if not any(parts):
        return EMPTY
    comparator = _COMPARATORS.get(parts[0])
    number = numbers[parts[1]]
    if comparator is None or number is None or any(parts[2:]):
        return Value(text="".join(parts)[:TEXT_CHARS_MAX])
    return Value(value=number, comparator=comparator)


def _read_coded(field: str, dialect: Dialect) -> Value:
    """Read CE, CWE, CNE: all codings, and the best text there is (component 2, else 9, else 5, else the code)."""
    parts = [dialect.leaf(part) for part in field.split(dialect.delimiters.component)]
    parts += [""] * (9 - len(parts))
    text = parts[1] or parts[8] or parts[4] or parts[0]
    return Value(answers=dialect.codings(field), text=text[:TEXT_CHARS_MAX])
