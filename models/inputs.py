"""What a deterioration model is given: which statistics of which features, NEWS2's own sub-scores, derived ones.

Owns the lists of inputs, their hash, and computing a row of them for a patient. Must not know what a model makes of
them, nor the formulas of derived inputs (models/derived.py).

There are two lists. `CLINICAL_INPUTS` is short (the shipped version's): for each vital sign the last value, its age,
the worst and the mean of the recent past, its trend and its distance from the patient's own baseline; for each
laboratory value the last one and its age. A straight line through a vital sign cannot say that both ends are bad,
NEWS2's sub-scores can, so they are inputs too (the ones the ward is shown, on the patient's own scale).
`LEARNING_INPUTS` holds all of these and everything else that learners may ask for: every vital sign and laboratory
value of the catalogue, how often it was measured, what it was before. A version takes a subset of it by name, and only
that is computed where it scores; the whole row is computed only where a learner listens.

A value older than the catalogue's maximum age is not an input: it, its age and its change become unknown, as NEWS2
treats it. A window of 24 h still knows it while it lies within.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from math import nan

import msgspec

from events import MILLIS_PER_HOUR, Millis
from features.catalogue import default_catalogue
from features.state import PatientState
from features.vector import VectorSpec
from models.derived import FORMULAS, Formula
from models.news2 import News2, score_news2
from models.rows import Inputs

VITALS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("heart_rate", ("last", "age_h", "mean_6h", "max_6h", "slope_6h", "delta_baseline")),
    ("respiration_rate", ("last", "age_h", "mean_6h", "max_6h", "slope_6h", "delta_baseline")),
    ("spo2", ("last", "age_h", "mean_6h", "min_6h", "delta_baseline")),
    ("systolic_bp", ("last", "age_h", "mean_6h", "min_6h", "slope_6h", "delta_baseline")),
    ("temperature", ("last", "age_h", "max_24h", "delta_baseline")),
    ("fio2", ("last", "age_h")),
    ("o2_flow", ("last", "age_h")),
)

LABORATORY = ("lactate", "white_cells", "creatinine", "urea", "platelets", "bicarbonate")

OF_STAY = ("age_years", "hours_since_admission")

NEWS2_PARTS = ("respiration_rate", "spo2", "oxygen", "systolic_bp", "pulse", "consciousness", "temperature", "total")

VECTOR_NAMES: tuple[str, ...] = (
    *(f"{feature}.{statistic}" for feature, statistics in VITALS for statistic in statistics),
    *(f"{feature}.{statistic}" for feature in LABORATORY for statistic in ("last", "age_h")),
    *OF_STAY,
)
"""The inputs of `CLINICAL_INPUTS` that `features` computes."""

CLINICAL_INPUTS = Inputs(
    names=(*VECTOR_NAMES, *(f"news2.{part}" for part in NEWS2_PARTS)),
    indicators=tuple(f"{feature}.last" for feature in (*(feature for feature, _ in VITALS), *LABORATORY)),
)
"""The shipped model's row: names in order, and which of them also tell that they are missing."""

# What learners may ask for beside these. No `sd`: a window with one cannot be carried on from row to row.
CONTINUOUS = ("heart_rate", "respiration_rate", "spo2", "systolic_bp", "diastolic_bp", "mean_bp", "temperature")
CONTINUOUS_STATISTICS = (
    "last", "age_h", "change", "previous_age_h", "mean_6h", "min_6h", "max_6h", "slope_6h", "mean_24h", "min_24h",
    "max_24h", "count_24h", "delta_baseline",
)  # fmt: skip
"""Of what is charted every hour or oftener."""

OCCASIONAL = ("fio2", "o2_flow", "gcs_total", "etco2", "urine_output", "ph", "paco2", "pao2", "sao2", "base_excess",
              "lactate")  # fmt: skip
OCCASIONAL_STATISTICS = ("last", "age_h", "change", "min_24h", "max_24h", "count_24h")
"""Of what changes within hours and is charted now and then: support, gases, urine."""

DAILY = (
    "white_cells", "platelets", "haemoglobin", "haematocrit", "creatinine", "urea", "bilirubin", "bilirubin_direct",
    "glucose", "sodium", "potassium", "bicarbonate", "chloride", "troponin_i", "crp", "ast", "alp", "ptt",
    "fibrinogen", "calcium", "magnesium", "phosphate",
)  # fmt: skip
DAILY_STATISTICS = ("last", "age_h", "change", "count_24h")
"""Of blood tests, of which there are few in a day: a window of them is the last value again."""

