"""What a simulated hospital tells, before it is HL7 or FHIR.

Owns the neutral message. Must not know how it is written.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from connectors.decoded import Identifier
from events import Coding, Location, Millis

Kind = Literal["adt", "oru", "outcome"]
Status = Literal["F", "C", "W"]


class Charted(msgspec.Struct, frozen=True, gc=False):
    """One charted value: a number with its UCUM unit, or a coded answer.

    >>> Charted(("loinc", "8867-4"), 72.0, "/min").status
    'F'
    """

    coding: Coding
    value: float | Coding
    unit: str = ""
    status: Status = "F"
    """OBX-11: final, corrected, or withdrawn."""


class Story(msgspec.Struct, frozen=True, gc=False):
    """One message. Fields that a kind does not use keep their defaults.

    >>> Story("adt", 0, 0, Identifier("SIM", "1"), "V1", Location(), "1", trigger="A01").results
    ()
    """

    kind: Kind
    sent_time: Millis
    event_time: Millis
    patient: Identifier
    encounter: str
    location: Location
    control_id: str
    trigger: str = ""
    """HL7's event: A01 admission, A02 transfer, A03 discharge, A08 demographics, A11, A12, A13 the first three taken
    back, A40 merge, A37 a merge taken back."""
    birth_date: str | None = None
    sex: str | None = None
    deceased: bool | None = None
    disposition: str = ""
    retired: Identifier | None = None
    other: Identifier | None = None
    """Whom an A37 says that `patient` is not."""
    order: str = ""
    """Filler order number: a correction names the same one."""
    results: tuple[Charted, ...] = ()
    outcome: str = ""
    """What truly happened (`critical_care`, `cardiac_arrest`, `death`), for training: no message tells it as such."""
    admitted_time: Millis = 0
