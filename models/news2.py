"""NEWS2 of a patient as of an instant, with bounds over what is not known.

Owns which readings count, what is missing, stale or quarantined, and what that does to the bounds. Must not know
alerts, wards or any diagnosis: scale 2 is used only where the caller says so, for a patient with confirmed hypercapnic
failure and a prescribed 88-92 % target (RCP 2017); no code implies it.

Settled here (clinical.md asks for each to be settled once):

- A reading counts up to the catalogue's maximum age (12 h for every input, RCP's longest observation interval). Past it
  the sub-score is None, named in `stale`, and the bounds open.
- Oxygen comes from the newest of inspired fraction, coded air or oxygen, and flow. FiO2 of 21 % or less is air, more is
  oxygen; flow above 0 is oxygen (never rounded: 0.25 L/min is oxygen), 0 is air. At equal times FiO2 decides; between
  flow and code, oxygen does. No record is unknown, never air.
- Consciousness comes from the newer of the coded answer and the GCS total; at equal times the worse. Sedation excludes
  it: it is missing.
- Pulse is the catalogue's heart rate; systolic pressure is invasive or cuff, whichever is newer.
- A quarantined value newer than the last good one does not erase it: dropping a true red score because of an artefact
  would hide an emergency. The good value counts in `total` while it is fresh, the parameter is named in `quarantined`,
  and both bounds open: what the impossible number hides may be better or worse.
- Of several newest readings of one parameter at one time (two devices, two sub-ids), the one with most points counts,
  as it does between code and GCS. It is looked for among the readings that the state holds in full. So it does between
  a device's newest reading and a person's newest entry of the hour before it (`features.newest`).
- `missing` names every sub-score that is None, `stale` those of them that have an expired reading.
- On scale 2, a saturation of 93 % or more with oxygen unknown has no sub-score; the bounds take both cases.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

import msgspec

from events import Millis
from features.catalogue import default_catalogue
from features.newest import Held
from features.reading import Reading
from features.state import PatientState
from models.news2_table import (
    ALERT,
    ALTERED_POINTS,
    OXYGEN_POINTS,
    POINTS_MAX,
    RED_POINTS,
    STEPS,
    Scale,
    consciousness_points_from_gcs,
    oxygen_from_fio2,
    points,
    spo2_points,
)

Band = Literal["low", "low_medium", "medium", "high"]

HIGH_FROM = 7
"""RCP 2017, chart 2: 7 or more is an emergency response."""
MEDIUM_FROM = 5
"""RCP 2017, chart 2: 5 or 6 is an urgent response."""

PARAMETERS = ("respiration_rate", "spo2", "oxygen", "systolic_bp", "pulse", "consciousness", "temperature")
"""The sub-scores in the chart's order."""

OXYGEN_SOURCES = ("fio2", "supplemental_oxygen", "o2_flow")
CONSCIOUSNESS_SOURCES = ("consciousness", "gcs_total")
SOURCES: dict[str, tuple[str, ...]] = {
    "respiration_rate": ("respiration_rate",),
    "spo2": ("spo2",),
    "oxygen": OXYGEN_SOURCES,
    "systolic_bp": ("systolic_bp",),
    "pulse": ("heart_rate",),
    "consciousness": CONSCIOUSNESS_SOURCES,
    "temperature": ("temperature",),
}
"""The catalogue's features each sub-score is read from."""


class News2(msgspec.Struct, frozen=True, gc=False):
    """NEWS2 at one time. Sub-scores are None where missing, stale or impossible; `total` sums those that are there.

    `low` and `high` bound what the total would be if everything were known: what is missing, stale or quarantined may
    be at its best or its worst. So `low` is below `total` where a quarantined value leaves a good one standing. `band`
    is by `total`; `red` says that a parameter scores 3, and is a flag beside the band.
    """

    total: int
    low: int
    high: int
    band: Band
    red: bool
    scale: Scale
    respiration_rate: int | None
    spo2: int | None
    oxygen: int | None
    systolic_bp: int | None
    pulse: int | None
    consciousness: int | None
    temperature: int | None
    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()


def band_of(total: int, *, red: bool) -> Band:
    """Give the response band of a total (RCP 2017, chart 2).

    >>> band_of(7, red=False), band_of(5, red=True), band_of(4, red=True), band_of(4, red=False)
    ('high', 'medium', 'low_medium', 'low')
    """
    if total >= HIGH_FROM:
        return "high"
    if total >= MEDIUM_FROM:
        return "medium"
    return "low_medium" if red else "low"


class _Input(msgspec.Struct, frozen=True, gc=False):
    """A feature that is read, with where it stands in the catalogue and its maximum age (ms)."""

    index: int
    name: str
    parameter: str
    max_age_ms: Millis


def _input(name: str, parameter: str) -> _Input:
    feature = default_catalogue().by_name(name)
    if feature.max_age_ms is None:
        raise ValueError(f"{name} has no maximum age: a NEWS2 input must expire")
    return _Input(feature.index, name, parameter, feature.max_age_ms)


