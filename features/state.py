"""One patient's state: a fold over that patient's events in log order.

Owns what is known of a patient now: readings by feature, the newest quarantined value, demographics and stay. Must not
know models, stores or the clock; the present is an argument. Because the state holds only what was received, a vector
of it uses nothing received later; and of what it holds, nothing with an event time after the asked instant is used.
"""

from __future__ import annotations

from array import array
from math import floor, nan

from events import (
    MILLIS_PER_HOUR,
    MILLIS_PER_MINUTE,
    Admission,
    Cancellation,
    Correction,
    Demographics,
    Discharge,
    Location,
    Millis,
    Observation,
    Transfer,
)
from features import encoding
from features.answers import answer_in
from features.catalogue import Catalogue, Resolution, default_catalogue
from features.intake import Intake, Outcome
from features.reading import Reading
from features.series import Put, Removal, Series
from features.stay import NEVER, Stay
from features.vector import VectorSpec, fill, latest_in

FUTURE_TOLERANCE_MS = 10 * MILLIS_PER_MINUTE
"""Clocks of monitors and of the gateway differ by minutes; a value from further ahead is quarantined."""
STEPS_MAX = 2.0**62
"""Beyond this a value in steps is no int64; it is impossible anyhow."""

_OUTCOMES: dict[Put, tuple[Outcome, str]] = {
    Put.STORED: ("accepted", ""),
    Put.DUPLICATE: ("duplicate", ""),
    Put.UPDATED: ("corrected", "updated"),
    Put.TOO_OLD: ("too_old", ""),
}


