"""The whole flow as pure steps: an envelope in, effects out.

Owns the order in which a patient's envelope is folded, the timers, and which control events reach whom. Must not know
bytes, brokers, files, clocks: time is the running maximum of the received times, and timers fire on tick events.

    envelope ─► intake ─► score ─► verdicts ─► alert events
                (state)   (NEWS2,  (chain)     (floor, and the
                          model)                chain's decision)
"""

from __future__ import annotations

import msgspec

from alerts.contract import AlertEvent
from alerts.grounds import CHANGING
from alerts.monitoring import Monitor
from events import (
    Admission,
    Cancellation,
    Carried,
    Correction,
    Demographics,
    Discharge,
    Envelope,
    Millis,
    Observation,
    Tick,
    Transfer,
    content_id,
)
from features.intake import Intake
from features.pregnancy import is_pregnant, pregnancy_until
from features.store import StoreFault
from models.news2 import News2
from stream.acting import ACTS, ANSWERS, Acting
from stream.carried import carried_alerts
from stream.control import Control
from stream.effects import Effect, Suppression, Unfoldable
from stream.joining import JOINING, Joining
from stream.parts import MOVES
from stream.reconsidering import reconsider
from stream.records import UNHEARD_RETENTION_MS, PatientRecord, RecordShelf
from stream.scoring import Learner, score_patient
from stream.tally import Tally
from stream.timers import Timers

DISCHARGED_RETENTION_MS = 24 * 3_600_000
"""A discharged patient's record is kept this long, for cancelled discharges and late results."""
BACK_AT_ONCE_MS = 3_600_000
"""Admitted again within it, a patient is judged at once by what is known; later, by what the new stay observes."""
GAP_COUNTED_MS_MAX = 24 * 3_600_000
"""A patient unheard of for longer was not under observation: the rest of the gap is no patient-time."""
FAULTY_TICK_RETRY_MS = 3_600_000
"""After a bug of ours at a patient's timer: how long until it is tried again, when what we know may be other."""
QUIET_REASONS = frozenset({"below_threshold"})
"""A model that has nothing to say is no suppression."""


