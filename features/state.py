"""One patient's state: a fold over that patient's events in log order.

Owns what is known of a patient now: readings by feature, the newest quarantined value, demographics and stay. Must not
know models, stores or the clock; the present is an argument. Because the state holds only what was received, a vector
of it uses nothing received later; and of what it holds, nothing with an event time after the asked instant is used.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import floor, nan

import msgspec

from events import (
    MILLIS_PER_HOUR,
    Admission,
    Cancellation,
    Correction,
    Demographics,
    Discharge,
    Event,
    Millis,
    Observation,
    Transfer,
)
from features import encoding
from features.catalogue import Catalogue, Resolution, default_catalogue
from features.intake import Intake, Outcome
from features.newest import Held, beside, fresh_of, held_at, newest_held
from features.notices import Notices
from features.reading import Reading
from features.run import Odd, intake_of, take_run
from features.series import DUPLICATE, Removal, Series
from features.stay import NEVER, Resident
from features.superseded import Deed, Superseded
from features.thinning import held_as, public_id, put_thinned, thin
from features.value import FUTURE_TOLERANCE_MS, in_steps
from features.vector import VectorSpec, fill


class PatientState(Resident):
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

    __slots__ = ("_message_ids", "_quarantined", "_received", "_series", "_superseded", "catalogue",
                 "last_received_time")  # fmt: skip

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        super().__init__()
        self.catalogue = catalogue or default_catalogue()
        count = len(self.catalogue.features)
        self._series: list[Series | None] = [None] * count
        self._received: array[int] = array("q", bytes(8 * count))
        self._message_ids: list[str] = [""] * count
        self._quarantined = Notices()
        self.last_received_time: Millis = NEVER
        self._superseded = Superseded()

    # What comes in

    def observe(self, obs: Observation, received_time: Millis, message_id: str) -> Intake:
        """Take one observation in (hot path). An observation marked corrected or withdrawn is a correction."""
        if received_time > self.last_received_time:  # noqa: PLR1730 -- a call of max costs a tenth of this method
            self.last_received_time = received_time
        status = obs.status
        if status == "corrected" or status == "withdrawn":  # noqa: PLR1714 -- twice as quick
            return self.correct(Correction(obs, withdrawn=status == "withdrawn"), received_time, message_id)
        resolution = self.catalogue.resolutions[obs.codings, obs.unit, obs.qualifiers]
        identity, event_time, value = obs.observation_id, obs.event_time, obs.value
        if resolution is None:
            return Intake("unmapped", "", "", identity, event_time, value)
        if self._superseded and (deed := self._superseded.deed(identity, event_time)):
            return Intake("superseded", resolution.name, deed, identity, event_time, value)
        if resolution.plain and value is not None and event_time <= received_time and not obs.comparator:
            # A possible number in a known unit, not ahead: nearly all there is. `in_steps` says the same more slowly.
            scaled = value * resolution.factor + resolution.offset
            if resolution.low <= scaled < resolution.high + 1:
                return self._store(resolution, floor(scaled), event_time, identity, received_time, message_id)
        steps = in_steps(obs, resolution, received_time)
        if isinstance(steps, Intake):
            return self._not_taken(resolution, steps, received_time)
        # From a clock a little ahead it is true of now, not of later.
        return self._store(resolution, steps, min(event_time, received_time), identity, received_time, message_id)

    def observe_run(
        self, events: tuple[Event, ...], at: int, received_time: Millis, message_id: str
    ) -> tuple[int, Odd]:
        """Take in the observation at a place in `events` and those that directly follow it (hot path).

        Give the place after them, and the intakes that are not `accepted`, each with its observation.
        """
        if received_time > self.last_received_time:  # noqa: PLR1730 -- as in observe
            self.last_received_time = received_time
        kept = (self._series, self._received, self._message_ids, self.catalogue.resolutions, self._quarantined,
                self._superseded)  # fmt: skip
        return take_run(events, at, received_time, message_id, kept, self.observe)

    def correct(  # noqa: PLR0911 -- one return an outcome, read from top to bottom
        self, correction: Correction, received_time: Millis, message_id: str
    ) -> Intake:
        """Replace or take back a result, found by its id; its original does not count if it comes yet, or again.

        A replacement of an unknown id means the only reading of its code at that very time, and where there is none it
        is taken as a reading; a withdrawal of an unknown id removes nothing. An unusable replacement erases nothing
        either: the old value may be a true alarm. It is held against it as a quarantined newer one; a withdrawal is the
        way to take a value back.
        """
        self.last_received_time = max(self.last_received_time, received_time)
        obs = correction.observation
        resolution = self.catalogue.resolutions[obs.codings, obs.unit, obs.qualifiers]
        if resolution is None:
            return Intake("unmapped", "", "", obs.observation_id, obs.event_time, obs.value)
        steps = None if correction.withdrawn else in_steps(obs, resolution, received_time)
        if isinstance(steps, Intake):
            return self._unusable(resolution, steps, received_time)
        name, identity, event_time = resolution.name, obs.observation_id, min(obs.event_time, received_time)
        by_time = steps is not None and identity not in self._superseded
        removal, time, old_value, gone = self._remove(resolution, identity, event_time, by_time=by_time)
        deed: Deed = "withdrawn" if steps is None else "corrected"
        self._superseded.mark(gone, time, deed)
        self._superseded.mark(identity, max(time, min(obs.event_time, received_time + FUTURE_TOLERANCE_MS)), deed)
        if removal is Removal.COARSE:
            series = self._series[resolution.index]
            if steps is not None and series is not None:
                series.widen(event_time, steps, ~identity if resolution.device else identity)
            return Intake("unmatched_correction", name, "coarse", identity, event_time, None)
        if steps is None:
            outcome: Outcome = "withdrawn" if removal is Removal.REMOVED else "unmatched_correction"
            return Intake(outcome, name, "", gone, event_time, old_value)
        taken = self._store(resolution, steps, event_time, identity, received_time, message_id)
        if taken.outcome not in ("accepted", "thinned"):
            return taken
        if removal is Removal.REMOVED:
            return Intake("corrected", name, "", gone, event_time, taken.value)
        return Intake("accepted", name, "unmatched_correction", identity, event_time, taken.value)

    def apply(
        self,
        event: Admission | Transfer | Discharge | Cancellation | Demographics,
        received_time: Millis,
        encounter: str = "",
    ) -> None:
        """Fold an ADT event of an encounter ("" where none is named) into stay and demographics.

        An event dated after its receipt is a slip; it counts as of its receipt, so that what follows it counts too.
        """
        if received_time > self.last_received_time:  # noqa: PLR1730 -- as in observe
            self.last_received_time = received_time
        if event.event_time > received_time:
            event = msgspec.structs.replace(event, event_time=received_time)
        if type(event) is Demographics:
            self.stay.describe(event)
        elif type(event) is Transfer:
            self.stay.transfer(event, encounter)
        elif type(event) is Admission:
            self.stay.admit(event, encounter)
        elif type(event) is Discharge:
            self.stay.discharge(event, encounter)
        else:
            assert type(event) is Cancellation
            self.stay.cancel(event, encounter)

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
                thin(ours)
        for index, (time, intake) in other._quarantined.items():
            self._hold_back(index, time, intake)
        self._quarantined.refused = other._quarantined.refused | self._quarantined.refused
        self.stay.absorb(other.stay)
        self._superseded.absorb(other._superseded)
        self.last_received_time = max(self.last_received_time, other.last_received_time)

    # What is asked

    def latest(self, feature_name: str, at: Millis) -> Reading | None:
        """Give the newest reading with event time <= `at` (ms), however old; its age is the asker's to judge."""
        index = self.catalogue.index_of[feature_name]
        series = self._series[index]
        if series is None:
            return None
        raw, steps = series.raw, self.catalogue.steps[index]
        if raw and raw[-3] <= at:
            one = public_id(raw[-1])
            return Reading(feature_name, raw[-2] / steps, raw[-3], self._received[index], one, self._message_ids[index])
        held = newest_held(series, steps, at)
        return None if held is None else Reading(feature_name, held[0], held[1], 0, held[2], "")

    def latest_by_index(self, index: int, at: Millis) -> Held | None:
        """Give (value, event_time, observation_id) of the newest reading of a feature up to `at`."""
        return newest_held(self._series[index], self.catalogue.steps[index], at)

    def latest_fresh(self, wanted: Iterable[tuple[int, Millis]], at: Millis) -> tuple[list[Held | None], list[int]]:
        """Give the same of several features (index, maximum age in ms); None too where it is older (hot path).

        With it come the places in `wanted` of those that are not alone: see `beside`.
        """
        return fresh_of(self._series, self.catalogue.steps, wanted, at)

    def held_at(self, index: int, time: Millis) -> list[Held]:
        """Give every reading of a feature that is held in full and of this very time, a person's last."""
        return held_at(self._series[index], self.catalogue.steps[index], time)

    def beside(self, index: int, time: Millis) -> list[Held]:
        """Give the readings of the newest time, and a person's entry of the hour before a device's newest."""
        return beside(self._series[index], self.catalogue.steps[index], time)

    @property
    def is_measured(self) -> bool:
        """Whether anything was ever measured of the patient, as far back as anything is held."""
        return any(series is not None for series in self._series)

    @property
    def any_quarantined(self) -> bool:
        """Whether any feature has a quarantined value newer than its latest good one."""
        return bool(self._quarantined)

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
        """Compute one named statistic, such as `heart_rate.mean_6h`, for people."""
        return self.vector(at, VectorSpec([name], self.catalogue))[0]

    # How it is kept

    def encode(self) -> bytes:
        """Encode the whole state; `decode` gives it back."""
        features = self.catalogue.features
        kept = [(i, series) for i, series in enumerate(self._series) if series is not None]
        return encoding.encode(
            encoding.Parts(
                series=[(features[i].name, features[i].steps, series) for i, series in kept],
                newest={features[i].name: (self._received[i], self._message_ids[i]) for i, _ in kept},
                quarantined={features[i].name: held for i, held in sorted(self._quarantined.items())},
                stay=self.stay,
                last_received_time=self.last_received_time,
                superseded=self._superseded.marks(),
                refused={features[i].name: one for i, one in sorted(self._quarantined.refused.items())},
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
        known = {index_of[name]: held for name, held in parts.quarantined.items() if name in index_of}
        state._quarantined = Notices(known)
        state._quarantined.refused = {index_of[name]: one for name, one in parts.refused.items() if name in index_of}
        state.stay = parts.stay
        state.last_received_time = parts.last_received_time
        state._superseded = Superseded.of(parts.superseded)
        return state

    # Steps of the fold

    def _store(
        self,
        resolution: Resolution,
        steps: int,
        event_time: Millis,
        identity: int,
        received_time: Millis,
        message_id: str,
    ) -> Intake:
        index = resolution.index
        series = self._series[index]
        if series is None:
            series = self._series[index] = Series()
        thinned, key = "", identity
        if resolution.device:
            key = ~identity
            put, thinned = put_thinned(series, event_time, steps, key)
        else:
            put = series.put(event_time, steps, identity)
        if put is not DUPLICATE:
            raw = series.raw
            if raw and raw[-1] == key and raw[-3] == event_time:
                self._received[index] = received_time
                self._message_ids[index] = message_id
        if self._quarantined and put is not DUPLICATE:
            self._quarantined.settle(index, event_time, identity)
        if thinned:
            return Intake("thinned", resolution.name, thinned, identity, event_time, steps / resolution.steps)
        return intake_of(put, resolution, identity, event_time, steps)

    def _remove(
        self, resolution: Resolution, identity: int, event_time: Millis, *, by_time: bool
    ) -> tuple[Removal, Millis, float | None, int]:
        """Remove a reading and the notice of its id; gives (what, event time, value, id) of what is gone."""
        index = resolution.index
        noticed = self._quarantined.take_down(index, identity)
        series = self._series[index]
        if series is None:
            return (Removal.REMOVED if noticed else Removal.NOT_FOUND), event_time, None, identity
        newest = _newest_key(series)
        key = held_as(series, identity, device=resolution.device)
        removal, time, steps, gone = series.remove(key, event_time, by_time=by_time and not noticed)
        if removal is not Removal.REMOVED:
            return (Removal.REMOVED if noticed else removal), event_time, None, identity
        if not series.raw and series.rows is None:
            self._series[index] = None
        if _newest_key(series) != newest:
            self._received[index], self._message_ids[index] = 0, ""
        return removal, time, steps / resolution.steps, public_id(gone)

    def _unusable(self, resolution: Resolution, intake: Intake, received_time: Millis) -> Intake:
        """Hold a replacement that cannot be used against the value it was for, which stays."""
        index, identity = resolution.index, intake.observation_id
        if intake.outcome == "absent":
            series = self._series[index]
            key = held_as(series, identity, device=resolution.device)
            if not self._quarantined.names(index, identity) and (series is None or not series.holds(key)):
                return intake
            intake = Intake("quarantined", resolution.name, "replaced_by_nothing", identity, intake.event_time, None)
        self._hold_back(index, min(intake.event_time, received_time), intake, or_equal=True)
        return intake

    def _not_taken(self, resolution: Resolution, intake: Intake, received_time: Millis) -> Intake:
        if intake.outcome == "quarantined":
            # A time from the future must not keep the notice up after good values have come.
            self._hold_back(resolution.index, min(intake.event_time, received_time), intake)
        return intake

    def _hold_back(self, index: int, time: Millis, intake: Intake, *, or_equal: bool = False) -> None:
        """Keep a notice that is newer than the latest good value, or of the same time where it was to replace it."""
        series = self._series[index]
        good_until = NEVER if series is None or not series.raw else series.raw[-3] - or_equal
        self._quarantined.hold(index, time, intake, good_until)


def _newest_key(series: Series) -> tuple[int, int]:
    return (series.raw[-3], series.raw[-1]) if series.raw else (NEVER, 0)
