"""Who is here, where, and when he was last observed; and the wards, by who lies there.

Owns the patients and wards that are watched, and what is said of their silence. Must not know feeds or values.
"""

from __future__ import annotations

from typing import Any, Protocol

from alerts.monitoring.configuration import MonitoringSettings
from alerts.monitoring.deadlines import Deadlines, whole_minute
from alerts.monitoring.desk import Desk
from alerts.monitoring.signal import words_for
from alerts.monitoring.silence import NEVER, WARD_TIMES, Bounds, Silence
from alerts.monitoring.stored import PATIENT_CHUNKS, WARD_CHUNKS, chunk_for, patient_key, ward_key
from alerts.monitoring.ward import Ward
from alerts.monitoring.watch import Watch, acuity_of, interval_of, patience
from events import MILLIS_PER_HOUR, Envelope, Millis
from features.stay import Stay

WARDS_MAX = 500
"""Wards watched: a very large hospital's, several times."""
PATIENTS_MAX = 20_000
"""Patients watched: those who are here, and of three days those who were. Beyond, `monitor_full` is said."""
GONE_MS = 72 * MILLIS_PER_HOUR
"""A patient of whom no vital sign came for so long, and whose discharge nobody sent, is not here."""
LEFT, EMPTY = "no longer here", "nobody lies there"
UNOBSERVED = f"{words_for(GONE_MS)} without an observation: no longer watched"
"""He may well be here: nobody said that he left."""
OBSERVED_MS = 12 * MILLIS_PER_HOUR
"""An older vital sign says nothing of now (NEWS2's longest interval): it is no observation of the patient."""


class Resident(Protocol):
    """Whoever has a stay."""

    stay: Stay


class Record(Protocol):
    """What is asked of a patient's record."""

    @property
    def away(self) -> str:
        """The key that it is retired into, or empty."""
        ...

    @property
    def state(self) -> Resident:
        """What is known of the patient."""
        ...


class Scored(Protocol):
    """A NEWS2."""

    @property
    def total(self) -> int:
        """The sum."""
        ...

    @property
    def red(self) -> bool:
        """Whether a parameter scores 3."""
        ...


