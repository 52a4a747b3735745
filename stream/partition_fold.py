"""One partition of `events.v1` folded from its records alone, over memory: what the live stage does, without a store.

Owns the order of a record's steps (decode, place, repeats, fold), which replay and tests share. Must not know where the
records come from, nor where effects go.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.kafka.partitioning import partition_for
from events import (
    MILLIS_PER_HOUR,
    Availability,
    CodeVersion,
    Configuration,
    Envelope,
    Handover,
    Millis,
    Promotion,
    content_id,
)
from events.encoding import UndecodableEnvelopeError, decode_envelope
from events.times import INSTANT_MAX
from features.store import MemoryStateStore
from models.version import ModelVersion
from stream.control import Control
from stream.effects import Effect
from stream.fold import fire_timers, fold_record
from stream.pipeline import Pipeline
from stream.records import RecordShelf
from stream.release import Release, changes
from stream.repeats import RecentRecords
from stream.scoring import Learner
from stream.tally import Tally

RELEASE_EVENTS = (CodeVersion, Configuration, Promotion, Availability)
RECEIVED_AHEAD_MS_MAX = 24 * MILLIS_PER_HOUR
"""How far ahead a received time is believed. A machine set to the wrong zone is 14 hours ahead at the most, and what is
believed wrongly ages a partition for no longer than a day."""


class UnbelievableTimeError(UndecodableEnvelopeError):
    """A record of the log says that it was received long after it was written: a machine's clock is wrong."""


class MissingVersionError(RuntimeError):
    """The log calls a model version available that is not at hand here: the operator's; the text says what to do."""


def read_envelope(value: bytes | None, partition: int, partitions: int) -> Envelope:
    """Decode a record of a partition; raises `UndecodableEnvelopeError`.

    Also where it belongs on another partition, or was received in a year that nobody means.
    """
    envelope = decode_envelope(value or b"")
    if envelope.patient and partition_for(envelope.patient.encode(), partitions) != partition:
        raise UndecodableEnvelopeError("the patient's key belongs on another partition (was their count changed?)")
    if not 0 <= envelope.received_time <= INSTANT_MAX:
        raise UndecodableEnvelopeError("received in a year never meant")
    return envelope


def believed_until(written: Millis) -> Millis:
    """Give up to when a record's received time is believed, of one written then; without end where nothing says (0).

    >>> believed_until(7) - RECEIVED_AHEAD_MS_MAX, believed_until(0) == INSTANT_MAX
    (7, True)
    """
    return written + RECEIVED_AHEAD_MS_MAX if written > 0 else INSTANT_MAX


def check_received(envelope: Envelope, record_time: Millis, control: Control) -> None:
    """Raise `UnbelievableTimeError` where a record was received, by its own word, when it cannot have been.

    A partition's clock never runs back: one record of the far future would fire every timer, and age all that follow.
    When it is says `record_time`, at which the broker wrote the record (0 or less: it does not say): neither who sent
    it nor a worker, whose clocks may be wrong, has a say in it. The newest one counts, so that a broker that comes back
    with a clock of before refuses nothing; the partition's own clock does not, for a wrong one could lead it on.

    It comes of the log, so a replay decides alike. A copy of a log has later record times: what was believed there is
    believed here.

    >>> control, envelope, day = Control({}), Envelope("i", "p", 0, 200_000_000, ()), 86_400_000
    >>> check_received(envelope, 200_000_000 - day, control), check_received(envelope, 1, control)
    (None, None)
    >>> check_received(envelope, 200_000_000 - day - 1, Control({}))
    Traceback (most recent call last):
    stream.partition_fold.UnbelievableTimeError: received more than 24 h after it was written: a clock is wrong
    """
    control.written = max(control.written, record_time)
    if envelope.received_time > believed_until(control.written):
        hours = RECEIVED_AHEAD_MS_MAX // MILLIS_PER_HOUR
        raise UnbelievableTimeError(f"received more than {hours} h after it was written: a clock is wrong")


class PartitionFold:
    """The fold of one partition. With a `release` it is a what-if: that one stands in the place of recorded ones.

    >>> fold = PartitionFold(0, 1, {})
    >>> fold.read(b"{")
    Traceback (most recent call last):
    events.encoding.UndecodableEnvelopeError: no JSON
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        versions: Mapping[str, ModelVersion],
        release: Release | None = None,
        learner: Learner | None = None,
    ) -> None:
        """Begin before the first record."""
        control = Control(versions)
        self.pipeline = Pipeline(RecordShelf(MemoryStateStore(), control.catalogue), control, learner, partition)
        self._recent = RecentRecords()
        self._partition, self._partitions = partition, partitions
        self._what_if = release is not None
        for event in changes(release, control, 0) if release else ():
            self.pipeline.step(Envelope(content_id("control", repr(event)), "", 0, 0, (event,)))

    def read(self, value: bytes | None, record_time: Millis = 0) -> Envelope | None:
        """Decode a record of this partition; None for one that came before. Raises `UndecodableEnvelopeError`.

        Give `record_time` where the record is one of Kafka's (see `check_received`), and fold each before the next.
        """
        envelope = read_envelope(value, self._partition, self._partitions)
        check_received(envelope, record_time, self.pipeline.control)
        return envelope if self._recent.add(envelope.envelope_id) else None

    def fold(self, envelope: Envelope) -> list[Effect]:
        """Fold one record, after the ticks it makes due; raises `MissingVersionError`."""
        if self._what_if and any(isinstance(event, RELEASE_EVENTS) for event in envelope.events):
            return []
        effects = fold_record(self.pipeline, envelope)
        if not envelope.patient and (lacking := self.pipeline.control.lacks):
            raise MissingVersionError(
                f"the log was scored by version {lacking}, which is not at hand: give its file with --models-dir"
            )
        return effects

    def reach(self, instant: Millis) -> list[Effect]:
        """Fire the ticks up to an instant, as the log's next record did."""
        upto = Envelope("", "", instant, instant, ())
        effects: list[Effect] = self.pipeline.monitor.hear(upto)
        fire_timers(self.pipeline, upto, effects)
        return effects


def is_passed_on(envelope: Envelope) -> bool:
    """Say whether a fold made this record, not [parse]: a record handed over, or what came under a retired key.

    >>> is_passed_on(Envelope("i", "p", 0, 0, (Handover(0, "q", b"x"),))), is_passed_on(Envelope("i", "p", 0, 0, ()))
    (True, False)
    """
    return envelope.hops > 0 or any(type(event) is Handover and event.record for event in envelope.events)


def add_tally(total: Tally, part: Tally) -> None:
    """Add what one partition counted to the whole.

    >>> total, part = Tally(), Tally()
    >>> part.scores = 2; part.alerts["model:raised"] = 1
    >>> add_tally(total, part); add_tally(total, part)
    >>> total.scores, total.alerts["model:raised"]
    (4, 2)
    """
    for name in Tally.__slots__:
        counted = getattr(part, name)
        if isinstance(counted, int):
            setattr(total, name, getattr(total, name) + counted)
        else:
            getattr(total, name).update(counted)