HOUR_OF_DAY = "hour_of_day"
"""Hours since midnight, UTC: charting and nursing have a daily round. A site lies in one zone."""

LEARNING_INPUTS = Inputs(
    names=(
        *(f"{feature}.{statistic}" for feature in CONTINUOUS for statistic in CONTINUOUS_STATISTICS),
        *(f"{feature}.{statistic}" for feature in OCCASIONAL for statistic in OCCASIONAL_STATISTICS),
        *(f"{feature}.{statistic}" for feature in DAILY for statistic in DAILY_STATISTICS),
        *OF_STAY,
        *(f"news2.{part}" for part in NEWS2_PARTS),
        *FORMULAS,
        HOUR_OF_DAY,
    ),
    indicators=tuple(f"{feature}.last" for feature in (*CONTINUOUS, *OCCASIONAL, *DAILY)),
)
"""The learner's row: a superset of `CLINICAL_INPUTS` by name."""

INPUTS_MEANING = 1
"""Raised when a name comes to mean something else (a window's edge, a rounding): old versions are then refused."""

_KNOWN = frozenset(LEARNING_INPUTS.names)
_OUTSIDE_VECTOR = frozenset((*(f"news2.{part}" for part in NEWS2_PARTS), *FORMULAS, HOUR_OF_DAY))


class UnknownInputError(ValueError):
    """A row is asked for an input that this release does not compute: a version of another release, or an error."""


def _is_measured(name: str) -> bool:
    return "." in name and not name.startswith("news2.")


@lru_cache(64)
def schema_hash_of(inputs: Inputs) -> str:
    """Hash what inputs mean: names, order, indicators, units. Raises `UnknownInputError`.

    >>> schema_hash_of(CLINICAL_INPUTS) == SCHEMA_HASH, schema_hash_of(Inputs(("age_years",)))[:7]
    (True, 'sha256:')
    >>> schema_hash_of(Inputs(("heart_rate.lost",)))
    Traceback (most recent call last):
    models.inputs.UnknownInputError: heart_rate.lost: no input of this release
    """
    for name in (*inputs.names, *inputs.indicators):
        if name not in _KNOWN:
            raise UnknownInputError(f"{name}: no input of this release")
    catalogue = default_catalogue()
    units = {name: catalogue.by_name(name.partition(".")[0]).unit for name in inputs.names if _is_measured(name)}
    content = msgspec.json.encode((INPUTS_MEANING, inputs, units), order="sorted")
    return "sha256:" + sha256(content).hexdigest()


def computes(inputs: Inputs, schema_hash: str) -> bool:
    """Say whether this release computes these inputs, and means by them what whoever wrote the hash meant.

    >>> computes(CLINICAL_INPUTS, SCHEMA_HASH), computes(CLINICAL_INPUTS, "sha256:other"), computes(Inputs(("x",)), "")
    (True, False, False)
    """
    try:
        return schema_hash_of(inputs) == schema_hash
    except UnknownInputError:
        return False


SCHEMA_HASH = schema_hash_of(CLINICAL_INPUTS)
"""Hash of what the inputs of `CLINICAL_INPUTS` mean."""


