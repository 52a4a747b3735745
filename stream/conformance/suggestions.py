"""Candidates for codes that are mapped to nothing: what the name, the unit and the values of a code look like.

Owns the words by which features are known, and the likeness. Must not know the configuration: a candidate is never
applied; it is for a person to confirm, who knows the sender's table, and to write into the configuration. A wrong
mapping is a wrong chart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from features import Feature, UnitFault
from features.catalogue import Catalogue
from features.units import SPELLINGS, conversion
from stream.conformance.counting import Spread
from stream.conformance.shape import Candidate

CANDIDATES_MAX = 3
"""Of one code: more is no help."""
LIKENESS_MIN = 0.45
"""Below it a candidate is a guess. Measured on the corpora: half of a name's words, or all of them without a unit."""
WITHIN_MIN = 0.9
"""A code fewer of whose values are possible for a feature, in the sent unit, is not that feature."""

WORDS: dict[str, str] = {
    "heart_rate": "heart rate|pulse|pulse rate|hr|ecg heart rate|puls|pulse oximetry pulse",
    "respiration_rate": "respiratory rate|respiration rate|resp rate|rr|breaths|breathing rate|respirations",
    "spo2": "oxygen saturation|spo2|o2 sat|sat|sats|pulse oximetry|saturation of peripheral oxygen|o2 saturation",
    "systolic_bp": "systolic blood pressure|sbp|systolic|nibp systolic|bp systolic|sys bp|systolic arterial pressure",
    "diastolic_bp": "diastolic blood pressure|dbp|diastolic|nibp diastolic|bp diastolic|dia bp",
    "mean_bp": "mean arterial pressure|map|mean blood pressure|mbp|mean bp",
    "temperature": "temperature|body temperature|temp|core temperature|tympanic temperature|oral temperature",
    "fio2": "fio2|inspired oxygen|fraction of inspired oxygen|inhaled oxygen concentration|oxygen concentration",
    "o2_flow": "oxygen flow rate|o2 flow|inhaled oxygen flow rate|oxygen flow|o2 l min",
    "supplemental_oxygen": "supplemental oxygen|oxygen therapy|on oxygen|air or oxygen|oxygen delivery",
    "consciousness": "level of consciousness|consciousness|avpu|acvpu|avpu score|loc",
    "gcs_total": "glasgow coma score|gcs|gcs total|glasgow coma scale|glasgow coma score total",
    "etco2": "end tidal co2|etco2|end tidal carbon dioxide",
    "urine_output": "urine output|urine volume|urinary output",
    "weight": "body weight|weight|wt",
    "ph": "ph|arterial ph|blood ph",
    "paco2": "paco2|pco2|arterial pco2|carbon dioxide partial pressure",
    "pao2": "pao2|po2|arterial po2|oxygen partial pressure",
    "sao2": "sao2|arterial oxygen saturation|oxyhaemoglobin",
    "base_excess": "base excess|be",
    "lactate": "lactate|lactic acid|blood lactate",
    "white_cells": "white cell count|wbc|white blood cells|leucocytes|leukocytes|white blood cell count",
    "platelets": "platelets|platelet count|plt",
    "haemoglobin": "haemoglobin|hemoglobin|hb|hgb",
    "haematocrit": "haematocrit|hematocrit|hct|packed cell volume|pcv",
    "creatinine": "creatinine|creat|serum creatinine",
    "urea": "urea|bun|urea nitrogen|blood urea nitrogen",
    "bilirubin": "bilirubin|total bilirubin|bilirubin total",
    "bilirubin_direct": "direct bilirubin|conjugated bilirubin|bilirubin direct",
    "glucose": "glucose|blood glucose|capillary glucose|blood sugar",
    "sodium": "sodium|na|serum sodium",
    "potassium": "potassium|k|serum potassium",
    "bicarbonate": "bicarbonate|hco3|total co2|tco2",
    "chloride": "chloride|cl",
    "troponin_i": "troponin i|troponin|hs troponin i|high sensitivity troponin i",
    "crp": "c reactive protein|crp",
    "ast": "aspartate aminotransferase|ast|sgot",
    "alp": "alkaline phosphatase|alp|alk phos",
    "ptt": "partial thromboplastin time|aptt|ptt|activated partial thromboplastin time",
    "fibrinogen": "fibrinogen",
    "calcium": "calcium|ca|total calcium",
    "magnesium": "magnesium|mg",
    "phosphate": "phosphate|phosphorus|inorganic phosphate|po4",
    "pregnancy": "pregnancy status|pregnancy",
}
"""Feature to the names that senders give it. Words in any order; every feature of the catalogue has a line."""

