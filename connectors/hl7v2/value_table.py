"""What OBX-5 becomes, as a table: examples of each form, read by the code that reads messages.

Owns the examples. Must not know the rules (`connectors.hl7v2.values`): what stands in the documentation is what they
give.
"""

from __future__ import annotations

from connectors.hl7v2.dialect import dialect_of
from connectors.hl7v2.values import UNSUPPORTED, Value, read_values

EXAMPLES: tuple[tuple[str, str, str], ...] = (
    ("NM", "36.6", "Cel"),
    ("NM", "<0.1", "mg/L"),
    ("NM", "7,2", "mmol/L"),
    ("NM", "1e3", ""),
    ("SN", ">^400", "ng/L"),
    ("SN", "<=^0.5", "mg/L"),
    ("SN", "^1^:^128", ""),
    ("SN", "^2^-^5", ""),
    ("SN", "^2^+", ""),
    ("SN", "<>^5", ""),
    ("ST", "72", "/min"),
    ("ST", "> 90", "%"),
    ("ST", "≥90", "%"),
    ("ST", "98%", "%"),
    ("ST", "98%", ""),
    ("ST", "5.0 H", "mmol/L"),
    ("ST", "1,5", "mmol/L"),
    ("ST", "90-100", "%"),
    ("ST", "120/80", "mm[Hg]"),
    ("ST", "1:5", ""),
    ("TX", "NEG", ""),
    ("FT", "see note", ""),
    ("ST", "..", ""),
    ("DT", "20260419", ""),
    ("TM", "1230", ""),
    ("TS", "20260419120000", ""),
    ("DTM", "202604191200", ""),
    ("CWE", "LA9340-6^Alert^LN", ""),
    ("CE", "^as dictated", ""),
    ("NA", "72", "/min"),
    ("NA", "72^73^74", "/min"),
    ("", "98", "%"),
    ("NUM", "98", "%"),
    ("XPN", "Doe^Jane", ""),
    ("CX", "4711", ""),
    ("XTN", "5551234", ""),
    ("ED", "^AP^PDF^Base64^JVBERi0", ""),
    ("NM", '""', ""),
    ("NM", "", ""),
)
"""OBX-2, OBX-5 and OBX-6."""


def value_table() -> str:
    """Write the table of the documentation.

    >>> value_table().splitlines()[2:4]
    ['| NM | `36.6` | `Cel` | 36.6 |', '| NM | `<0.1` | `mg/L` | < 0.1 |']
    """
    dialect = dialect_of("|^~\\&")
    lines = ["| OBX-2 | OBX-5 | OBX-6 | becomes |", "| --- | --- | --- | --- |"]
    for kind, field, unit in EXAMPLES:
        [value] = read_values(kind, field, dialect, unit)
        shown = [f"`{part}`" if part else "" for part in (field, unit)]
        lines.append(f"| {kind or '(empty)'} | {' | '.join(shown)} | {_said(value)} |")
    return "\n".join(lines)


def _said(value: Value) -> str:
    if value.value is not None:
        return f"{value.comparator} {value.value:g}".strip()
    if value.answers:
        return f"coded: {', '.join('|'.join(coding) for coding in value.answers)}".replace("|", "\\|")
    if value.text:
        return f"text: {value.text}"
    return "nothing is kept" if value == UNSUPPORTED else f"absent ({value.absent_reason})"
