"""Snapshots of the learner: gone on from one it knows what it would have, and one that does not fit is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import Correction, Discharge, Envelope, Observation, Outcome, content_id
from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS, Inputs
from models.learners.boosting import BoostingSettings
from models.learners.classifier import Classifier
from models.learners.ensemble import CrossedBoosted
from stream.learning import state_digest
from stream.live.beside import MakeBeside
from stream.live.contest import Contest
from stream.live.example_fold import ExampleFold, ExampleFoldState, Origin
from stream.live.examples import Happened, encode_example, happened, scored
from stream.live.learner_snapshots import KEPT, Head, Snapshots, UnusableSnapshotError, head_of, packed, unpacked
from stream.live.monitor_fold import MonitorFold
from stream.outcomes import OutcomeDefinition
from tests.live.test_learner import lessons

HOUR = 3_600_000
DEFINITION = OutcomeDefinition()
BOOSTED, RIVER = "crossed-boosted", "river-logistic"
ORIGIN = Origin("0.test", "c0ffee", "sha256:0")
QUICK = BoostingSettings(
    every_labels=60, negatives=300, positives=100, negatives_a_tree=150, positives_a_tree=100, ring=6, bins=8,
    schedule=(128, 512), seed=3,
)  # fmt: skip
"""Small enough that reservoirs overflow and the ring goes round within the examples."""


def made(inputs: Inputs) -> Classifier:
    """Make the shipped kind of learner, small."""
    return CrossedBoosted(inputs, QUICK)


def folded(values: list[bytes], learner: str = RIVER, begin: int = 0) -> ExampleFold:
    """Fold records."""
    fold = ExampleFold(DEFINITION, learner, make=made if learner == BOOSTED else None)
    go_on(fold, values, begin)
    return fold


def go_on(fold: ExampleFold, values: list[bytes], begin: int) -> None:
    """Fold more of them."""
    for offset, value in enumerate(values[begin:], begin):
        fold.take(offset, value)


def through_bytes(fold: ExampleFold, learner: str) -> ExampleFold:
    """Give what a process that was started again has."""
    head = head_of("r", learner, DEFINITION)
    state = unpacked(packed(head, fold.state()), head, 0, fold.next_offset)
    return ExampleFold.restored(DEFINITION, state)


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    """Give examples enough to make a version of, a repeat and a record that is none among them."""
    few = lessons(patients=60)
    return [*few[:500], few[499], b"{", *few[500:]]


@pytest.fixture(scope="module")
def whole(values: list[bytes]) -> dict[str, ExampleFold]:
    """Give the folds that were never stopped."""
    return {learner: folded(values, learner) for learner in (BOOSTED, RIVER)}


@pytest.mark.parametrize("learner", [BOOSTED, RIVER])
@settings(max_examples=6, deadline=None)
@given(cut=st.floats(0.0, 1.0))
def test_gone_on_from_any_record_it_knows_the_same(
    values: list[bytes], whole: dict[str, ExampleFold], learner: str, cut: float
) -> None:
    """Trees, bins, calibration, waiting labels, figures and repeats: the same state, the same version, bit for bit."""
    at = round(cut * len(values))
    restored = through_bytes(folded(values[:at], learner), learner)
    go_on(restored, values, at)
    assert state_digest(restored.learning.state()) == state_digest(whole[learner].learning.state())
    assert (restored.repeats, restored.undecodable, restored.next_offset) == (1, 1, len(values))
    assert restored.candidate(ORIGIN) == whole[learner].candidate(ORIGIN)


def test_what_the_boosted_learner_makes_is_an_ensemble_of_the_rich_row(whole: dict[str, ExampleFold]) -> None:
    """The learner's own candidate is of format 3; River's stays what the shipped version is."""
    boosted, river = (whole[learner].candidate(ORIGIN) for learner in (BOOSTED, RIVER))
    assert (boosted.format, river.format) == (3, 2)
    assert boosted.ensemble is not None
    assert boosted.lineage.code_commit == "c0ffee"
    assert river.inputs == CLINICAL_INPUTS


@pytest.fixture
def stored(values: list[bytes], tmp_path: Path) -> tuple[Snapshots, Path, ExampleFold]:
    """Give a folder with one snapshot."""
    fold = folded(values[:200])
    snapshots = Snapshots(tmp_path, head_of("r", RIVER, DEFINITION))
    snapshots.write(fold)
    [path] = tmp_path.iterdir()
    return snapshots, path, fold


@pytest.mark.parametrize("where", [0, 25, 400, -40, -1])
def test_a_damaged_one_is_refused_by_name_and_the_fold_begins_anew(
    stored: tuple[Snapshots, Path, ExampleFold], where: int
) -> None:
    """Any byte: magic, head, state, digest."""
    snapshots, path, _ = stored
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    found = snapshots.load(DEFINITION, 0, 1_000)
    assert found.fold is None
    assert [(one.name, one.why) for one in found.refused] == [(path.name, "it is damaged, or no snapshot")]


@pytest.mark.parametrize("kept", [0, 10, 21, 60, 1_000])
def test_one_that_was_cut_off_is_refused(stored: tuple[Snapshots, Path, ExampleFold], kept: int) -> None:
    """As a disk that filled would leave it, if it had its name already."""
    snapshots, path, _ = stored
    path.write_bytes(path.read_bytes()[:kept])
    assert [one.name for one in snapshots.load(DEFINITION, 0, 1_000).refused] == [path.name]


@pytest.mark.parametrize(
    ("head", "begin", "end", "why"),
    [
        (head_of("next", RIVER, DEFINITION), 0, 1_000, "of another release"),
        (head_of("r", BOOSTED, DEFINITION), 0, 1_000, "of another learner"),
        (head_of("r", RIVER, OutcomeDefinition(kinds=("sepsis",))), 0, 1_000, "of another outcome definition"),
        (head_of("r", RIVER, DEFINITION), 0, 199, "goes to record 200, and the topic ends at 199"),
        (head_of("r", RIVER, DEFINITION), 201, 1_000, "goes to record 200, and the topic begins at 201"),
    ],
)
def test_one_of_something_else_is_refused(
    stored: tuple[Snapshots, Path, ExampleFold], head: Head, begin: int, end: int, why: str
) -> None:
    """Another release, learner or outcome, or a topic that was made anew: each has its words."""
    _, path, _ = stored
    found = Snapshots(path.parent, head).load(DEFINITION, begin, end)
    assert found.fold is None
    assert why in found.refused[0].why


def test_where_the_newest_is_damaged_the_one_before_it_is_taken(values: list[bytes], tmp_path: Path) -> None:
    """So many are kept, the oldest go, and what is left unfinished goes with them."""
    snapshots = Snapshots(tmp_path, head_of("r", RIVER, DEFINITION))
    (tmp_path / ".00000000000000000001.snapshot.part").write_bytes(b"half")
    fold = ExampleFold(DEFINITION, RIVER)
    for offset, value in enumerate(values[:400]):
        fold.take(offset, value)
        if fold.next_offset % 100 == 0:
            snapshots.write(fold)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{count:020d}.snapshot" for count in (300, 400)]
    assert len(names) == KEPT
    (tmp_path / names[-1]).write_bytes(b"no snapshot")
    found = snapshots.load(DEFINITION, 0, 1_000)
    assert found.name == names[0]
    assert found.fold is not None
    assert found.fold.next_offset == 300
    go_on(found.fold, values[:400], 300)
    assert state_digest(found.fold.learning.state()) == state_digest(fold.learning.state())


def test_a_state_that_does_not_fit_its_learner_is_refused(stored: tuple[Snapshots, Path, ExampleFold]) -> None:
    """Whole by its digest, and nonsense within: made by a bug of ours, not by a disk."""
    snapshots, path, fold = stored
    head = head_of("r", RIVER, DEFINITION)
    path.write_bytes(packed(head, ExampleFoldState(0, 200, 0, 0, 0, 0, {}, None)))  # type: ignore[arg-type]
    found = snapshots.load(DEFINITION, 0, 1_000)
    assert found.fold is None
    assert found.refused[0].why == "its state cannot be read"
    with pytest.raises(UnusableSnapshotError):
        unpacked(packed(head, fold.state())[:-1], head, 0, 1_000)


@pytest.mark.parametrize("far", [2**70, -(2**70), 2**53])
def test_a_time_that_no_snapshot_has_room_for_is_refused(values: list[bytes], far: int) -> None:
    """One such record would end the process at its next snapshot, and again each time that it is read anew."""
    beside: dict[str, MakeBeside] = {
        "monitors": lambda: MonitorFold(DEFINITION),
        "contest": lambda: Contest(DEFINITION, lambda _name: None),
    }
    fold = ExampleFold(DEFINITION, RIVER, beside=beside)
    go_on(fold, values[:200], 0)
    died = Envelope("e", "p", 0, far, (Outcome(0, "death"),))
    then = Envelope("f", "p", 0, 0, (Outcome(far, "death"),))
    result = Observation(1, (("loinc", "8867-4"),), 80.0, "/min", far)
    mended = Envelope("g", "p", 0, 0, (Correction(result),))
    row = scored("p", far, [0.0] * len(LEARNING_INPUTS.names))
    forged = [row, Happened("e", died), Happened("f", then), Happened("g", mended)]
    go_on(fold, [*values[:200], *map(encode_example, forged)], 200)
    assert fold.undecodable == len(forged)
    assert fold.beside.faults == {}
    assert packed(head_of("r", RIVER, DEFINITION), fold.state())


def test_figures_of_the_version_in_force_are_kept_by_version() -> None:
    """What the wards were really told is judged beside what the learner would have said: by version, labels alike."""
    draw = random.Random(3)  # noqa: S311 - examples, seeded
    fold = ExampleFold(DEFINITION, RIVER)
    timed: list[tuple[int, bytes]] = []
    for number in range(40):
        patient, sick, begin = content_id("patient", str(number)), number % 4 == 0, number * HOUR
        for hour in range(6):
            at = begin + hour * HOUR
            said, version = (0.9 if sick else 0.1) + draw.random() / 100, "old" if number < 20 else "new"
            timed.append((at, encode_example(scored(patient, at, [1.0] * 269, said, version))))
        end = begin + 7 * HOUR
        told = happened(Envelope(content_id("end", patient), patient, end, end, (_end(end, sick=sick),)))
        assert told is not None
        timed.append((end, encode_example(told)))
    for offset, (_, value) in enumerate(sorted(timed)):
        fold.take(offset, value)
    fold.learning.finish()
    figures = {name: run.figures() for name, run in fold.learning.in_force.by_version().items()}
    assert list(figures) == ["old", "new"]
    assert all(one.auroc == 1.0 and one.positives for one in figures.values())
    restored = through_bytes(fold, RIVER)
    assert {name: run.figures() for name, run in restored.learning.in_force.by_version().items()} == figures


def _end(at: int, *, sick: bool) -> Outcome | Discharge:
    return Outcome(at, "death") if sick else Discharge(at + 20 * HOUR)