class PatientState:
    """What is known of one patient.

    >>> state = PatientState()
    >>> pulse = Observation(1, (("loinc", "8867-4"),), 72.0, "/min", event_time=1_000)
    >>> state.observe(pulse, received_time=2_000, message_id="m1").outcome
    'accepted'
    >>> state.latest("heart_rate", at=2_000).value
    72.0
    >>> state.vector(2_000, VectorSpec(["heart_rate.last", "lactate.last"]))
    [72.0, nan]
    """

    __slots__ = ("_message_ids", "_quarantined", "_received", "_series", "catalogue", "last_received_time", "stay")

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or default_catalogue()
        count = len(self.catalogue.features)
        self._series: list[Series | None] = [None] * count
        self._received: array[int] = array("q", bytes(8 * count))
        self._message_ids: list[str] = [""] * count
        self._quarantined: dict[int, tuple[Millis, Intake]] = {}
        self.last_received_time: Millis = NEVER
        self.stay = Stay()

    # What comes in

    def observe(self, obs: Observation, received_time: Millis, message_id: str) -> Intake:
        """Take one observation in (hot path). An observation marked corrected or withdrawn is a correction."""
        if received_time > self.last_received_time:  # noqa: PLR1730 -- a call of max costs a tenth of this method
            self.last_received_time = received_time
        status = obs.status
        if status == "corrected" or status == "withdrawn":  # noqa: PLR1714 -- twice as quick as a tuple test
            return self.correct(Correction(obs, withdrawn=status == "withdrawn"), received_time, message_id)
        resolution = self.catalogue.resolution(obs.codings, obs.unit, obs.qualifiers)
        if resolution is None:
            return Intake("unmapped", "", "", obs.observation_id, obs.event_time, obs.value)
        steps = self._steps(obs, resolution, received_time)
        if isinstance(steps, Intake):
            return steps
        return self._store(obs, resolution, steps, received_time, message_id)

    def correct(  # noqa: PLR0911 -- one return an outcome, read from top to bottom
        self, correction: Correction, received_time: Millis, message_id: str
    ) -> Intake:
        """Replace or take back a result: found by its id, else as the only one of its code at that very time.

        A replacement that is itself unusable still takes the old value away: its sender no longer stands by it. A
        replacement for a result that is not there is taken as a reading.
        """
        self.last_received_time = max(self.last_received_time, received_time)
        obs = correction.observation
        resolution = self.catalogue.resolution(obs.codings, obs.unit, obs.qualifiers)
        if resolution is None:
            return Intake("unmapped", "", "", obs.observation_id, obs.event_time, obs.value)
        name = resolution.feature.name
        removal, old_value = self._remove(resolution, obs)
        steps = None if correction.withdrawn else self._steps(obs, resolution, received_time)
        if isinstance(steps, Intake):
            if steps.outcome == "absent" and removal is Removal.REMOVED:
                return Intake("withdrawn", name, steps.reason, obs.observation_id, obs.event_time, old_value)
            return steps
        if removal is Removal.COARSE:
            series = self._series[resolution.index]
            if steps is not None and series is not None:
                series.widen(obs.event_time, steps, obs.observation_id)
            return Intake("unmatched_correction", name, "coarse", obs.observation_id, obs.event_time, None)
        if steps is None:
            outcome: Outcome = "withdrawn" if removal is Removal.REMOVED else "unmatched_correction"
            return Intake(outcome, name, "", obs.observation_id, obs.event_time, old_value)
        taken = self._store(obs, resolution, steps, received_time, message_id)
        if taken.outcome != "accepted":
            return taken
        if removal is Removal.REMOVED:
            return Intake("corrected", name, "", obs.observation_id, obs.event_time, taken.value)
        return Intake("accepted", name, "unmatched_correction", obs.observation_id, obs.event_time, taken.value)

    def apply(
        self, event: Admission | Transfer | Discharge | Cancellation | Demographics, received_time: Millis
    ) -> None:
        """Fold an ADT event into stay and demographics."""
        self.last_received_time = max(self.last_received_time, received_time)
        if isinstance(event, Demographics):
            self.stay.describe(event)
        elif isinstance(event, Transfer):
            self.stay.transfer(event)
        elif isinstance(event, Admission):
            self.stay.admit(event)
        elif isinstance(event, Discharge):
            self.stay.discharge(event)
        else:
            self.stay.cancel(event)

    def absorb(self, other: PatientState) -> None:
        """Take in the state of a record that was merged into this one (A40). `other` must not be used afterwards."""
        for index, theirs in enumerate(other._series):
            if theirs is None:
                continue
            ours = self._series[index]
            if ours is None or _newest_key(theirs) > _newest_key(ours):
                self._received[index] = other._received[index]
                self._message_ids[index] = other._message_ids[index]
            if ours is None:
                self._series[index] = theirs
            else:
                ours.absorb(theirs)
        for index, (time, intake) in other._quarantined.items():
            self._hold_back(index, time, intake)
        self.stay.absorb(other.stay)
        self.last_received_time = max(self.last_received_time, other.last_received_time)

    # What is asked

    def latest(self, feature_name: str, at: Millis) -> Reading | None:
        """Give the newest reading with event time <= `at` (ms), however old; its age is the asker's to judge."""
        index = self.catalogue.index_of[feature_name]
        series = self._series[index]
        if series is None:
            return None
        raw = series.raw
        steps = self.catalogue.features[index].steps
        if raw and raw[-3] <= at:
            return Reading(
                feature_name, raw[-2] / steps, raw[-3], self._received[index], raw[-1], self._message_ids[index]
            )
        found = latest_in(series, at)
        return None if found is None else Reading(feature_name, found[1] / steps, found[0], 0, found[2], "")

    def latest_by_index(self, index: int, at: Millis) -> tuple[float, Millis, int] | None:
        """Give (value, event_time, observation_id) of the newest reading of a feature up to `at` (hot path)."""
        series = self._series[index]
        if series is None:
            return None
        raw = series.raw
        steps = self.catalogue.features[index].steps
        if raw and raw[-3] <= at:
            return raw[-2] / steps, raw[-3], raw[-1]
        found = latest_in(series, at)
        return None if found is None else (found[1] / steps, found[0], found[2])

    def quarantined(self, feature_name: str) -> Intake | None:
        """Give the value of a feature that was quarantined and is newer than its latest good one, if there is one."""
        held = self._quarantined.get(self.catalogue.index_of[feature_name])
        return held[1] if held else None

    def inexact(self, feature_name: str) -> bool:
        """Say whether a correction reached into hourly buckets, so that this feature's older extremes may be off."""
        series = self._series[self.catalogue.index_of[feature_name]]
        return series is not None and series.inexact

    def vector(self, at: Millis, spec: VectorSpec) -> list[float]:
        """Compute a vector as of `at` (hot path); NaN where nothing is known. The spec must be of this catalogue."""
        out = spec.template.copy()
        all_series = self._series
        for plan in spec.plans:
            series = all_series[plan.feature]
            if series is not None:
                fill(out, series, plan, at)
        for place in spec.age_places:
            age = self.age_years(at)
            out[place] = nan if age is None else age
        admitted_time = self.stay.admitted_time
        if admitted_time is not None and admitted_time <= at:
            for place in spec.admission_places:
                out[place] = (at - admitted_time) / MILLIS_PER_HOUR
        return out

    def statistic(self, at: Millis, name: str) -> float:
        """Compute one named statistic, such as `heart_rate.mean_6h` (for people; models use `vector`)."""
        return self.vector(at, VectorSpec([name], self.catalogue))[0]

    def age_years(self, at: Millis) -> float | None:
        """Give the age in years at `at`, or None."""
        return self.stay.age_years(at)

    @property
    def location(self) -> Location:
        """Where the patient lies."""
        return self.stay.location

    @property
    def admitted(self) -> bool:
        """Whether a stay is open."""
        return self.stay.admitted

    @property
    def admitted_time(self) -> Millis | None:
        """When the stay began, if that is known."""
        return self.stay.admitted_time

    @property
    def discharged_time(self) -> Millis | None:
        """When the stay ended, if it has."""
        return self.stay.discharged_time

    @property
    def patient_class(self) -> str:
        """HL7 table 0004 of the stay."""
        return self.stay.patient_class

    @property
    def sex(self) -> str | None:
        """Administrative sex, if known."""
        return self.stay.sex

    @property
    def birth_date(self) -> str | None:
        """As much as is known of an ISO date."""
        return self.stay.birth_date

    @property
    def deceased(self) -> bool:
        """Whether a death is recorded."""
        return self.stay.deceased

    # How it is kept

    def encode(self) -> bytes:
        """Encode the whole state; `decode` gives it back."""
        return encoding.encode(
            encoding.Parts(
                series=[
                    (feature.name, feature.steps, series)
                    for feature, series in zip(self.catalogue.features, self._series, strict=True)
                    if series is not None
                ],
                newest={
                    self.catalogue.features[index].name: (self._received[index], self._message_ids[index])
                    for index, series in enumerate(self._series)
                    if series is not None
                },
                quarantined={self.catalogue.features[i].name: held for i, held in sorted(self._quarantined.items())},
                stay=self.stay,
                last_received_time=self.last_received_time,
            )
        )

    @classmethod
    def decode(cls, data: bytes, catalogue: Catalogue | None = None) -> PatientState:
        """Decode what `encode` wrote; raises `UnknownStateVersionError`, `CorruptStateError`.

        A feature that the catalogue no longer has is left out.
        """
        state = cls(catalogue)
        index_of, features = state.catalogue.index_of, state.catalogue.features
        parts = encoding.decode(data)
        for name, steps, series in parts.series:
            index = index_of.get(name)
            if index is None:
                continue
            if features[index].steps != steps:
                raise encoding.UnknownStateVersionError(
                    f"{name} was kept in 1/{steps}, is now 1/{features[index].steps}"
                )
            state._series[index] = series
            state._received[index], state._message_ids[index] = parts.newest[name]
        state._quarantined = {index_of[name]: held for name, held in parts.quarantined.items() if name in index_of}
        state.stay = parts.stay
        state.last_received_time = parts.last_received_time
        return state

    # Steps of the fold

    def _steps(  # noqa: PLR0911 -- one return a reason, read from top to bottom
        self, obs: Observation, resolution: Resolution, received_time: Millis
    ) -> int | Intake:
        """Make a value a whole number of steps, or say what became of it."""
        feature, value = resolution.feature, obs.value
        if resolution.feature.kind == "coded":
            answer = answer_in(feature.answers, feature.words, obs.answers, obs.text)
            if answer is None:
                if value is None and not obs.answers and not obs.text:
                    return Intake("absent", feature.name, obs.absent_reason, obs.observation_id, obs.event_time, None)
                return self._quarantine(obs, resolution, "unknown_answer", received_time, value)
            value = float(answer)
        elif value is None:
            if obs.answers or obs.text:
                return self._quarantine(obs, resolution, "not_a_number", received_time, None)
            return Intake("absent", feature.name, obs.absent_reason, obs.observation_id, obs.event_time, None)
        elif resolution.fault:
            return self._quarantine(obs, resolution, resolution.fault, received_time, value)
        scaled = value * resolution.factor + resolution.offset
        if not -STEPS_MAX < scaled < STEPS_MAX:
            reason = "not_a_number" if value != value else "impossible_value"  # noqa: PLR0124 -- the test for NaN
            return self._quarantine(obs, resolution, reason, received_time, None)
        steps = floor(scaled)
        if steps < resolution.low or steps > resolution.high:
            return self._quarantine(obs, resolution, "impossible_value", received_time, steps / feature.steps)
        if obs.event_time > received_time + FUTURE_TOLERANCE_MS:
            return self._quarantine(obs, resolution, "future_time", received_time, steps / feature.steps)
        return steps

    def _store(
        self, obs: Observation, resolution: Resolution, steps: int, received_time: Millis, message_id: str
    ) -> Intake:
        index, identity, event_time = resolution.index, obs.observation_id, obs.event_time
        series = self._series[index]
        if series is None:
            series = self._series[index] = Series()
        put = series.put(event_time, steps, identity)
        if put is not Put.DUPLICATE:
            raw = series.raw
            if raw[-1] == identity and raw[-3] == event_time:
                self._received[index] = received_time
                self._message_ids[index] = message_id
        if self._quarantined:
            held = self._quarantined.get(index)
            if held is not None and (held[0] <= event_time or held[1].observation_id == identity):
                del self._quarantined[index]
        feature = resolution.feature
        outcome, reason = _OUTCOMES[put]
        return Intake(outcome, feature.name, reason, identity, event_time, steps / feature.steps)

    def _remove(self, resolution: Resolution, obs: Observation) -> tuple[Removal, float | None]:
        index = resolution.index
        held = self._quarantined.get(index)
        quarantined = held is not None and held[1].observation_id == obs.observation_id
        if quarantined:
            del self._quarantined[index]
        series = self._series[index]
        if series is None:
            return (Removal.REMOVED if quarantined else Removal.NOT_FOUND), None
        newest = _newest_key(series)
        removal, _, value, _ = series.remove(obs.observation_id, obs.event_time)
        if removal is not Removal.REMOVED:
            return (Removal.REMOVED if quarantined else removal), None
        if not series.raw and series.rows is None:
            self._series[index] = None
        if _newest_key(series) != newest:
            self._received[index], self._message_ids[index] = 0, ""
        return removal, value / resolution.feature.steps

    def _quarantine(
        self, obs: Observation, resolution: Resolution, reason: str, received_time: Millis, value: float | None
    ) -> Intake:
        name = resolution.feature.name
        intake = Intake("quarantined", name, reason, obs.observation_id, obs.event_time, value)
        # A time from the future must not keep the notice up after good values have come.
        self._hold_back(resolution.index, min(obs.event_time, received_time), intake)
        return intake

    def _hold_back(self, index: int, time: Millis, intake: Intake) -> None:
        held, series = self._quarantined.get(index), self._series[index]
        newer_than_good = series is None or not series.raw or time > series.raw[-3]
        if newer_than_good and (held is None or time >= held[0]):
            self._quarantined[index] = (time, intake)


def _newest_key(series: Series) -> tuple[int, int]:
    return (series.raw[-3], series.raw[-1]) if series.raw else (NEVER, 0)
