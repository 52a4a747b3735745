"""The rows of a contest: what the version in force and up to three challengers said, with what came of it; bounded.

Owns the compact columns, what is let go where they are full, and giving them as rows that can be weighed. Must not know
how a challenger comes to take part, nor what evidence comes to. The rows that it gives are those that `wardstream rows`
would export of the same records, in the same order, so both roads to evidence give the same evidence.

Where the columns are full, rows from before every challenger go first. Then whole patients go, every second one, and of
those who come later every second one is not taken either: what is left is fewer patients, each with all rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import isnan, nan
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from events import Millis
from models.figures.scored_rows import Floats, Ints
from models.figures.subgroups import age_band
from models.weighing import NEWS2_ALONE, Rows
from stream.facts import PatientFacts
from stream.row_recorder import WORDS_MAX, TrainingRow

SLOTS = 3
"""Challengers at once: the eldest that is to be judged, and two that come after it."""
ROWS_MAX = 400_000
"""Rows kept, some 80 bytes each: six weeks of 200 beds scored every half hour. 32 MB."""
SAMPLE_MAX = 1 << 20
"""One patient in so many is the least that is kept."""
NOBODY = -1
"""In the place of a version's number where none was in force."""

VERSION_DIGITS = 12

Words = NDArray[np.str_]

FACTS = PatientFacts.__struct_fields__
DIMENSIONS = ("sex", "ethnicity", "ward_type", "unit_of_origin")
"""What subgroups are made of, beside the age band; of a fact that no event says, all are not recorded."""
_WHOLE = {"label": "b", "row": "q", "patient": "q", "at": "q", "matured_at": "q", "by": "q"}
_SAID = {"said": "d", "news2": "d", "age": "f", **{f"own{slot}": "d" for slot in range(SLOTS)}}
_CODES = {**_WHOLE, **dict.fromkeys(FACTS, "h"), **_SAID}


class Heard(msgspec.Struct, frozen=True):
    """The rows on one challenger, and how many entered them or did not."""

    rows: Rows
    learned: int
    """Left out, for their labels were known while the challenger learned."""
    unusable: int
    """Left out, for one of the two gave no probability."""
    elsewhere: int
    """Left out, for another version was in force."""
    first_row: int
    """The first score that the challenger answered, counted over all scores heard."""


class ContestRowsState(msgspec.Struct, frozen=True):
    """All of it, as plain values."""

    columns: dict[str, bytes]
    sample: int
    words: list[str]


