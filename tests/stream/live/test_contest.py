"""The contest: the evidence that a file of the same rows gives, the same from any record on, bounded, never fatal."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evidence import Evidence
from models.inputs import LEARNING_INPUTS
from models.rows import Inputs
from models.scorer import Scorer
from models.version import ModelVersion
from models.weighing import Levels
from stream.contest_rows import SLOTS
from stream.live.beside import Besides
from stream.live.contest import TOLD_MAX, Challenged, Contest, evidence_on
from stream.live.examples import Happened, Scored
from stream.row_recorder import RowRecorder, TrainingRow
from stream.rows import RowFile
from stream.weighing import weigh_file
from tests.stream.live.contest_cases import (
    CHALLENGER_AT,
    CHAMPION_AT,
    DEFINITION,
    HOUR,
    ROWS_A_PATIENT,
    START,
    calibrated,
    hospital,
    tell,
    version,
)

LEVELS = Levels(0.3, 0.2)
CHAMPION, CHALLENGER = calibrated(CHAMPION_AT), calibrated(CHALLENGER_AT)
LATER = calibrated(CHALLENGER_AT, made=1, learned_until=START + 60 * HOUR)
AT_HAND = {one.version: one for one in (CHAMPION, CHALLENGER, LATER)}


def challenged(*names: str) -> bytes:
    """Give the word of who takes part."""
    return msgspec.json.encode({"challengers": names})


def contest(rows_max: int = 400_000) -> Contest:
    """Give a fold with the versions at hand."""
    return Contest(DEFINITION, AT_HAND.get, rows_max=rows_max)


@pytest.fixture(scope="module")
def examples() -> list[Scored | Happened]:
    """Give a hospital with a champion in force."""
    return list(hospital(160, champion=CHAMPION))


def exported(path: Path, examples: list[Scored | Happened], since: int) -> Path:
    """Write the rows of a topic from a score on, as `wardstream rows` does."""
    kept: list[TrainingRow] = []
    recorder = RowRecorder(DEFINITION, kept.extend)
    for one in examples:
        if isinstance(one, Scored):
            recorder.scored(one.patient, one.at, [np.nan if value is None else value for value in one.vector])
        else:
            recorder.happened(one.envelope)
    with RowFile(path, {}) as file:
        file.write(row for row in kept if row.row >= since)
    return path


def of_what_was_found(evidence: Evidence) -> Evidence:
    """Give evidence without the words on where its rows came from."""
    return msgspec.structs.replace(evidence, source="")


# -- one road and the other -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("champion", [CHAMPION, None], ids=["version", "news2"])
@pytest.mark.parametrize("challenger", [CHALLENGER, LATER], ids=["from the start", "that learned on"])
@pytest.mark.parametrize("enters", [0, 250])
def test_the_contest_gives_the_evidence_that_a_file_of_its_rows_gives(
    examples: list[Scored | Happened],
    tmp_path: Path,
    champion: ModelVersion | None,
    challenger: ModelVersion,
    enters: int,
) -> None:
    """Every figure, interval, subgroup and stretch, the digest of the data, and what was left out: the same."""
    fold = contest()
    tell(fold, examples[:enters])
    fold.told(challenged(challenger.version))
    tell(fold, examples[enters:])
    found = fold.heard(challenger.version, champion.version if champion else "news2")
    since = sum(isinstance(one, Scored) for one in examples[:enters])
    path = exported(tmp_path / "rows.parquet", examples, since)
    weighed = weigh_file(path, challenger, champion, LEVELS)
    evidence = evidence_on(found, champion, challenger, LEVELS)
    assert of_what_was_found(evidence) == of_what_was_found(weighed.evidence)
    assert (found.learned, found.unusable) == (weighed.learned, weighed.unusable)
    assert evidence.rows > 300
    assert (found.learned > 0) == (challenger is LATER)
    assert evidence.first_matured > (challenger.lineage.learned_until or 0)
    assert {one.dimension for one in evidence.subgroups} >= {"sex", "age_band", "ward_type", "unit_of_origin"}


def test_rows_scored_before_it_entered_are_no_evidence(examples: list[Scored | Happened]) -> None:
    """Though their labels matured afterwards: it was not asked then."""
    fold = contest()
    tell(fold, examples[:400])
    waiting = fold.state()
    fold.told(challenged(CHALLENGER.version))
    tell(fold, [one for one in examples[400:] if isinstance(one, Happened)])
    assert len(fold.heard(CHALLENGER.version, "news2").rows.labels) == 0
    assert waiting != fold.state()


def test_what_another_champion_said_is_told_apart(examples: list[Scored | Happened]) -> None:
    """A contest is against the version in force: rows that another one answered are counted, and left out."""
    half = len(examples) // 2
    other = version(CHAMPION_AT, 0.5, -1.0)
    later = [
        msgspec.structs.replace(one, probability=0.25, version=other.version) if isinstance(one, Scored) else one
        for one in examples[half:]
    ]
    fold = contest()
    fold.told(challenged(CHALLENGER.version))
    tell(fold, [*examples[:half], *later])
    first, second = (fold.heard(CHALLENGER.version, name) for name in (CHAMPION.version, other.version))
    assert set(second.rows.champion.tolist()) == {0.25}
    assert 0.25 not in first.rows.champion
    assert (first.elsewhere, second.elsewhere) == (len(second.rows.labels), len(first.rows.labels))
    assert len(fold.heard(CHALLENGER.version, "news2").rows.labels) == len(first.rows.labels) + len(second.rows.labels)


# -- the fold ---------------------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(cut=st.integers(0, 900), enters=st.integers(0, 500), leaves=st.integers(500, 900))
def test_gone_on_from_any_record_it_knows_the_same(
    examples: list[Scored | Happened], cut: int, enters: int, leaves: int
) -> None:
    """A fold that was restored at any record has the state, byte for byte, of one that was never stopped."""
    words = {enters: challenged(CHALLENGER.version), leaves: challenged(LATER.version, "f" * 12)}
    states = []
    for restored_at in (None, cut):
        fold = contest(rows_max=300)
        for place, one in enumerate(examples[:900]):
            if place in words:
                fold.told(words[place])
            if place == restored_at:
                after = contest(rows_max=300)
                after.restore(fold.state())
                fold = after
            tell(fold, [one])
        states.append(fold.state())
    assert states[0] == states[1]


def test_what_it_keeps_is_bounded_and_whole_patients_go(examples: list[Scored | Happened]) -> None:
    """Past the bound every second patient is let go, with all rows; those who stay are complete."""
    full, small = contest(), contest(rows_max=200)
    for fold in (full, small):
        fold.told(challenged(CHALLENGER.version))
    for one in examples:
        tell(full, [one])
        tell(small, [one])
        assert len(small.rows) <= 200
    everything, kept = (fold.heard(CHALLENGER.version, CHAMPION.version).rows for fold in (full, small))
    whose = set(kept.patients.tolist())
    assert len(whose) >= 10
    assert small.rows.sample > 1
    assert {patient % small.rows.sample for patient in whose} == {0}
    for patient in whose:
        rows, all_rows = kept.patients == patient, everything.patients == patient
        assert kept.challenger[rows].tolist() == everything.challenger[all_rows].tolist()


def test_no_more_than_the_slots_take_part_and_one_that_left_makes_room() -> None:
    """The fourth is refused by name; told anew without the first, it takes the free place, with rows of its own."""
    many = [version(CHALLENGER_AT, 1.0, -number / 10) for number in range(SLOTS + 1)]
    fold = Contest(DEFINITION, {one.version: one for one in many}.get)
    names = [one.version for one in many]
    fold.told(challenged(*names))
    assert list(fold.running) == names[:SLOTS]
    assert fold.refused == {names[-1]: "3 take part already"}
    tell(fold, list(hospital(60)))
    fold.told(challenged(*names[1:]))
    assert list(fold.running) == names[1:SLOTS]
    fold.told(challenged(*names[1:SLOTS]))
    fold.told(challenged(*names[1:]))
    assert list(fold.running) == names[1:]
    assert not fold.refused
    assert fold.running[names[-1]].since == 60 * ROWS_A_PATIENT


# -- who cannot take part ---------------------------------------------------------------------------------------------


def refusals() -> list[tuple[ModelVersion | None, str]]:
    """Give versions that cannot take part, and the beginning of why."""
    good = version(CHALLENGER_AT)
    short = Inputs(LEARNING_INPUTS.names[:-1], LEARNING_INPUTS.indicators)
    elsewhere = msgspec.structs.replace(good.lineage, outcome="another")
    return [
        (None, "it is not at hand"),
        (msgspec.structs.replace(good, schema_hash="sha256:other"), "it takes other inputs"),
        (msgspec.structs.replace(good, inputs=short, schema_hash="sha256:other"), "it takes other inputs"),
        (version(CHALLENGER_AT, learned_until=None), "it does not say up to when it learned"),
        (msgspec.structs.replace(good, horizon_h=24), "it predicts another outcome"),
        (msgspec.structs.replace(good, lineage=elsewhere), "it predicts another outcome"),
        (msgspec.structs.replace(good, ensemble=None), "it cannot be scored with: "),
    ]


@pytest.mark.parametrize(("wrong", "why"), refusals())
def test_who_cannot_take_part_is_refused_by_name(
    examples: list[Scored | Happened], wrong: ModelVersion | None, why: str
) -> None:
    """The others go on, and the fold ends in the state of one that never heard of it, but for that name."""
    fold = Contest(DEFINITION, lambda name: wrong if name == "0" * 12 else AT_HAND.get(name))
    fold.told(challenged("0" * 12, CHALLENGER.version))
    tell(fold, examples[:300])
    assert list(fold.running) == [CHALLENGER.version]
    assert fold.refused["0" * 12].startswith(why)


def test_a_challenger_that_fails_at_a_row_leaves_and_stops_nobody(
    examples: list[Scored | Happened], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused with the kind of its error; the other's rows are those it would have had alone."""
    alone, beside = contest(), contest()
    alone.told(challenged(CHALLENGER.version))
    beside.told(challenged(CHALLENGER.version, LATER.version))
    tell(alone, examples)
    tell(beside, examples[:300])
    monkeypatch.setattr(beside.running[LATER.version].scorer, "_score", _broken)
    besides = Besides({"contest": lambda: beside})
    for one in examples[300:]:
        tell(besides.folds["contest"], [one])
    assert beside.refused == {LATER.version: "it failed at a row: model_failed ZeroDivisionError"}
    assert not besides.problems()
    one, other = (fold.heard(CHALLENGER.version, CHAMPION.version).rows for fold in (alone, beside))
    assert np.array_equal(one.challenger, other.challenger)
    assert len(one.labels) == len(other.labels) > 300


