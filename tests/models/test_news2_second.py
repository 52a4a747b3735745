"""A second NEWS2, written from the Royal College of Physicians' table alone, held against the first on the ICU data.

It shares no code with `models`: points are written as chains of comparisons, readings are kept as plain lists. What it
takes from `features` is only what it must share to be a comparison: canonical values, and which of them are possible.
"""

from __future__ import annotations

import math
import os
from bisect import bisect_right, insort
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.datasets import physionet2012, physionet2019
from connectors.decoded import Decoded, Refusal
from events import Observation
from features.catalogue import default_catalogue
from features.state import PatientState
from models.news2 import score_news2

WHOLE = os.environ.get("WARDSTREAM_WHOLE") == "1"
SAMPLE_EVERY = 1 if WHOLE else 40
"""Each n-th stay: about a fortieth of the data in an ordinary run, all of it with WARDSTREAM_WHOLE=1."""
DIFFERENCES_SHOWN = 20

HOUR_MS = 3_600_000
MAX_AGE_MS = 12 * HOUR_MS

Row = tuple[str, float, int]
"""(feature, value in its canonical unit, event_time in milliseconds)."""


def half_up(value: float, decimals: int) -> float:
    """Round half away from minus infinity, as a nurse rounds; 36.05 is 36.1 although its float lies below."""
    scale = float(10**decimals)
    return math.floor(round(value * scale, 6) + 0.5) / scale


def respiration(rate: float) -> int:
    if rate <= 8 or rate >= 25:
        return 3
    if rate >= 21:
        return 2
    return 1 if rate <= 11 else 0


def saturation(percent: float) -> int:
    if percent >= 96:
        return 0
    if percent >= 94:
        return 1
    return 2 if percent >= 92 else 3


def pressure(systolic: float) -> int:
    if systolic <= 90 or systolic >= 220:
        return 3
    if systolic <= 100:
        return 2
    return 1 if systolic <= 110 else 0


def pulse(rate: float) -> int:
    if rate <= 40 or rate >= 131:
        return 3
    if rate >= 111:
        return 2
    return 1 if rate <= 50 or rate >= 91 else 0


def warmth(celsius: float) -> int:
    if celsius <= 35.0:
        return 3
    if celsius >= 39.1:
        return 2
    return 1 if celsius <= 36.0 or celsius >= 38.1 else 0


class SecondNews2:
    """Adds up NEWS2 (scale 1) of one stay from the latest value of each parameter; what is not there adds nothing."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[int, float]]] = {}

    def see(self, row: Row) -> None:
        """Take a row in, in any order; of equal times the later one taken in stands later."""
        feature, value, event_time = row
        insort(self._rows.setdefault(feature, []), (event_time, value), key=lambda seen: seen[0])

    def total(self, at: int) -> int:
        """Add up the points at a time, in milliseconds."""
        points = 0
        for feature, decimals, score in (
            ("respiration_rate", 0, respiration),
            ("spo2", 0, saturation),
            ("systolic_bp", 0, pressure),
            ("heart_rate", 0, pulse),
            ("temperature", 1, warmth),
        ):
            value = self.latest(feature, at)
            if value is not None:
                points += score(half_up(value[1], decimals))
        gcs = self.latest("gcs_total", at)
        if gcs is not None and half_up(gcs[1], 0) < 15:
            points += 3
        fio2 = self.latest("fio2", at)
        if fio2 is not None and half_up(fio2[1], 0) > 21:
            points += 2
        return points

    def latest(self, feature: str, at: int) -> tuple[int, float] | None:
        """Give the newest (time, value) at or before a time and not older than 12 h; of equal times the later one."""
        rows = self._rows.get(feature, [])
        place = bisect_right(rows, at, key=lambda seen: seen[0])
        return rows[place - 1] if place and rows[place - 1][0] >= at - MAX_AGE_MS else None


@pytest.mark.parametrize(
    ("rows", "total"),
    [
        ([], 0),
        ([("respiration_rate", 24.5, 0)], 3),
        ([("temperature", 38.05, 0)], 1),
        ([("temperature", 35.04, 0)], 3),
        ([("heart_rate", 90.4, 0), ("systolic_bp", 110.5, 0)], 0),
        ([("gcs_total", 14, 0), ("fio2", 40, 0), ("spo2", 91, 0)], 8),
        ([("fio2", 21, 0)], 0),
    ],
)
def test_second_news2_adds_up_what_is_there(rows: list[Row], total: int) -> None:
    """The second implementation gives the totals worked out by hand."""
    second = SecondNews2()
    for row in rows:
        second.see(row)
    assert second.total(0) == total


def test_second_news2_forgets_after_twelve_hours() -> None:
    """A value counts for 12 h and not a millisecond longer."""
    second = SecondNews2()
    second.see(("heart_rate", 140.0, 0))
    assert (second.total(MAX_AGE_MS), second.total(MAX_AGE_MS + 1)) == (3, 0)


FEATURES = {
    "8867-4": ("heart_rate", 1.0),
    "9279-1": ("respiration_rate", 1.0),
    "59408-5": ("spo2", 1.0),
    "8480-6": ("systolic_bp", 1.0),
    "8310-5": ("temperature", 1.0),
    "9269-2": ("gcs_total", 1.0),
    "3150-6": ("fio2", 100.0),
}
"""The LOINC codes in the ICU data that NEWS2 reads, and what makes their values canonical (a fraction a percentage)."""


def rows_of(message: Decoded) -> Iterator[Row]:
    """Give what NEWS2 may use of a message: values that are possible by the catalogue's limits."""
    for event in message.events:
        if isinstance(event, Observation) and event.value is not None and event.codings[0][1] in FEATURES:
            name, factor = FEATURES[event.codings[0][1]]
            feature = default_catalogue().by_name(name)
            value = round(event.value * factor, 6)
            if feature.possible_min <= value <= feature.possible_max:
                yield name, value, event.event_time


def differences(stays: Iterator[list[tuple[int, Decoded | Refusal]]]) -> tuple[int, list[str]]:
    """Score every row of every stay both ways; give how many were scored, and the first ones that differ."""
    scored = 0
    differing: list[str] = []
    for items in stays:
        state, second = PatientState(), SecondNews2()
        for received_time, message in items:
            assert isinstance(message, Decoded)
            if message.kind != "row":
                continue
            for event in message.events:
                assert isinstance(event, Observation)
                state.observe(event, received_time, message.message_id)
            for row in rows_of(message):
                second.see(row)
            first_total = score_news2(state, received_time).total
            second_total = second.total(received_time)
            scored += 1
            if first_total != second_total and len(differing) < DIFFERENCES_SHOWN:
                differing.append(f"{message.message_id}: first {first_total}, second {second_total}")
    return scored, differing


@pytest.mark.parametrize(("importer", "rows_min"), [(physionet2019, 15_000), (physionet2012, 5_000)])
def test_two_implementations_of_news2_agree_on_icu_data(shared_data: Path, importer: object, rows_min: int) -> None:
    """NEWS2 totals equal those of the second implementation at every row (a sample; all with WARDSTREAM_WHOLE=1)."""
    assert importer in (physionet2019, physionet2012)
    module = physionet2019 if importer is physionet2019 else physionet2012
    scored, differing = differences(module.read_stays(shared_data / module.FEED, SAMPLE_EVERY))
    assert scored >= rows_min
    assert not differing, "\n".join(differing)
