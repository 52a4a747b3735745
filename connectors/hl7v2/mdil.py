"""MDIL: the codes of Philips' monitors, which are MDC's numbers written as two hexadecimal halves.

Owns the way from `0002-4bb8` to MDC 150456. Must not know fields, features or units. The form is that of Philips' HL7
and data export guides: the partition (0002 is what is measured, 0004 a unit), a dash, and the term code, four
hexadecimal digits each. Terms from F000 on are a vendor's own, as are other partitions (0401, 0402): they are no
number of the standard, and mean nothing until a site says so (`[codes]`).
"""

from __future__ import annotations

import re

MDIL = "MDIL"
"""OBX-3.3 of such a code."""
OWN_TERMS = {"4822": "149530", "5000": "151562"}
"""Terms by which Philips means another of the standard's: pulse by the plethysmogram (MDC_PULS_OXIM_PULS_RATE), and the
respiration rate that its monitors call Resp (MDC_RESP_RATE), beside 500a that they call RR."""

_MEASURED = re.compile(r"0002-([0-9a-e][0-9a-f]{3})", re.IGNORECASE)
_PARTITION = 2 << 16


def mdc_number(code: str) -> str:
    """Give the MDC number of an MDIL code; empty where it has none.

    >>> [mdc_number(code) for code in ("0002-4bb8", "0002-4BB8", "0002-5000", "0002-f0c7", "0401-0b54", "4bb8")]
    ['150456', '150456', '151562', '', '', '']
    """
    match = _MEASURED.fullmatch(code)
    if match is None:
        return ""
    term = match[1].lower()
    return OWN_TERMS.get(term) or str(_PARTITION + int(term, 16))