_INPUTS = tuple(_input(name, parameter) for parameter in PARAMETERS for name in SOURCES[parameter])
"""Every feature read, in the order `score_news2` takes them. Sites add codes to the catalogue, never features, so the
index is the same in every catalogue."""

_SPO2_PLACE = [source.name for source in _INPUTS].index("spo2")
_AGES = tuple((source.index, source.max_age_ms) for source in _INPUTS)
_QUARANTINABLE = tuple((source.name, source.parameter, source.max_age_ms) for source in _INPUTS)

_RESPIRATION, _SPO2, _PRESSURE, _PULSE, _TEMPERATURE = (
    (STEPS[name].cuts, STEPS[name].points)
    for name in ("respiration_rate", "spo2", "systolic_bp", "pulse", "temperature")
)


def _oxygen(fio2: Held | None, coded: Held | None, flow: Held | None) -> tuple[bool | None, int]:
    """Tell oxygen from air by the newest source (at equal times FiO2, then whichever says oxygen), and which it was.

    The second is the source's place in `OXYGEN_SOURCES`, -1 where there is none.
    """
    which, time, on_oxygen = -1, 0, None
    if fio2 is not None:
        which, time, on_oxygen = 0, fio2[1], oxygen_from_fio2(fio2[0])
    if coded is not None and (which < 0 or coded[1] > time):
        which, time, on_oxygen = 1, coded[1], coded[0] > 0
    if flow is not None and (which < 0 or flow[1] > time or (which == 1 and flow[1] == time and not on_oxygen)):
        which, on_oxygen = 2, flow[0] > 0
    return on_oxygen, which


def _consciousness(coded: Held | None, gcs: Held | None) -> tuple[int | None, int]:
    """Give the points of the newer of coded answer and GCS (at equal times the worse), and which it was (-1: none)."""
    if coded is None and gcs is None:
        return None, -1
    by_code = ALTERED_POINTS if coded is not None and coded[0] > ALERT else 0
    if gcs is None:
        return by_code, 0
    by_gcs = consciousness_points_from_gcs(gcs[0])
    if coded is None or gcs[1] > coded[1] or (gcs[1] == coded[1] and by_gcs > by_code):
        return by_gcs, 1
    return by_code, 0


def score_news2(state: PatientState, at: Millis, scale: Scale = 1, sedated: bool = False) -> News2:  # noqa: FBT001, FBT002 - positional by contract
    """Score a patient as of `at` (ms) from what `state` holds. Hot path.

    `scale` 2 only by a recorded clinical decision for this patient; `sedated` excludes consciousness. Source: RCP 2017.

    >>> nothing_known = score_news2(PatientState(), 0)
    >>> nothing_known.missing == PARAMETERS, nothing_known.total, nothing_known.low, nothing_known.high
    (True, 0, 0, 20)
    """
    held, tied = state.latest_fresh(_AGES, at)
    if tied:
        _take_worst(state, held, tied, scale)
    respiration, saturation, fio2, coded, flow, pressure, pulse, acvpu, gcs, temperature = held
    on_oxygen, _ = _oxygen(fio2, coded, flow)
    if saturation is None:
        spo2 = None
    elif scale == 1:
        spo2 = _SPO2[1][bisect_right(_SPO2[0], saturation[0])]
    else:
        spo2 = spo2_points(saturation[0], scale, on_oxygen=on_oxygen)
    subscores = (
        None if respiration is None else _RESPIRATION[1][bisect_right(_RESPIRATION[0], respiration[0])],
        spo2,
        None if on_oxygen is None else OXYGEN_POINTS if on_oxygen else 0,
        None if pressure is None else _PRESSURE[1][bisect_right(_PRESSURE[0], pressure[0])],
        None if pulse is None else _PULSE[1][bisect_right(_PULSE[0], pulse[0])],
        None if sedated else _consciousness(acvpu, gcs)[0],
        None if temperature is None else _TEMPERATURE[1][bisect_right(_TEMPERATURE[0], temperature[0])],
    )
    quarantined = _quarantined(state, at, sedated)
    red = RED_POINTS in subscores
    if None not in subscores and not quarantined:
        total = sum(subscores)  # type: ignore[arg-type]  # the line above says that none is None
        return News2(total, total, total, band_of(total, red=red), red, scale, *subscores)
    total = sum(filter(None, subscores))
    missing = tuple([name for name, value in zip(PARAMETERS, subscores, strict=True) if value is None])
    stale = _stale(state, at, missing, sedated) if missing else ()
    low, high = _bounds(subscores, quarantined, scale, saturation)
    return News2(total, low, high, band_of(total, red=red), red, scale, *subscores, missing, stale, quarantined)


def _quarantined(state: PatientState, at: Millis, sedated: bool) -> tuple[str, ...]:  # noqa: FBT001 - hot path
    """Name the parameters with a quarantined value that is newer than the last good one and would still be fresh.

    One quarantined for a time in the future has no age yet, and stays named until a good value comes.
    """
    if not state.any_quarantined:
        return ()
    found: list[str] = []
    held_back = state.quarantined
    for name, parameter, max_age_ms in _QUARANTINABLE:
        intake = held_back(name)
        if (
            intake is not None
            and at - intake.event_time <= max_age_ms
            and parameter not in found
            and not (sedated and parameter == "consciousness")
        ):
            found.append(parameter)
    return tuple(found)


