"""Ethnicity as feeds code it, to the groups that figures are given by.

Owns the tables. Must not know which field or extension a code stood in, nor whether a site records it at all: the
codecs ask only where it does. A code that no table has says nothing; nothing is guessed from words or from a letter.
"""

from __future__ import annotations

from collections.abc import Iterable

from events import Ethnicity

CDC: dict[str, Ethnicity] = {
    "1002-5": "american_indian_or_alaska_native",
    "2028-9": "asian",
    "2054-5": "black",
    "2076-8": "pacific_islander",
    "2106-3": "white",
    "2118-8": "middle_eastern_or_north_african",
    "2131-1": "other",
}
"""CDC Race and Ethnicity Code Set (urn:oid:2.16.840.1.113883.6.238), its highest level: HL7 table 0005 and US Core."""
CDC_HISPANIC = frozenset({"2135-2", "H"})
"""Hispanic or Latino, in the code set and in HL7 table 0189."""
NHS: dict[str, Ethnicity] = {
    **dict.fromkeys("ABC", "white"),
    **dict.fromkeys("DEFG", "multiple"),
    **dict.fromkeys("HJKLR", "asian"),
    **dict.fromkeys("MNP", "black"),
    "S": "other",
}
"""NHS Data Dictionary, ethnic category (16 + 1, 2001); R, Chinese, is of the Asian group since the census of 2011. Z
(not stated) and 99 (not known) say nothing."""
NHS_LENGTH_MAX = 2
"""The second character is a site's own."""


def of_cdc(races: Iterable[str], ethnic_groups: Iterable[str]) -> Ethnicity | None:
    """Give the group of CDC codes: Hispanic or Latino whatever the race, as OMB's SPD 15 asks in one question.

    >>> of_cdc(["2106-3"], ["2186-5"]), of_cdc(["2106-3", "2054-5"], []), of_cdc(["2106-3"], ["2135-2"])
    ('white', 'multiple', 'hispanic_or_latino')
    """
    if not CDC_HISPANIC.isdisjoint(ethnic_groups):
        return "hispanic_or_latino"
    found = {CDC[code] for code in races if code in CDC}
    return None if not found else found.pop() if len(found) == 1 else "multiple"


def of_nhs(codes: Iterable[str]) -> Ethnicity | None:
    """Give the group of the first code that the NHS's table has.

    >>> of_nhs(["A"]), of_nhs(["N1"]), of_nhs(["Z"]), of_nhs(["99", "R"])
    ('white', 'black', None, 'asian')
    """
    return next((NHS[code[0]] for code in codes if 0 < len(code) <= NHS_LENGTH_MAX and code[0] in NHS), None)
