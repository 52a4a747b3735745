"""One partition of `events.v1` folded from its records alone, over memory: what the live stage does, without a store.

Owns the order of a record's steps (decode, place, repeats, fold), which replay and tests share. Must not know where the
records come from, nor where effects go.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.kafka.partitioning import partition_for
from events import Availability, CodeVersion, Configuration, Envelope, Handover, Millis, Promotion, content_id
from events.encoding import UndecodableEnvelopeError, decode_envelope
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


class MissingVersionError(RuntimeError):
    """The log calls a model version available that is not at hand here: the operator's; the text says what to do."""


def read_envelope(value: bytes | None, partition: int, partitions: int) -> Envelope:
    """Decode a record of a partition; raises `UndecodableEnvelopeError`, also where it belongs on another one."""
    envelope = decode_envelope(value or b"")
    if envelope.patient and partition_for(envelope.patient.encode(), partitions) != partition:
        raise UndecodableEnvelopeError("the patient's key belongs on another partition (was their count changed?)")
    return envelope


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
        self.pipeline = Pipeline(RecordShelf(MemoryStateStore(), control.catalogue), control, learner)
        self._recent = RecentRecords()
        self._partition, self._partitions = partition, partitions
        self._what_if = release is not None
        for event in changes(release, control, 0) if release else ():
            self.pipeline.step(Envelope(content_id("control", repr(event)), "", 0, 0, (event,)))

    def read(self, value: bytes | None) -> Envelope | None:
        """Decode a record of this partition; None for one that came before. Raises `UndecodableEnvelopeError`."""
        envelope = read_envelope(value, self._partition, self._partitions)
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
        effects: list[Effect] = []
        fire_timers(self.pipeline, Envelope("", "", instant, instant, ()), effects)
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