class Residents:
    """The patients and wards of one partition."""

    def __init__(self, desk: Desk, deadlines: Deadlines, changed: set[str]) -> None:
        self._desk = desk
        self._voice = desk.voice
        self._deadlines = deadlines
        self._changed = changed
        self.patients = desk.patients
        self.members: list[dict[str, Watch]] = [{} for _ in range(PATIENT_CHUNKS)]
        """The same, by the chunk that they are stored in."""
        self.wards: dict[str, Ward] = {}
        self.ward_members: list[dict[str, Ward]] = [{} for _ in range(WARD_CHUNKS)]
        """Likewise."""
        self.excused: Millis = 0
        """Whoever is here and not told as overdue is silent since then at the earliest: until then we were behind."""
        self.set_bounds(desk.settings)

    def set_bounds(self, settings: MonitoringSettings) -> None:
        """Go by these settings."""
        self._bounds = Bounds(
            settings.ward_silence_ms_first,
            settings.ward_silence_ms_min,
            settings.ward_silence_ms_max,
            settings.learning_ms,
            WARD_TIMES,
        )

    # -- hearing ----------------------------------------------------------------------------------------------------

    def follow(self, envelope: Envelope, record: Record, news2: Scored | None, now: Millis, said: list[Any]) -> None:
        """Hear where a patient is and how he scored (hot path)."""
        patient = envelope.patient
        stay = record.state.stay
        here = stay.admitted and not stay.deceased and not record.away
        watch = self.patients.get(patient)
        if watch is None:
            if not here:
                return
            watch = self.watch(patient, now, said)
            if watch is None:
                return
        elif watch.since < self.excused:
            self._settle(watch)
        ward = stay.location.ward if here else ""
        if ward != watch.ward or here != watch.here:
            self._move(patient, watch, ward, now, here=here, said=said)
        if news2 is None or not here:
            return
        if ward:
            self._hear_ward(ward, now, said)
        acuity = acuity_of(news2.total, red=news2.red)
        if (watch.vital or not envelope.feed) and envelope.event_time >= now - OBSERVED_MS:
            self._observed(patient, watch, now, said)
        elif acuity == watch.acuity:
            return
        watch.acuity = acuity
        if not watch.told:
            place = self.wards.get(ward)
            settings = self._desk.settings
            may_wait = (
                patience(settings, acuity, None) if place is None else place.patient_may_wait(settings, acuity, now)
            )
            watch.deadline = watch.since + may_wait
            self._deadlines.wait("p" + patient, watch)
        self._changed.add(patient_key(watch.chunk))

    def _observed(self, patient: str, watch: Watch, now: Millis, said: list[Any]) -> None:
        """Note that a patient's vital signs were received."""
        gap = now - watch.heard
        if watch.heard and gap > 0 and watch.since == watch.heard and watch.ward in self.wards:
            self.wards[watch.ward].usual[watch.acuity].add(now, gap, unusual=watch.told)
        watch.heard = watch.since = now
        if watch.told:
            watch.told = False
            self._voice.clear("patient_silent", f"patient|{patient}", now, said, "observations are heard again")

    def _hear_ward(self, name: str, now: Millis, said: list[Any]) -> None:
        ward = self.wards.get(name)
        if ward is None:
            return
        silence = ward.silence
        silence.hear(now, self._bounds, self._least(ward))
        if silence.told:
            silence.told = False
            self._voice.clear("ward_silent", f"ward|{name}", now, said, "heard again")
        self._deadlines.wait("w" + name, silence)
        self._changed.add(ward_key(ward.chunk))

    def _least(self, ward: Ward) -> Millis:
        """Give how long a ward may be silent by the RCP's intervals: of few patients, nobody may be due for long."""
        settings = self._desk.settings
        return (settings.patient_interval_low_ms + settings.patient_grace_ms) // max(ward.present, 1)

    # -- coming and going -------------------------------------------------------------------------------------------

    def watch(self, patient: str, now: Millis, said: list[Any]) -> Watch | None:
        """Begin to watch a patient."""
        if len(self.patients) >= PATIENTS_MAX:
            self.too_many("patients", PATIENTS_MAX, now, said)
            return None
        watch = Watch(chunk_for(patient, PATIENT_CHUNKS))
        self.patients[patient] = self.members[watch.chunk][patient] = watch
        # Of one who is never admitted nothing is overdue; what is kept of him goes by this deadline.
        watch.deadline = now + GONE_MS
        self._deadlines.wait("p" + patient, watch)
        return watch

    def forget(self, patient: str, now: Millis, said: list[Any], why: str = LEFT) -> None:
        """Know a patient no more, and say why."""
        watch = self.patients.get(patient)
        if watch is None:
            return
        if watch.here:
            self._move(patient, watch, "", now, here=False, said=said, why=why)
        self._changed.add(patient_key(watch.chunk))
        del self.patients[patient]
        del self.members[watch.chunk][patient]
        self.room_again("patients", now, said)

    def _move(
        self, patient: str, watch: Watch, ward: str, now: Millis, *, here: bool, said: list[Any], why: str = LEFT
    ) -> None:
        """Follow a patient to another ward, in, or out."""
        self._changed.add(patient_key(watch.chunk))
        if ward != watch.ward:
            self._count_out(watch.ward, now, said, EMPTY if why == LEFT else why)
            self._count_in(ward, now, said)
            watch.ward = ward
        if not here:
            self._leave(patient, watch, now, said, why)
        elif not watch.here:
            watch.here = True
            watch.since = now
            watch.deadline = now + patience(self._desk.settings, 0, None)
            self._deadlines.wait("p" + patient, watch)

    def _count_in(self, name: str, now: Millis, said: list[Any]) -> None:
        if name and name not in self.wards:
            if len(self.wards) >= WARDS_MAX and not self._forget_empty_ward():
                self.too_many("wards", WARDS_MAX, now, said)
                return
            self.room_again("wards", now, said)
            ward = Ward(now, chunk_for(name, WARD_CHUNKS))
            self.wards[name] = self.ward_members[ward.chunk][name] = ward
        if name:
            ward = self.wards[name]
            ward.present += 1
            if ward.silence.deadline == NEVER and not ward.silence.told:
                # Nobody lay there until now: a ward that was never heard is told too, and not each of its patients.
                ward.silence.begin(now, self._bounds)
                self._deadlines.wait("w" + name, ward.silence)
            self._changed.add(ward_key(ward.chunk))

    def _forget_empty_ward(self) -> bool:
        """Forget the ward that has been empty longest, if any is: often a name that somebody mistyped once."""
        empty = [(ward.silence.heard, name) for name, ward in self.wards.items() if not ward.present]
        if empty:
            name = min(empty)[1]
            number = self.wards.pop(name).chunk
            del self.ward_members[number][name]
            self._changed.add(ward_key(number))
        return bool(empty)

    def _count_out(self, name: str, now: Millis, said: list[Any], why: str) -> None:
        ward = self.wards.get(name)
        if ward is None:
            return
        self._changed.add(ward_key(ward.chunk))
        ward.present = max(ward.present - 1, 0)
        if not ward.present:
            ward.silence.told = False
            ward.silence.deadline = NEVER
            self._voice.clear("ward_silent", f"ward|{name}", now, said, why)

    def _leave(self, patient: str, watch: Watch, now: Millis, said: list[Any], why: str) -> None:
        """Let a patient go: nothing of him is overdue, and nothing is flat."""
        watch.here = watch.told = False
        watch.heard = 0
        watch.deadline = now + GONE_MS
        self._voice.clear("patient_silent", f"patient|{patient}", now, said, why)
        for kind, subject in list(self._voice.standing) if watch.runs else ():
            if kind == "flat_line" and subject.startswith(f"patient|{patient}|"):
                self._voice.clear(kind, subject, now, said, why)
        watch.runs.clear()
        watch.values.clear()

    def too_many(self, what: str, most: int, now: Millis, said: list[Any]) -> None:
        """Say that a limit is reached."""
        self._voice.tell(
            "monitor_full", f"partition|{what}", now, now, said, detail=f"{most} {what} are watched, further ones not"
        )

    def room_again(self, what: str, now: Millis, said: list[Any]) -> None:
        """Clear that, if it was said: a further one is watched from here on."""
        self._voice.clear("monitor_full", f"partition|{what}", now, said, "there is room again")

    # -- time -------------------------------------------------------------------------------------------------------

    def ward_due(self, name: str, silence: Silence, at: Millis, said: list[Any]) -> None:
        """A ward's deadline has come."""
        ward = self.wards[name]
        self._changed.add(ward_key(ward.chunk))
        if silence.told or not ward.present:
            silence.deadline = NEVER
            return
        if not silence.lasts(at, self._bounds, self._least(ward)):
            return
        silence.told = True
        silence.deadline = NEVER
        self._voice.tell(
            "ward_silent", f"ward|{name}", at, silence.since, said, ward=name, wards=(name,),
            detail=f"no observation of its {ward.present} patients is heard since {words_for(at - silence.since)}, "
            "longer than usual at this hour",
        )  # fmt: skip

    def patient_due(self, patient: str, watch: Watch, at: Millis, said: list[Any]) -> None:
        """A patient's deadline has come."""
        self._changed.add(patient_key(watch.chunk))
        if not watch.here or watch.told:
            watch.deadline = max(watch.event_time, watch.heard) + GONE_MS
            if watch.deadline <= at:
                self.forget(patient, at, said, UNOBSERVED if watch.here else LEFT)
            return
        self._settle(watch)
        if whole_minute(watch.deadline) > at:
            return
        watch.told = True
        watch.deadline = watch.since + GONE_MS
        settings = self._desk.settings
        self._voice.tell(
            "patient_silent", f"patient|{patient}", at, watch.since, said, patient=patient, ward=watch.ward,
            wards=(watch.ward,) if watch.ward else (),
            detail=f"no vital signs are heard since {words_for(at - watch.since)}; by NEWS2 they are due each "
            + words_for(interval_of(settings, watch.acuity)),
        )  # fmt: skip

    def excuse(self, at: Millis) -> None:
        """Count every silence from here on: a patient's is reckoned anew when he is looked at, for they are many."""
        self.excused = at
        for ward in self.wards.values():
            ward.silence.excuse(at)
            self._changed.add(ward_key(ward.chunk))

    def _settle(self, watch: Watch) -> None:
        """Let the last excuse count for a patient."""
        if watch.since < self.excused and watch.here and not watch.told:
            watch.deadline += self.excused - watch.since
            watch.since = self.excused
