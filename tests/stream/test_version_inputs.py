"""A version takes its own inputs, by name: what it says is the same whoever listens."""

from __future__ import annotations

import msgspec
import pytest

from models.inputs import LABORATORY, LEARNING_INPUTS, SCHEMA_HASH, schema_hash_of
from models.rows import Inputs
from stream.control import Control, usable
from stream.effects import Score
from stream.outcomes import OutcomeDefinition
from stream.partition_fold import PartitionFold
from stream.row_recorder import RowRecorder
from stream.scoring import _beside_news2
from tests.live.parity import hospital_log

FEW = Inputs(("shock_index", "mean_bp.last", "lactate.max_24h", "news2.total", "heart_rate.last"), ("heart_rate.last",))


def version_of(shipped, inputs, schema_hash=None):
    """Make a version of some inputs, its weights all alike."""
    width = len(inputs.all_names())
    return msgspec.structs.replace(
        shipped, inputs=inputs, schema_hash=schema_hash or schema_hash_of(inputs), means=(1.0,) * width,
        deviations=(2.0,) * width, weights=(0.3,) * width, likeness=None, venn=None,
    )  # fmt: skip


def scores(version, learner=None):
    """Give every score of a hospital's log under a version in force."""
    versions = {version.version: version}
    log = hospital_log(1, hours=6, version=version.version, versions=versions)
    fold = PartitionFold(0, 1, versions, learner=learner)
    return [effect for envelope in log.partitions[0] for effect in fold.fold(envelope) if isinstance(effect, Score)]


def test_a_version_of_other_inputs_scores_alike_whether_anybody_learns(shipped):
    """Computed by itself or taken out of the learner's row, a version's row gives the same probabilities."""
    version = version_of(shipped, FEW)
    alone = scores(version)
    assert sum(score.probability is not None for score in alone) > 50
    assert alone == scores(version, RowRecorder(OutcomeDefinition(), lambda _rows: None))


def test_the_shipped_version_scores_alike_whether_anybody_learns(shipped):
    """The learner's row changes nothing of what the version in force says."""
    alone = scores(shipped)
    assert sum(score.probability is not None for score in alone) > 50
    assert alone == scores(shipped, RowRecorder(OutcomeDefinition(), lambda _rows: None))


@pytest.mark.parametrize(
    ("inputs", "schema_hash", "is_usable"),
    [
        (FEW, None, True),
        (LEARNING_INPUTS, None, True),
        (FEW, SCHEMA_HASH, False),
        (Inputs(("mean_bp.last", "pain.last"), ("mean_bp.last",)), "sha256:0", False),
    ],
)
def test_a_version_is_usable_where_its_names_and_their_meaning_are_known(shipped, inputs, schema_hash, is_usable):
    """Known names under their own hash; another's hash, or a name of another release, leaves NEWS2 alone."""
    version = version_of(shipped, inputs, schema_hash)
    assert (usable({"v": version}, "v") is not None) is is_usable


def test_what_is_cited_beside_news2_is_what_the_version_sees(shipped):
    """Of the shipped version its laboratory values, as ever; of another its own, each feature once."""
    for version, cited in ((shipped, LABORATORY), (version_of(shipped, FEW), ("mean_bp", "lactate"))):
        control = Control({version.version: version})
        control.version = version.version
        control.reload()
        assert _beside_news2(control) == cited