class Pipeline:
    """One partition's folds, in log order.

    The same envelopes in the same order give the same effects, whatever was evicted, stored and loaded in between.
    """

    def __init__(
        self, shelf: RecordShelf, control: Control, learner: Learner | None = None, partition: int = 0
    ) -> None:
        self.control = control
        self.heard: tuple[Effect, ...] = ()
        """What the monitoring said of the record at hand: it is said also where our code fails on the record."""
        self.monitor = Monitor(partition, control.catalogue)
        self.monitor.use(control.catalogue, control.settings.monitoring)
        self.tally = Tally()
        self._shelf = shelf
        self._timers = Timers(shelf.deadlines())
        self._learner = learner
        self._joining = Joining(shelf, control, self._timers, self.tally, self._judge)
        self._acting = Acting(control, self.tally)

    def step(self, envelope: Envelope) -> list[Effect]:
        """Fold one record of the log; give what is to be carried out."""
        self._shelf.trim()
        control = self.control
        if envelope.received_time > control.clock:  # noqa: PLR1730 -- max costs a call
            control.clock = envelope.received_time
        self.tally.events += len(envelope.events)
        if not envelope.patient:
            return self._step_control(envelope)
        if not envelope.events:
            return []
        if type(envelope.events[0]) is Carried:
            return self._carry(envelope, envelope.events[0])
        if isinstance(envelope.events[0], ANSWERS) and self._shelf.find(envelope.patient) is None:
            # A key is whatever somebody wrote: an answer to nothing makes no patient, on the board and in the store.
            self.tally.acts["unknown_patient"] += 1
            return []
        record = self._shelf.open(envelope.patient)
        overdue = record.deadline is not None and record.deadline <= control.clock
        effects: list[Effect] = self.monitor.hear(envelope)
        self.heard = tuple(effects)
        if (record.merges is not None or envelope.named) and self._joining.pass_on(envelope, record, effects):
            return effects
        envelope = _not_before(record.state.last_received_time, envelope)
        if self._learner is not None:
            self._learner.happened(envelope)
        observed, intakes, rescore = self._take_in(envelope, record, effects)
        if overdue and not rescore:
            # Its minute is not over, and from here on its patient was heard of: no tick would say it any more.
            rescore = _lapsed(record, control.clock)
        if record.merges is not None:
            record.merges.file(envelope)
        self._note_time(record, envelope)
        news2: News2 | None = None
        if observed or rescore:
            if rescore:
                changed = record.book.changed_by(intakes)
                effects.extend(reconsider(envelope, record, self.control, intakes, changed))
            scored = self._score(envelope, record, tuple(intakes), effects)
            news2 = scored if observed else None
        self.monitor.follow(envelope, record, news2, effects)
        self._finish(envelope.patient, record, effects)
        return effects

    def _carry(self, envelope: Envelope, event: Carried) -> list[Effect]:
        """Go on with a patient where the log before this one ended; what the wards know of him is told again."""
        patient = envelope.patient
        effects: list[Effect] = self.monitor.hear(envelope)
        record = PatientRecord.decode(event.record, self.control.catalogue)
        self._shelf.put(patient, record)
        unheard = record.heard + UNHEARD_RETENTION_MS
        self._timers.set(unheard if record.deadline is None else min(record.deadline, unheard), patient)
        self.monitor.follow(envelope, record, None, effects)
        return [*effects, *carried_alerts(event)]

    def due(self, now: Millis) -> Millis | None:
        """Give the earliest deadline that has come by `now`, or None: a host fires a tick for it."""
        return self._timers.earliest(now)

    # -- intake -----------------------------------------------------------------------------------------------------

    def _take_in(
        self, envelope: Envelope, record: PatientRecord, effects: list[Effect]
    ) -> tuple[int, list[Intake], bool]:
        """Fold the events into the patient's state.

        Give how many observations there were, the intakes of those that were not simply accepted, and whether the
        patient must be judged anew (a correction, a merge, a person's decision).
        """
        state = record.state
        received, message_id = envelope.received_time, envelope.message_id
        events = envelope.events
        intakes: list[Intake] = []
        changed = False
        at = observed = 0
        while at < len(events):
            event = events[at]
            if type(event) is Observation:
                observed -= at
                at, odd = state.observe_run(events, at, received, message_id)
                observed += at
                for intake, observation in odd:
                    intakes.append(intake)
                    changed = changed or intake.outcome in CHANGING
                    self._count_intake(intake, observation)
                continue
            at += 1
            if type(event) is Correction:
                observed += 1
                intake = state.correct(event, received, event.observation.resource or message_id)
                intakes.append(intake)
                self._count_intake(intake, event.observation)
                changed = True
            elif isinstance(event, ACTS):
                changed = self._acting.take(event, envelope, record, effects) or changed
            elif isinstance(event, MOVES):
                changed = self._move(event, envelope, record, effects) or changed
            elif isinstance(event, JOINING):
                changed = self._joining.take(event, envelope, record, effects) or changed
        self.tally.observations += observed
        return observed, intakes, changed

    def _move(
        self,
        event: Admission | Transfer | Discharge | Cancellation | Demographics,
        envelope: Envelope,
        record: PatientRecord,
        effects: list[Effect],
    ) -> bool:
        """Fold an ADT event into the stay; open alerts follow the patient, or end with the stay.

        Say whether what is known must be judged anew, and nobody should wait for new values to hear it: a discharge was
        taken back or followed by an admission, or the patient turns out to be of another age, dead or pregnant.
        """
        state, book = record.state, record.book
        stay = state.stay
        received = envelope.received_time
        before, gone = (stay.birth_date, stay.deceased, is_pregnant(state, received)), stay.discharged_time
        state.apply(event, received, envelope.encounter)
        stay = state.stay
        # A pregnancy may be said or denied, or end with the stay that it was said in, or by the sex.
        another = (stay.birth_date, stay.deceased, is_pregnant(state, received)) != before
        # Let go by one department and taken in by the next: he never left, and what stands is the new ward's to hear.
        at_once = gone is not None and (type(event) is Cancellation or stay.encounter_time - gone <= BACK_AT_ONCE_MS)
        back = at_once and stay.discharged_time is None
        anew = back or (another and record.heard > 0)
        if book.idle:
            return anew
        kill_switch = self.control.silenced
        if type(event) is Discharge and not state.admitted:
            effects.extend(book.discharged(received, deceased=state.deceased, kill_switch=kill_switch))
        elif type(event) is Cancellation and event.cancelled == "admission" and not state.admitted:
            effects.extend(book.admission_cancelled(received, kill_switch=kill_switch))
        elif type(event) is not Demographics:
            effects.extend(book.transferred(received, state.location, kill_switch=kill_switch))
        return anew

    def _count_intake(self, intake: Intake, observation: Observation) -> None:
        tally = self.tally
        tally.intakes[intake.outcome] += 1
        if intake.outcome == "quarantined":
            tally.quarantined[intake.reason] += 1
        elif intake.outcome == "unmapped":
            tally.count_unmapped(observation.codings)

    def _note_time(self, record: PatientRecord, envelope: Envelope) -> None:
        """Add to the patient-days observed: the time since the patient was last heard of, a day at the most.

        By the partition's clock, which a record may lie behind: one heard of just now is not long unheard of.
        """
        heard = record.heard
        now = self.control.clock
        if heard == 0:
            self.tally.patients += 1
            # Set once; when it comes, it is set again from when the patient was last heard of.
            self._timers.set(now + UNHEARD_RETENTION_MS, envelope.patient)
        if now > heard:
            record.heard = now
            if heard:
                self.tally.patient_millis += min(now - heard, GAP_COUNTED_MS_MAX)

    # -- saying -----------------------------------------------------------------------------------------------------

    def _score(
        self, cause: Envelope, record: PatientRecord, intakes: tuple[Intake, ...], effects: list[Effect]
    ) -> News2:
        """Score the patient; add the score, what the ward is told, and what the chain withheld from it."""
        score, moment = score_patient(cause, record, intakes, self.control, self.tally, self._learner)
        effects.append(score)
        if moment is not None:
            effects.extend(record.book.assess(moment))
        last = score.verdicts[-1]
        if last.reason not in QUIET_REASONS and not last.proceeds:
            effects.append(
                Suppression(
                    content_id("suppressed", score.score_id),
                    score.patient,
                    score.encounter,
                    score.received_time,
                    score.probability,
                    last,
                    score.model,
                )
            )
        return score.news2

    def _judge(self, cause: Envelope, record: PatientRecord, effects: list[Effect]) -> None:
        """Score a patient whom an envelope of another's made one again."""
        self._score(cause, record, (), effects)
        self._set_timer(cause.patient, record)

    # -- time and control -------------------------------------------------------------------------------------------

    def _step_control(self, envelope: Envelope) -> list[Effect]:
        effects: list[Effect] = []
        for event in envelope.events:
            if type(event) is Tick:
                effects.extend(self._tick(envelope))
            else:
                self.control.apply(event)
                self._shelf.use(self.control.catalogue)
                self.monitor.use(self.control.catalogue, self.control.settings.monitoring)
        return effects

    def _tick(self, envelope: Envelope) -> list[Effect]:
        """Fire every timer that is due, in order of deadline and patient."""
        effects: list[Effect] = []
        now = envelope.received_time
        for patient in self._timers.take(now):
            self._shelf.trim()
            record = self._shelf.find(patient)
            if record is None:
                continue
            if self._is_over(record, now):
                self._shelf.drop(patient)
                continue
            if record.deadline is None or record.deadline > now:
                self._wait(patient, record, now)  # It moved on while its entry waited.
                continue
            try:
                effects.extend(self._tick_one(patient, record, now))
            except StoreFault:
                raise  # It says nothing of the patient.
            except Exception as fault:  # noqa: BLE001 - a bug of ours in one patient must not silence those due with him
                self.tally.unfoldable += 1
                effects.append(Unfoldable(content_id("tick", patient, str(now)), "tick", now, type(fault).__name__))
                self._timers.set(now + FAULTY_TICK_RETRY_MS, patient)
        return effects

    def _tick_one(self, patient: str, record: PatientRecord, now: Millis) -> list[Effect]:
        """Fire one patient's timer."""
        self._shelf.open(patient)
        cause = Envelope(
            content_id("tick", patient, str(now)),
            patient,
            now,
            now,
            (),
            message_id="tick",
            encounter=record.book.subject.encounter,
        )
        fired: list[Effect] = []
        limit_ended = record.limits is not None and record.limits.end(now)
        lapsed = _lapsed(record, now)
        if record.book.idle and not limit_ended and not lapsed:
            record.deadline = None
        else:
            # Scored anew before the timers fire: an input may have expired, a clinician's limit, or a feed's statement.
            self._score(cause, record, (), fired)
            fired.extend(record.book.tick(now, kill_switch=self.control.silenced))
        self._finish(patient, record, fired)
        self._wait(patient, record, now)
        return fired

    def _is_over(self, record: PatientRecord, now: Millis) -> bool:
        """Whether a record may go: a day after the discharge, or when nobody has been heard of for very long."""
        if not record.book.idle:
            return False
        discharged = record.state.discharged_time
        if discharged is not None and _retained_until(record, discharged) <= now:
            return record.deadline is not None and record.deadline <= now
        unheard = record.heard + UNHEARD_RETENTION_MS
        return unheard <= now and (record.limits is None or record.limits.last_end <= now)

    def _wait(self, patient: str, record: PatientRecord, now: Millis) -> None:
        """Have the patient's timer come for its next deadline, and at the latest for the end of its record."""
        next_time = record.heard + UNHEARD_RETENTION_MS
        if record.deadline is not None and (record.deadline < next_time or next_time <= now):
            next_time = record.deadline
        self._timers.set(max(next_time, now + 1), patient)

    def _finish(self, patient: str, record: PatientRecord, effects: list[Effect]) -> None:
        """Count what was said and set the patient's next timer."""
        for effect in effects:
            if type(effect) is AlertEvent:
                self.tally.count_alert(effect.trigger, effect.state, effect.disposition)
        self._set_timer(patient, record)

    def _set_timer(self, patient: str, record: PatientRecord) -> None:
        """Set the patient's next timer, always later than now: a tick must make progress."""
        deadline = record.book.next_deadline
        discharged = record.state.stay.discharged_time
        if record.limits is not None and (ends := record.limits.next_end()) is not None:
            deadline = ends if deadline is None else min(deadline, ends)
        lapses = pregnancy_until(record.state, self.control.clock)
        if lapses is not None and lapses > self.control.clock:
            deadline = lapses if deadline is None else min(deadline, lapses)
        if deadline is None and discharged is None and record.deadline is None:
            return
        if discharged is not None:
            retained = _retained_until(record, discharged)
            deadline = retained if deadline is None else min(deadline, retained)
        if deadline is not None and deadline <= self.control.clock:
            deadline = self.control.clock + 1
        if deadline != record.deadline:
            record.deadline = deadline
            if deadline is not None:
                self._timers.set(deadline, patient)


def _lapsed(record: PatientRecord, now: Millis) -> bool:
    """Say whether a feed's statement of a pregnancy ended since the patient was last heard of."""
    said_until = pregnancy_until(record.state, now)
    return said_until is not None and record.heard < said_until <= now


def _not_before(heard: Millis, envelope: Envelope) -> Envelope:
    """Fold a record that was stored before what its patient's fold already knows as of then.

    Two gateways' clocks are apart, and what is passed on from another partition comes behind its own time. Judged as of
    its own, it would be judged without the newer readings, and the sum of both by nobody until the next message.
    """
    return envelope if envelope.received_time >= heard else msgspec.structs.replace(envelope, received_time=heard)


def _retained_until(record: PatientRecord, discharged: Millis) -> Millis:
    """Give until when a discharged patient's record is kept: whoever comes back finds the limits that still last."""
    retained = discharged + DISCHARGED_RETENTION_MS
    return retained if record.limits is None else max(retained, record.limits.last_end)
