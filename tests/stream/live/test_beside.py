"""Folds beside the learner: they hear what it hears, go on from any record, and no fault of theirs ends learning."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import Envelope, Millis
from stream.learning import state_digest
from stream.live.beside import Beside
from stream.live.example_fold import ExampleFold
from stream.live.examples import encode_example, told
from stream.live.learner_snapshots import head_of, packed, unpacked
from stream.outcomes import OutcomeDefinition
from tests.live.test_learner import lessons

DEFINITION = OutcomeDefinition()
RIVER = "river-logistic"


class Listener(Beside):
    """Keeps what it heard; raises at every so manieth thing heard."""

    def __init__(self, raises_each: int = 0) -> None:
        """Begin with nothing heard."""
        self.heard: list[tuple[str, str, Millis, str]] = []
        self._raises_each = raises_each

    def _hear(self, kind: str, patient: str, at: Millis, *what: object) -> None:
        self.heard.append((kind, patient, at, str(what)))
        if self._raises_each and len(self.heard) % self._raises_each == 0:
            raise ZeroDivisionError(patient)

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Keep that a score came."""
        self._hear("scored", patient, at, len(vector), probability, version)

    def happened(self, envelope: Envelope) -> None:
        """Keep what happened."""
        self._hear("happened", envelope.patient, envelope.received_time)

    def measured(self, patient: str, at: Millis, feed: str, values: Sequence[tuple[str, float]]) -> None:
        """Keep that values came."""
        self._hear("measured", patient, at, feed, values)

    def told(self, content: bytes) -> None:
        """Keep a word."""
        self._hear("told", content.decode(), 0)

    def state(self) -> bytes:
        """Give what was heard."""
        return msgspec.json.encode(self.heard)

    def restore(self, data: bytes) -> None:
        """Go on."""
        self.heard = msgspec.json.decode(data, type=list[tuple[str, str, Millis, str]])


class Unstorable(Beside):
    """Its state can be neither given nor taken up."""

    def state(self) -> bytes:
        """Fail."""
        raise RuntimeError("state")

    def restore(self, data: bytes) -> None:
        """Fail."""
        raise RuntimeError(len(data))


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    """Give examples, with words to two folds among them."""
    few = lessons(patients=30)
    words = [encode_example(told(to, b'{"n":1}', 100)) for to in ("first", "nobody")]
    return [*few[:100], *words, *few[99:]]


def folded(values: list[bytes], **beside: Listener) -> ExampleFold:
    """Fold all of them, with these folds beside the learner."""
    fold = ExampleFold(DEFINITION, RIVER, beside={name: lambda one=one: one for name, one in beside.items()})  # type: ignore[misc]
    for offset, value in enumerate(values):
        fold.take(offset, value)
    return fold


def through_bytes(fold: ExampleFold, **beside: Listener) -> ExampleFold:
    """Give what a process that was started again has."""
    head = head_of("r", RIVER, DEFINITION)
    state = unpacked(packed(head, fold.state()), head, 0, fold.next_offset)
    return ExampleFold.restored(DEFINITION, state, beside={name: lambda one=one: one for name, one in beside.items()})  # type: ignore[misc]


def test_it_hears_each_record_once_and_in_order(values: list[bytes]) -> None:
    """The repeat is not heard, a word is heard where it stands and by whom it is for, and by nobody else."""
    first, second = Listener(), Listener()
    fold = folded(values, first=first, second=second)
    assert fold.repeats == 1
    assert [kind for kind, *_ in first.heard].index("told") == 100
    assert len(first.heard) == len(values) - 2
    assert [one for one in first.heard if one[0] != "told"] == second.heard


@settings(max_examples=8, deadline=None)
@given(cut=st.floats(0.0, 1.0))
def test_gone_on_from_any_record_it_knows_the_same(values: list[bytes], cut: float) -> None:
    """Its state stands in the learner's snapshot, and so do its faults."""
    whole = folded(values, first=Listener(raises_each=50))
    at = round(cut * len(values))
    restored = through_bytes(folded(values[:at], first=Listener(raises_each=50)), first=Listener(raises_each=50))
    for offset, value in enumerate(values[at:], at):
        restored.take(offset, value)
    assert restored.state().beside == whole.state().beside
    assert restored.beside.faults == whole.beside.faults != {}


def test_a_fault_in_one_is_counted_by_name_and_stops_nobody(values: list[bytes]) -> None:
    """Neither the learner nor the fold after it misses a record; what failed is told without its words."""
    alone = folded(values)
    bad, good = Listener(raises_each=7), Listener()
    fold = folded(values, bad=bad, good=good)
    assert state_digest(fold.learning.state()) == state_digest(alone.learning.state())
    assert len(bad.heard) == len(good.heard) == fold.beside.faults["bad"] * 7 + len(good.heard) % 7
    assert fold.beside.problems() == (
        f"bad: failed {fold.beside.faults['bad']} times (ZeroDivisionError): a fault of ours",
    )
    assert fold.failed == 0


def test_one_without_a_state_begins_anew_and_the_learner_goes_on(values: list[bytes]) -> None:
    """Also where there is a state and it does not fit."""
    fold = folded(values, first=Listener())
    restored = through_bytes(fold, first=Listener(), later=Listener())
    assert restored.beside.begun_anew == ("later",)
    assert state_digest(restored.learning.state()) == state_digest(fold.learning.state())
    state = msgspec.structs.replace(fold.state(), beside={"first": b"{"})
    damaged = ExampleFold.restored(DEFINITION, state, beside={"first": Listener})
    assert damaged.beside.begun_anew == ("first",)
    assert damaged.beside.problems() == ("first: failed 1 times (ValidationError): a fault of ours",)


def test_one_whose_state_cannot_be_given_leaves_the_snapshot_whole(values: list[bytes]) -> None:
    """The learner's snapshot is written all the same, and the fault is counted."""
    fold = ExampleFold(DEFINITION, RIVER, beside={"bad": Unstorable, "good": Listener})
    fold.take(0, values[0])
    assert fold.state().beside.keys() == {"good"}
    assert fold.beside.faults == {"bad": 1}