class RowSpec:
    """A row of any of `LEARNING_INPUTS`, in any order, compiled. Raises `UnknownInputError` for another name.

    One series carries its windows for one spec at a time (features/carried.py): whoever asks a patient's state for two
    kinds of row in turn gets the same numbers, and pays for summing the windows anew.

    >>> spec = RowSpec(Inputs(("hour_of_day", "age_years", "shock_index")))
    >>> spec.row(PatientState(), 30 * MILLIS_PER_HOUR)
    [6.0, nan, nan]
    """

    __slots__ = ("_asks_news2", "_derived", "_expiry", "_order", "_places", "_vector", "features", "inputs",
                 "schema_hash")  # fmt: skip

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.schema_hash = schema_hash_of(inputs)
        derived = [name for name in inputs.names if name in FORMULAS]
        wanted = dict.fromkeys(name for name in inputs.names if name not in _OUTSIDE_VECTOR)
        wanted |= dict.fromkeys(part for name in derived for part in FORMULAS[name][0])
        points = [name for name in wanted if name.rpartition(".")[2] in ("last", "change", "previous_age_h")]
        wanted |= dict.fromkeys(f"{name.partition('.')[0]}.age_h" for name in points)
        names = list(wanted)
        places = {name: place for place, name in enumerate(names)}
        self._vector = VectorSpec(names, carried=True)
        self.features = tuple(dict.fromkeys(name.partition(".")[0] for name in names if "." in name))
        """What the row is made of, beside NEWS2's own inputs: each feature once."""
        self._places = [LEARNING_INPUTS.names.index(name) for name in inputs.names]
        self._expiry = _expiries(places)
        self._asks_news2 = any(name.startswith("news2.") for name in inputs.names)
        full = [*names, *(f"news2.{part}" for part in NEWS2_PARTS if self._asks_news2), *derived, HOUR_OF_DAY]
        self._derived: tuple[tuple[Formula, tuple[int, ...]], ...] = tuple(
            (FORMULAS[name][1], tuple(places[part] for part in FORMULAS[name][0])) for name in derived
        )
        at = {name: place for place, name in enumerate(full)}
        order = [at[name] for name in inputs.names]
        self._order = None if order == list(range(len(order))) else order
        """Places in all that is computed; None where it is the beginning of it."""

    def row(self, state: PatientState, at: Millis, news2: News2 | None = None) -> list[float]:
        """Compute the row of a patient as of `at` (ms); NaN where unknown. Hot path.

        `news2` is the score for the same `at` where it has been computed already; without it scale 1 is computed here.
        """
        full = state.vector(at, self._vector)
        for age, hours, places in self._expiry:
            if full[age] > hours:
                for place in places:
                    full[place] = nan
        derived = [formula(*[full[place] for place in parts]) for formula, parts in self._derived]
        if self._asks_news2:
            full += _news2_parts(score_news2(state, at) if news2 is None else news2)
        full += derived
        full.append(at / MILLIS_PER_HOUR % 24.0)
        order = self._order
        if order is None:
            del full[len(self.inputs.names) :]
            return full
        return [full[place] for place in order]

    def pick(self, learning_row: Sequence[float]) -> list[float]:
        """Take this row out of one of `LEARNING_INPUTS`: the same numbers as `row` of the same state and time.

        >>> RowSpec(Inputs(("age_years", "hour_of_day"))).pick(LEARNING_ROW.row(PatientState(), 5 * MILLIS_PER_HOUR))
        [nan, 5.0]
        """
        return [learning_row[place] for place in self._places]


def _expiries(places: dict[str, int]) -> tuple[tuple[int, float, tuple[int, ...]], ...]:
    """Give (place of the age, hours it may reach, places that become unknown with it) of each feature that expires."""
    found: list[tuple[int, float, tuple[int, ...]]] = []
    for name, age in places.items():
        feature, _, statistic = name.partition(".")
        if statistic != "age_h":
            continue
        max_age_ms = default_catalogue().by_name(feature).max_age_ms
        if max_age_ms is not None:
            points = (f"{feature}.{point}" for point in ("last", "age_h", "change", "previous_age_h"))
            found.append((age, max_age_ms / MILLIS_PER_HOUR, tuple(places[p] for p in points if p in places)))
    return tuple(found)


def _news2_parts(news2: News2) -> list[float]:
    parts = (
        news2.respiration_rate,
        news2.spo2,
        news2.oxygen,
        news2.systolic_bp,
        news2.pulse,
        news2.consciousness,
        news2.temperature,
    )
    row = [nan if part is None else float(part) for part in parts]
    # A total over nothing is no total.
    row.append(nan if len(news2.missing) == len(parts) else float(news2.total))
    return row


@lru_cache(64)
def row_spec_of(inputs: Inputs) -> RowSpec:
    """Give the compiled row of these inputs, the same one each time. Raises `UnknownInputError`."""
    return RowSpec(inputs)


CLINICAL_ROW = row_spec_of(CLINICAL_INPUTS)
LEARNING_ROW = row_spec_of(LEARNING_INPUTS)


def clinical_vector(state: PatientState, at: Millis, news2: News2 | None = None) -> list[float]:
    """Compute the row of `CLINICAL_INPUTS` for a patient as of `at` (ms); NaN where unknown. Hot path.

    >>> row = clinical_vector(PatientState(), 0)
    >>> len(row) == len(CLINICAL_INPUTS.names), row[0], row[-1]
    (True, nan, nan)
    """
    return CLINICAL_ROW.row(state, at, news2)