class ContestRows:
    """The columns.

    >>> rows = ContestRows(rows_max=4)
    >>> rows.takes(0), rows.takes(1), len(rows)
    (True, True, 0)
    """

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self.sample = 1
        """One patient in so many is taken."""
        self._rows_max = rows_max
        self._columns: dict[str, Any] = {name: array(code) for name, code in _CODES.items()}
        self._words: dict[str, int] = {"": 0}

    def __len__(self) -> int:
        """Count the rows kept."""
        return len(self._columns["row"])

    def takes(self, patient: int) -> bool:
        """Say whether rows of a patient, by number, are taken."""
        return patient % self.sample == 0

    def add(self, row: TrainingRow, since: int) -> None:
        """Take one matured row, whose vector `heard` made; `since` is the first row that any challenger answered."""
        if not self.takes(row.patient):
            return
        if len(self) >= self._rows_max:
            self._make_room(since)
            if not self.takes(row.patient):
                return
        by, said, news2, age, *own = row.vector
        facts = (self._number(word) for word in msgspec.structs.astuple(row.facts))
        own += [nan] * (SLOTS - len(own))
        whole = (row.label, row.row, row.patient, row.at, row.matured_at, int(by))
        for column, value in zip(self._columns.values(), (*whole, *facts, said, news2, age, *own), strict=True):
            column.append(value)

    def _number(self, word: str) -> int:
        if word not in self._words and len(self._words) >= WORDS_MAX:
            return 0
        return self._words.setdefault(word, len(self._words))

    def _make_room(self, since: int) -> None:
        kept = self._column("row") >= since
        while int(kept.sum()) > self._rows_max // 2 and self.sample < SAMPLE_MAX:
            self.sample *= 2
            kept = kept & (self._column("patient") % self.sample == 0)
        if kept.all():
            kept[: len(kept) // 2] = False
        for name, code in _CODES.items():
            self._columns[name] = array(code, np.asarray(self._columns[name])[kept].tobytes())

    def _column(self, name: str) -> Ints:
        """Give a copy: what is appended later must not meet a view."""
        return np.array(self._columns[name]).astype(np.int64)

    def _floats(self, name: str) -> Floats:
        return np.array(self._columns[name]).astype(np.float64)

    def heard(self, slot: int, since: int, learned_until: Millis, champion: str) -> Heard:
        """Give the rows that are new to the challenger of a slot, beside a champion: a version's id, or `news2`.

        Of a version in force only the rows that it answered itself count; NEWS2 has a total in every row.
        """
        own, numbers = self._floats(f"own{slot}"), self._column("row")
        here = numbers >= since
        matured = self._column("matured_at")
        new = here & (matured > learned_until)
        theirs = new if champion == NEWS2_ALONE else new & (self._column("by") == number_of(champion))
        former = self._floats("news2" if champion == NEWS2_ALONE else "said")
        kept = theirs & np.isfinite(former) & np.isfinite(own)
        order = np.flatnonzero(kept)
        patients, at = self._column("patient"), self._column("at")
        rows = Rows(
            labels=self._column("label")[order].astype(bool),
            champion=former[order],
            challenger=own[order],
            patients=patients[order],
            at=at[order],
            matured_at=matured[order],
            subgroups=self._groups(order),
        )
        return Heard(
            rows,
            learned=int((here & ~new).sum()),
            unusable=int(theirs.sum() - kept.sum()),
            elsewhere=int(new.sum() - theirs.sum()),
            first_row=since,
        )

    def _groups(self, order: NDArray[np.intp]) -> dict[str, Words]:
        words, nothing = np.array(list(self._words), dtype=np.str_), np.full(len(order), "", dtype=np.str_)
        groups = {name: words[self._column(name)[order]] if name in FACTS else nothing for name in DIMENSIONS}
        return {**groups, "age_band": age_band(self._floats("age")[order])}

    def state(self) -> ContestRowsState:
        """Give everything as plain values."""
        columns = {name: column.tobytes() for name, column in self._columns.items()}
        return ContestRowsState(columns, self.sample, list(self._words))

    def restore(self, state: ContestRowsState) -> None:
        """Go on from a state, alike. Raises `ValueError` for one that nothing of ours gave."""
        found = {name: array(code, state.columns.get(name, b"")) for name, code in _CODES.items()}
        if len({len(column) for column in found.values()}) != 1:
            raise ValueError("columns of unequal length")
        self._columns, self.sample = found, state.sample
        self._words = {word: number for number, word in enumerate(state.words)}


def heard(vector: Sequence[float], by: str, said: float | None, own: Sequence[float | None]) -> tuple[float, ...]:
    """Give what waits of a score: who was in force, what that one said, NEWS2's total, the age, and each slot's word.

    `vector` is (NEWS2's total, age in years); an id of twelve hexadecimal digits is one that a float holds exactly.

    >>> heard((5.0, 70.0), "00000000001f", 0.5, (0.25, None))
    (31.0, 0.5, 5.0, 70.0, 0.25, nan)
    """
    return (float(number_of(by)), _known(said), *vector, *map(_known, own))


def number_of(version: str) -> int:
    """Give a version's id as a number; `NOBODY` for what is no id.

    >>> number_of("00000000001f"), number_of("")
    (31, -1)
    """
    try:
        return int(version, 16) if len(version) == VERSION_DIGITS else NOBODY
    except ValueError:
        return NOBODY


def _known(value: float | None) -> float:
    return nan if value is None or isnan(value) else value
