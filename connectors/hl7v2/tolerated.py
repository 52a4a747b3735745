"""Message types that a site lets pass: orders, which engines send along and whose results come as ORU.

Owns what such a message is to us: accepted, counted by its type, and no event. Must not know who counts. Nothing but
its header is read, so that nobody is made known by it; its bytes are kept where a host keeps a message's bytes.
"""

from __future__ import annotations

import re

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.hl7v2.faults import Fault

TOLERATED_NOTE = "type_tolerated"
ORDERS = frozenset({"ORM", "OMG", "OML", "OMI"})
"""MSH-9.1 of general, laboratory and imaging orders (chapter 4)."""
NEVER_TOLERATED = frozenset({"ADT", "ORU"})
"""What is read: a trigger event of theirs that is not read may have moved a patient, and must be seen."""
TYPES_MAX = 50
"""Types that a site may let pass, each a counter of its own: table 0076 has some 150."""

_TYPE = re.compile(r"[A-Z][A-Z0-9]{2}")


def check_types(types: frozenset[str]) -> None:
    """Raise `ValueError` for a list of types that cannot be let pass.

    >>> check_types(frozenset({"ADT"}))
    Traceback (most recent call last):
    ValueError: tolerated_types: 'ADT'; expected three letters of MSH-9.1 such as 'ORM', and not ADT or ORU
    """
    for name in sorted(types):
        if not _TYPE.fullmatch(name) or name in NEVER_TOLERATED:
            raise ValueError(
                f"tolerated_types: {name!r}; expected three letters of MSH-9.1 such as 'ORM', and not ADT or ORU"
            )
    if len(types) > TYPES_MAX:
        raise ValueError(f"tolerated_types: {len(types)}; expected {TYPES_MAX} at the most")


def check_alone(lines: list[str]) -> None:
    """Raise `Fault` where a second message begins inside: it would pass unread."""
    if any(line[:3].upper() == "MSH" for line in lines[1:]):
        raise Fault(RefusalReason.GARBAGE, "MSH[2]", "a second message begins inside the first")


def tolerated_type(decoded: Decoded | Refusal) -> str:
    """Give MSH-9.1 of a message that was let pass; empty for any other."""
    return decoded.kind[:3] if type(decoded) is Decoded and TOLERATED_NOTE in decoded.notes else ""
