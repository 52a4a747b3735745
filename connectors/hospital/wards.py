"""The wards of the simulated hospital, their beds and their habits.

Owns names and habits, as data. Must not know patients.
"""

from __future__ import annotations

from connectors.decoded import Identifier
from events import Location

AUTHORITY = "WARDSIM"
FACILITY = "NORTH"
FEED = f"{AUTHORITY}|{FACILITY}"
"""MSH-3 and MSH-4 of all that this hospital sends."""

CRITICAL_CARE_WARD = "Critical Care"
"""A transfer to here is a deterioration, by the default definition of outcomes."""
WARDS = ("Ward A", "Ward B", "Ward C", "Ward D")
FAHRENHEIT_WARD = "Ward C"
"""Charts temperature in degrees Fahrenheit, as some do."""


def place_bed(number: int) -> Location:
    """Give the place of the ward bed with a number from 0; beds are dealt to the wards in turn.

    >>> place_bed(4)
    Location(ward='Ward A', room='', bed='A-02', facility='NORTH')
    """
    ward = WARDS[number % len(WARDS)]
    return Location(ward=ward, bed=f"{ward[-1]}-{number // len(WARDS) + 1:02d}", facility=FACILITY)


def place_elsewhere(number: int, bed: Location) -> Location:
    """Give a bed on another ward, one of those kept for patients who are moved; `number` tells which.

    >>> place_elsewhere(1, place_bed(0)).ward, place_elsewhere(1, place_bed(0)).bed
    ('Ward C', 'C-M02')
    """
    ward = WARDS[(WARDS.index(bed.ward) + 1 + number % (len(WARDS) - 1)) % len(WARDS)]
    return Location(ward=ward, bed=f"{ward[-1]}-M{number % 40 + 1:02d}", facility=FACILITY)


def place_critical_care(number: int) -> Location:
    """Give a critical care bed; there is always one, for a full unit is not this simulation's subject.

    >>> place_critical_care(0).bed
    'CC-01'
    """
    return Location(ward=CRITICAL_CARE_WARD, bed=f"CC-{number % 99 + 1:02d}", facility=FACILITY)


def identify(number: int, prefix: str = "S") -> Identifier:
    """Give a fictional medical record number.

    >>> identify(7).authority, identify(7).value
    ('WARDSIM', 'S000007')
    """
    return Identifier(AUTHORITY, f"{prefix}{number:06d}")