def _stale(state: PatientState, at: Millis, missing: tuple[str, ...], sedated: bool) -> tuple[str, ...]:  # noqa: FBT001 - as above
    """Name the missing parameters that have a reading, which therefore has expired."""
    latest = state.latest_by_index
    expired = {
        source.parameter: True
        for source in _INPUTS
        if source.parameter in missing
        and (held := latest(source.index, at)) is not None
        and at - held[1] > source.max_age_ms
    }
    if sedated:
        expired.pop("consciousness", None)
    return tuple(expired)


def _bounds(
    subscores: tuple[int | None, ...], quarantined: tuple[str, ...], scale: Scale, saturation: Held | None
) -> tuple[int, int]:
    """Give the least and the most that the total could be if what is missing or quarantined were known.

    On scale 2 a known saturation and unknown oxygen open together: from the better of air and oxygen to the worse, not
    the sum of each's extremes.
    """
    known = {
        name: value
        for name, value in zip(PARAMETERS, subscores, strict=True)
        if value is not None and name not in quarantined
    }
    together = scale == 2 and "oxygen" not in known and saturation is not None and "spo2" not in quarantined
    if together:
        known.pop("spo2", None)
    low = sum(known.values())
    high = low + sum(POINTS_MAX[name] for name in PARAMETERS if name not in known)
    if together:
        assert saturation is not None
        on_air = spo2_points(saturation[0], 2, on_oxygen=False) or 0
        on_oxygen = OXYGEN_POINTS + (spo2_points(saturation[0], 2, on_oxygen=True) or 0)
        low += min(on_air, on_oxygen)
        high += max(on_air, on_oxygen) - POINTS_MAX["spo2"] - OXYGEN_POINTS
    return low, high


def _take_worst(state: PatientState, held: list[Held | None], tied: list[int], scale: Scale) -> None:
    """Where several readings of a feature stand beside one another, put the one with most points; of equals the newest,
    and of one time the greatest id.

    Saturation comes last: on scale 2 its points depend on oxygen.
    """
    for place in sorted(tied, key=_SPO2_PLACE.__eq__):
        newest, source = held[place], _INPUTS[place]
        assert newest is not None
        at_once = state.beside(source.index, newest[1])
        if place == _SPO2_PLACE:
            on_oxygen, _ = _oxygen(*held[2:5])
            held[place] = max(at_once, key=lambda one: (_spo2_badness(one[0], scale, on_oxygen=on_oxygen), one[1]))
        else:
            held[place] = max(at_once, key=lambda one: (_badness(source.name, one[0]), one[1], one[2]))


def _badness(name: str, value: float) -> int:
    """Give the points by this feature alone. Of equals the newest counts: an older one would lose to a third source
    of its parameter (flow, code) that the newest of them is newer than.
    """
    if name == "gcs_total":
        return consciousness_points_from_gcs(value)
    if name == "consciousness":
        return ALTERED_POINTS if value > ALERT else 0
    if name in OXYGEN_SOURCES:
        return OXYGEN_POINTS if (oxygen_from_fio2(value) if name == "fio2" else value > 0) else 0
    return points("pulse" if name == "heart_rate" else name, value) or 0


def _spo2_badness(value: float, scale: Scale, *, on_oxygen: bool | None) -> tuple[int, int]:
    """Give the points, and where they are equal or unknown those on oxygen, which are never fewer."""
    return spo2_points(value, scale, on_oxygen=on_oxygen) or 0, spo2_points(value, scale, on_oxygen=True) or 0


def news2_evidence(
    state: PatientState,
    at: Millis,
    sedated: bool = False,  # noqa: FBT001, FBT002 - as score_news2
    scale: Scale = 1,
) -> tuple[Reading, ...]:
    """Give the readings that `score_news2` used at `at`, in the chart's order, with their message ids.

    >>> news2_evidence(PatientState(), 0)
    ()
    """
    held, tied = state.latest_fresh(_AGES, at)
    if tied:
        _take_worst(state, held, tied, scale)
    _, oxygen = _oxygen(held[2], held[3], held[4])
    _, consciousness = _consciousness(held[7], held[8])
    names = ["respiration_rate", "spo2"]
    if oxygen >= 0:
        names.append(OXYGEN_SOURCES[oxygen])
    names += ["systolic_bp", "heart_rate"]
    if consciousness >= 0 and not sedated:
        names.append(CONSCIOUSNESS_SOURCES[consciousness])
    names.append("temperature")
    used = {source.name: reading for source, reading in zip(_INPUTS, held, strict=True) if reading is not None}
    return tuple(_reading(state, name, used[name], at) for name in names if name in used)


def _reading(state: PatientState, name: str, held: Held, at: Millis) -> Reading:
    newest = state.latest(name, at)
    if newest is not None and newest.observation_id == held[2]:
        return newest
    return Reading(name, held[0], held[1], 0, held[2], "")
