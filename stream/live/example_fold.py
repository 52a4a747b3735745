"""All that is learned of `examples.v1`: one fold over its records, in the topic's own order.

Owns what is dropped as a repeat or refused, freezing a candidate version, and the state to go on from at any record.
Must not know brokers, files or time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from connectors.kafka.topics import EXAMPLES
from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS
from models.learners.classifier import Classifier
from models.learners.factory import LEARNERS, SHIPPED
from models.learners.river_logistic import RiverLogistic
from models.rows import Inputs
from models.version import Lineage, ModelVersion
from stream.candidates import frozen
from stream.learning import FoldState, LearnerFold
from stream.live.beside import Besides, MakeBeside
from stream.live.examples import (
    Happened,
    OtherSchemaError,
    Scored,
    UndecodableExampleError,
    decode_example,
    learning_row,
)
from stream.outcomes import OutcomeDefinition
from stream.repeats import RecentRecords

FIGURE_ROWS_MAX = 400_000
"""Rows that the figures rest on, 17 bytes each, kept twice (the learner's and NEWS2's): three months of 200 beds."""

INPUTS_OF: Mapping[str, Inputs] = dict.fromkeys(LEARNERS, LEARNING_INPUTS) | {"river-logistic": CLINICAL_INPUTS}
"""The inputs of each learner; River's logistic gets the short row, of which versions of formats 1 and 2 are made."""

Grow = Callable[[Classifier], None]


class Origin(msgspec.Struct, frozen=True):
    """What of a version's making does not follow from the examples."""

    code_version: str = ""
    code_commit: str = ""
    configuration_hash: str = ""
    lock_digest: str = ""
    """Of the libraries (stream/libraries.py)."""


class ExampleFoldState(msgspec.Struct, frozen=True):
    """All that a fold knows, as plain values."""

    begin: int
    next_offset: int
    repeats: int
    undecodable: int
    other_schema: int
    failed: int
    recent: dict[str, bytes]
    """The ids that came before, by the keys of `stream.repeats`."""
    learning: FoldState
    beside: dict[str, bytes] = {}
    """The state of each fold beside the learner, by name."""
    beside_faults: dict[str, int] = {}


class ExampleFold:
    """All that is learned, record by record of the topic.

    >>> fold = ExampleFold(OutcomeDefinition(), "river-logistic")
    >>> fold.take(0, b"{"); (fold.next_offset, fold.undecodable)
    (1, 1)
    """

    def __init__(
        self,
        definition: OutcomeDefinition,
        learner: str = SHIPPED,
        *,
        make: Callable[[Inputs], Classifier] | None = None,
        grow: Grow = lambda learner: learner.grow(),
        beside: Mapping[str, MakeBeside] | None = None,
    ) -> None:
        """`learner` names one of `LEARNERS`; `make` makes it with other settings than the shipped ones.

        `beside` makes the folds that hear the same, by name.
        """
        inputs = INPUTS_OF[learner]
        made = (make or LEARNERS[learner])(inputs)
        self.learning = LearnerFold(definition, learner=made, rows_max=FIGURE_ROWS_MAX, grow=grow)
        self.begin: int | None = None
        """The first record."""
        self.next_offset = 0
        self.repeats = 0
        """Records that came before: the stages may write one twice."""
        self.undecodable = 0
        self.other_schema = 0
        """Rows whose inputs mean what this release does not know: of another release."""
        self.failed = 0
        """Records that our own code failed on."""
        self.beside = Besides(beside)
        """What hears the same beside the learner."""
        self._recent = RecentRecords()
        self._recent_kept: dict[str, bytes] = {}

    def take(self, offset: int, value: bytes | None) -> None:
        """Fold one record; one that cannot be read or folded is counted, and the next one is taken."""
        self.begin = offset if self.begin is None else self.begin
        self.next_offset = offset + 1
        try:
            example = decode_example(value or b"")
        except UndecodableExampleError:
            self.undecodable += 1
            return
        if not self._recent.add(example.example_id):
            self.repeats += 1
            return
        if isinstance(example, Scored):
            self._take_score(example)
        elif isinstance(example, Happened):
            self._guarded(lambda: self.learning.happened(example.envelope))
            self.beside.happened(example.envelope)
        else:
            self.beside.told(example.to, bytes(example.content))

    def _take_score(self, example: Scored) -> None:
        try:
            row = learning_row(example)
        except OtherSchemaError:
            self.other_schema += 1
            return
        patient, at, probability, version = example.patient, example.at, example.probability, example.version
        self._guarded(lambda: self.learning.scored(patient, at, row, probability, version))
        if example.values:
            self.beside.measured(patient, at, example.feed, example.values)
        self.beside.scored(patient, at, row, probability, version)

    def _guarded(self, learn: Callable[[], None]) -> None:
        try:
            learn()
        except Exception:  # noqa: BLE001 - a bug of ours in one example must not end learning
            self.failed += 1

    def candidate(self, origin: Origin) -> ModelVersion:
        """Freeze what is known now; the same records give the same version. Raises `TooFewExamplesError`."""
        fold = self.learning
        lineage = Lineage(
            source=EXAMPLES,
            rows=0,
            positives=0,
            first_time=fold.first_time,
            last_time=fold.last_time,
            patients=fold.patients_seen,
            outcome_kinds=fold.joiner.kinds,
            code_version=origin.code_version,
            note=f"learned live from records {self.begin or 0} to {self.next_offset - 1}",
        )
        if not isinstance(fold.prequential.learner, RiverLogistic):
            # Versions of formats 1 and 2 have no place for these.
            lineage = msgspec.structs.replace(
                lineage,
                code_commit=origin.code_commit,
                configuration_hash=origin.configuration_hash,
                lock_digest=origin.lock_digest,
            )
        return frozen(fold, lineage)

    def state(self) -> ExampleFoldState:
        """Give all it knows; it goes on, and what was given changes with it: encode it at once."""
        for key, chunk in self._recent.take_changes().items():
            if chunk is None:
                self._recent_kept.pop(key, None)
            else:
                self._recent_kept[key] = chunk
        return ExampleFoldState(
            self.begin or 0,
            self.next_offset,
            self.repeats,
            self.undecodable,
            self.other_schema,
            self.failed,
            dict(sorted(self._recent_kept.items())),
            self.learning.state(),
            self.beside.state(),
            dict(sorted(self.beside.faults.items())),
        )

    @classmethod
    def restored(
        cls,
        definition: OutcomeDefinition,
        state: ExampleFoldState,
        *,
        grow: Grow = lambda learner: learner.grow(),
        beside: Mapping[str, MakeBeside] | None = None,
    ) -> ExampleFold:
        """Go on from a state of a fold of the same definition, alike bit for bit. Raises `ValueError`.

        A fold beside the learner that has no state here begins anew: `Besides.begun_anew` names it.
        """
        fold = cls(definition, "river-logistic", beside=beside)
        fold.beside.restore(state.beside, state.beside_faults)
        fold.learning = LearnerFold.restored(definition, state.learning, rows_max=FIGURE_ROWS_MAX, grow=grow)
        fold.begin, fold.next_offset = state.begin, state.next_offset
        fold.repeats, fold.undecodable = state.repeats, state.undecodable
        fold.other_schema, fold.failed = state.other_schema, state.failed
        fold._recent_kept = state.recent
        fold._recent.restore(state.recent)
        return fold