_WORD = re.compile(r"[a-z]+[0-9]*|[0-9]+[a-z]+")
_COMMON = frozenset(
    {"cell", "cells", "concentration", "count", "pressure", "rate", "ratio", "score", "total", "volume", "output"}
)
"""Words of many names, which tell little apart: they weigh a quarter."""
_EMPTY = frozenset(
    {"of", "the", "in", "by", "and", "level", "value", "measurement", "result", "serum", "plasma", "blood"}
)
"""Words that tell nothing apart; kept only where nothing else is said."""


def candidates(name: str, code: str, units: Iterable[str], values: Spread, catalogue: Catalogue) -> list[Candidate]:
    """Give what a code may mean, best first; nothing where nothing is like it.

    `name` is what the sender calls it, `units` what it was sent in, `values` the numbers as sent (in the first unit).

    >>> from features import default_catalogue
    >>> [best] = candidates("Pulse Rate", "HR1", ["bpm"], Spread(), default_catalogue())
    >>> best.feature, best.loinc, best.reasons
    ('heart_rate', '8867-4', ('name', 'unit'))
    >>> candidates("Pulse Rate", "HR1", ["mg/dL"], Spread(), default_catalogue())
    []
    """
    words = _words(name) or _words(code)
    if not words:
        return []
    sent = [unit for unit in units if unit.strip()]
    found: list[Candidate] = []
    for feature in catalogue.features:
        likeness = max(_likeness(words, _words(known)) for known in WORDS.get(feature.name, "").split("|"))
        reasons = ["name"]
        if feature.kind == "numeric" and sent:
            if any(isinstance(conversion(unit, feature), UnitFault) for unit in sent if unit.strip() in SPELLINGS):
                continue
            if all(unit.strip() in SPELLINGS for unit in sent):
                likeness = min(1.0, likeness + 0.1)
                reasons.append("unit")
            else:  # a unit that is in no table of ours makes it less likely, and no more is known of it
                likeness -= 0.1
        possible = _share_possible(values, sent, feature) if feature.kind == "numeric" and values.count else None
        if possible is not None:
            if possible < WITHIN_MIN:
                continue
            reasons.append("values")
        if likeness >= LIKENESS_MIN:
            loinc = next((code for system, code in feature.codes if system == "loinc"), "")
            found.append(Candidate(feature.name, loinc, round(likeness, 2), tuple(reasons)))
    best = sorted(found, key=lambda one: (-one.likeness, one.feature))
    return [one for one in best if one.likeness > best[0].likeness - 0.25][:CANDIDATES_MAX]


def _share_possible(values: Spread, units: list[str], feature: Feature) -> float | None:
    """Give how many of the values can be of a feature; None where their unit is not known, and so neither they."""
    change = conversion(units[0] if units else "", feature)
    if isinstance(change, UnitFault):
        return None
    low, high = ((limit - change.offset) / change.factor for limit in (feature.possible_min, feature.possible_max))
    return values.share_within(low, high)


def _words(text: str) -> frozenset[str]:
    found = frozenset(_WORD.findall(re.sub(r"[_\W]+", " ", text).lower()))
    return found - _EMPTY or found


def _likeness(words: frozenset[str], known: frozenset[str]) -> float:
    """Dice's coefficient of two sets of words, common words at a quarter."""
    return 2 * _weight(words & known) / (_weight(words) + _weight(known)) if words and known else 0.0


def _weight(words: frozenset[str]) -> float:
    return len(words) - 0.75 * len(words & _COMMON)
