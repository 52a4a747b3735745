"""The rows of a run as arrays, and which of them an evaluation's figures are of.

Owns reading them from the parts, and the choice of rows: all, each predicted before it was learned, or those held out.
Must not know a figure or a model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from events import MILLIS_PER_HOUR, Millis
from stream.evaluating.contenders import RULE_INPUTS, rule_totals
from stream.evaluating.parts import Parts
from stream.evaluating.scores import Heard, Labels, read_columns, read_labels, read_names
from stream.evaluating.shape import Part
from stream.evaluating.stays import Stay

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LABEL_BEFORE_ONSET_MS = 6 * MILLIS_PER_HOUR
"""SepsisLabel is true from six hours before onset on."""
SILENT = -1.0
"""Below every score: an hour of which nothing was said is not flagged."""


class ScoredSet(msgspec.Struct, frozen=True):
    """A run's rows (every score, in order) and labels (in the order they were learned)."""

    at: Ints
    patient: Ints
    stay: Ints
    age_years: Floats
    facts: dict[str, NDArray[Any]]
    """Strings by row, for subgroups: sex, ward, origin, ethnicity; empty where unknown."""
    champion: Floats
    """What the version that ran said."""
    totals: dict[str, Floats]
    """Of each bedside rule."""
    news2_is_partial: bool
    labels: Labels
    stays: list[Stay]


def read_scored(parts: Parts, heard: Heard) -> ScoredSet:
    """Read a run that is kept."""
    of_row = ("at", "patient", "stay", "sex", "ward", "origin", "ethnicity", "champion", "age_years")
    known = set(read_names(parts))
    of_rules = [name for name in RULE_INPUTS if name in known]
    columns = read_columns(parts, (*of_row, *of_rules))
    return ScoredSet(
        at=columns["at"],
        patient=columns["patient"].astype(np.int64),
        stay=columns["stay"].astype(np.int64),
        age_years=columns["age_years"],
        facts={name: columns[name].astype(str) for name in ("sex", "ward", "origin", "ethnicity")},
        champion=columns["champion"].astype(np.float64),
        totals=rule_totals({name: columns[name] for name in of_rules}),
        news2_is_partial=bool(len(columns["at"])) and bool(np.isnan(columns["news2.consciousness"]).all()),
        labels=read_labels(parts),
        stays=heard.stays,
    )


class Chosen(msgspec.Struct, frozen=True):
    """Rows that figures are of."""

    part: Part
    labelled: Ints
    """Rows with a label, in the order they were learned, or would have been."""
    positive: Bools
    """Their labels."""
    scored: Bools
    """Of all rows, those whose alerts are counted."""
    stays: Bools
    """Of all stays, those whose hours the challenge's utility is of."""


def choose(run: ScoredSet, border: Millis | None, part: Part) -> Chosen:
    """Choose the rows before `border` (all, without one), or those from it on, of patients first scored from it on."""
    rows = len(run.at)
    began = np.array([0 if stay.began is None else stay.began for stay in run.stays], dtype=np.int64)
    if border is None:
        inside, stays = np.ones(rows, dtype=bool), np.ones(len(began), dtype=bool)
    elif part == "prequential":
        inside, stays = run.at < border, began < border
    else:
        first = np.full(int(run.patient.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, run.patient, run.at)
        inside = (run.at >= border) & (first[run.patient] >= border)
        stays = began >= border
    of_label = inside[run.labels.row]
    return Chosen(part, run.labels.row[of_label], run.labels.label[of_label], inside, stays)


def covered(run: ScoredSet, chosen: Chosen, answers: Iterable[Floats]) -> Chosen:
    """Keep of the chosen rows those of stays of which each of `answers` (a score a row, NaN for none) says anything.

    A model from outside may have been asked of some stays only: what it did not see, it did not miss.
    """
    kept = np.ones(len(run.stays), dtype=bool)
    for scores in answers:
        spoken = np.zeros(len(run.stays), dtype=bool)
        spoken[run.stay[~np.isnan(scores)]] = True
        kept &= spoken
    of_row = kept[run.stay]
    of_label = of_row[chosen.labelled]
    return Chosen(
        chosen.part,
        chosen.labelled[of_label],
        chosen.positive[of_label],
        chosen.scored & of_row,
        chosen.stays & kept,
    )


class Hours(msgspec.Struct, frozen=True):
    """Every hour of the chosen stays as the challenge scores them: its label, its stay, and the row that spoke last."""

    septic: Bools
    stay: Ints
    row: Ints
    """-1 where nothing had been said yet."""

    def scores(self, by_row: Floats) -> Floats:
        """Give each hour the newest score of its stay, or `SILENT`."""
        known = np.where(np.isnan(by_row), SILENT, by_row)
        return np.where(self.row >= 0, known[self.row], SILENT)


def hours_of(run: ScoredSet, chosen: Chosen) -> Hours:
    """Lay the rows of each stay onto its hours, from admission to discharge."""
    septic, stay, row = [], [], []
    order = np.lexsort((np.arange(len(run.at)), run.at, run.stay))
    bounds = np.searchsorted(run.stay[order], np.arange(len(run.stays) + 1))
    for number, one in enumerate(run.stays):
        if not chosen.stays[number] or one.began is None:
            continue
        rows = order[bounds[number] : bounds[number + 1]]
        end = one.ended if one.ended is not None else int(run.at[rows[-1]]) + MILLIS_PER_HOUR
        hours = one.began + MILLIS_PER_HOUR * np.arange(max(0, -(-(end - one.began) // MILLIS_PER_HOUR)))
        place = np.searchsorted(run.at[rows], hours, side="right") - 1
        row.append(np.where(place >= 0, rows[place], -1))
        onset = np.iinfo(np.int64).max if one.onset is None else one.onset - LABEL_BEFORE_ONSET_MS
        septic.append(hours >= onset)
        stay.append(np.full(len(hours), number))
    if not row:
        nothing = np.zeros(0, dtype=np.int64)
        return Hours(nothing.astype(bool), nothing, nothing)
    return Hours(np.concatenate(septic), np.concatenate(stay), np.concatenate(row))
