"""Coded and worded answers, as numbers: consciousness (ACVPU), air or oxygen, and pregnancy.

Owns the answer tables. Must not know how an answer is scored. An answer that is not in a table is quarantined; nothing
is inferred from parts of words.

Consciousness: 0 Alert, 1 new Confusion, 2 Voice, 3 Pain, 4 Unresponsive (RCP 2017, the order of ACVPU). LOINC
67775-7's own answer list (AVPU) offers no confusion; LA6560-2 `Confused` (LOINC list LL356-7) is what deployed ACVPU
feeds send in its place, so it is taken. SNOMED CT as in CareConnect-ACVPU-1 (HL7 UK), with 255373000 as IHE PCC mPSC
uses it. Pregnancy: the value set of the International Patient Summary (hl7.org/fhir/uv/ips, pregnancy-status-uv-ips)
and its map to SNOMED CT; no word is taken for it, for it silences the floor (docs/decisions/0026).
"""

from __future__ import annotations

from events import Coding

ALERT, NEW_CONFUSION, VOICE, PAIN, UNRESPONSIVE = 0, 1, 2, 3, 4
AIR, OXYGEN = 0, 1
NOT_PREGNANT, PREGNANT, PREGNANCY_UNKNOWN = 0, 1, 2

CONSCIOUSNESS_CODES: dict[tuple[str, str], int] = {
    ("loinc", "LA9340-6"): ALERT,
    ("loinc", "LA6560-2"): NEW_CONFUSION,
    ("loinc", "LA17108-4"): VOICE,
    ("loinc", "LA17107-6"): PAIN,
    ("loinc", "LA9343-0"): UNRESPONSIVE,
    ("snomed", "248234008"): ALERT,
    ("snomed", "130987000"): NEW_CONFUSION,
    ("snomed", "300202002"): VOICE,
    ("snomed", "255373000"): VOICE,
    ("snomed", "450847001"): PAIN,
    ("snomed", "422768004"): UNRESPONSIVE,
}
CONSCIOUSNESS_WORDS: dict[str, int] = {
    "a": ALERT,
    "alert": ALERT,
    "c": NEW_CONFUSION,
    "confused": NEW_CONFUSION,
    "confusion": NEW_CONFUSION,
    "new confusion": NEW_CONFUSION,
    "newly confused": NEW_CONFUSION,
    "v": VOICE,
    "voice": VOICE,
    "verbal": VOICE,
    "responds to voice": VOICE,
    "p": PAIN,
    "pain": PAIN,
    "painful": PAIN,
    "responds to pain": PAIN,
    "u": UNRESPONSIVE,
    "unresponsive": UNRESPONSIVE,
}

OXYGEN_CODES: dict[tuple[str, str], int] = {
    ("snomed", "722742002"): AIR,  # Breathing room air
    ("snomed", "371825009"): OXYGEN,  # Patient on oxygen
    ("snomed", "315041000"): OXYGEN,  # High concentration oxygen therapy
    ("snomed", "57485005"): OXYGEN,  # Oxygen therapy
    ("snomed", "373066001"): OXYGEN,  # Yes, answering 371825009
    ("snomed", "373067005"): AIR,  # No, answering 371825009
    ("loinc", "LA33-6"): OXYGEN,  # Yes
    ("loinc", "LA32-8"): AIR,  # No
}
OXYGEN_WORDS: dict[str, int] = {
    "air": AIR,
    "room air": AIR,
    "ra": AIR,
    "breathing room air": AIR,
    "no": AIR,
    "oxygen": OXYGEN,
    "o2": OXYGEN,
    "on oxygen": OXYGEN,
    "supplemental oxygen": OXYGEN,
    "yes": OXYGEN,
}

PREGNANCY_CODES: dict[tuple[str, str], int] = {
    ("loinc", "LA26683-5"): NOT_PREGNANT,
    ("loinc", "LA15173-0"): PREGNANT,
    ("loinc", "LA4489-6"): PREGNANCY_UNKNOWN,
    ("snomed", "60001007"): NOT_PREGNANT,
    ("snomed", "77386006"): PREGNANT,
}

ANSWERS: dict[str, tuple[dict[tuple[str, str], int], dict[str, int]]] = {
    "consciousness": (CONSCIOUSNESS_CODES, CONSCIOUSNESS_WORDS),
    "supplemental_oxygen": (OXYGEN_CODES, OXYGEN_WORDS),
    "pregnancy": (PREGNANCY_CODES, {}),
}
"""By feature: answers by coding, and by whole word (casefolded, outer blanks removed)."""


def answer_in(
    by_code: dict[Coding, int], by_word: dict[str, int], answers: tuple[Coding, ...], text: str
) -> int | None:
    """Look an answer up: the first coding that is in the table, else the whole text; None where neither is.

    >>> answer_in(CONSCIOUSNESS_CODES, CONSCIOUSNESS_WORDS, (), " Alert ")
    0
    """
    for coding in answers:
        if coding in by_code:
            return by_code[coding]
    return by_word.get(text.strip().casefold()) if text else None