def _broken(*_what: object, **_named: object) -> None:
    raise ZeroDivisionError


def test_a_word_of_more_names_than_anybody_tells_is_refused() -> None:
    """Forged, it would be held against itself name by name at the next word, and be kept in each snapshot."""
    contest = Contest(DEFINITION, lambda _name: None)
    word = msgspec.json.encode(Challenged(tuple(f"{number:012x}" for number in range(TOLD_MAX + 1))))
    with pytest.raises(msgspec.ValidationError):
        contest.told(word)
    assert contest.challengers == ()
    assert contest.refused == {}


def test_a_state_that_is_none_is_refused() -> None:
    """Bytes that nothing of ours wrote raise the one error."""
    for data in (b"", b"\xc0", msgspec.msgpack.encode({"challengers": []})):
        with pytest.raises(ValueError, match="Error"):
            contest().restore(data)


def test_a_row_without_a_word_of_the_challenger_is_counted(examples: list[Scored | Happened]) -> None:
    """A row that the challenger refuses is no evidence on it, and is counted as such."""
    spoiled = [
        msgspec.structs.replace(one, vector=(1e300, *one.vector[1:]))
        if isinstance(one, Scored) and place % 7 == 0
        else one
        for place, one in enumerate(examples)
    ]
    fold = contest()
    fold.told(challenged(CHALLENGER.version))
    tell(fold, spoiled)
    assert Scorer(CHALLENGER).score([1e300] * len(LEARNING_INPUTS.names)).probability is None
    assert fold.heard(CHALLENGER.version, CHAMPION.version).unusable > 20
