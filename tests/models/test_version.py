"""Versions: named by content, plain, and refused with a named error where they cannot be used."""

from __future__ import annotations

import msgspec
import pytest

from models.checks import INPUTS, rows
from models.learning import Learner
from models.training import freeze
from models.version import (
    VERSION_BYTES_MAX,
    Lineage,
    MalformedVersionError,
    ModelVersion,
    SchemaMismatchError,
    VersionMismatchError,
    dump,
    load,
)


@pytest.fixture(scope="module")
def version() -> ModelVersion:
    learner = Learner(INPUTS)
    for vector, label in rows(1):
        learner.learn_one(vector, label)
    return freeze(learner, Lineage("test rows", 0, 0, seed=1), schema_hash="sha256:s")


def test_round_trip(version):
    """What is dumped loads as the same version under the same id, and dumps to the same bytes."""
    again = load(dump(version), schema_hash="sha256:s", version=version.version)
    assert again == version
    assert dump(again) == dump(version)


def test_id_is_the_content(version):
    """The id is 12 hexadecimal digits of the content's hash: any change of content changes it."""
    assert version.digest.startswith("sha256:" + version.version)
    assert len(version.version) == 12
    assert msgspec.structs.replace(version, intercept=version.intercept + 1e-9).version != version.version
    other = msgspec.structs.replace(version, lineage=Lineage("other rows", 0, 0))
    assert other.version != version.version


def test_lineage_counts_are_the_learners(version):
    """Rows and positives recorded are what was learned, not what somebody claims."""
    labels = [label for _, label in rows(1)]
    assert (version.lineage.rows, version.lineage.positives) == (len(labels), sum(labels))


def test_other_inputs_are_a_named_error(version):
    """A version trained on other inputs than ours is refused by name."""
    with pytest.raises(SchemaMismatchError):
        load(dump(version), schema_hash="sha256:other")


def test_other_content_is_a_named_error(version):
    """Content that does not have the hash it is asked for by is refused by name."""
    with pytest.raises(VersionMismatchError):
        load(dump(version), version="000000000000")


@pytest.mark.parametrize(
    "change",
    [
        {"weights": (1.0,)},
        {"format": 2},
        {"horizon_h": 0},
        {"threshold": 0.0},
        {"threshold_release": 0.9},
        {"deviations": (-1.0,) * 10},
        {"intercept": 1e300},
        {"clip_sd": 0.0},
        {"weights": (1e7,) * 10},
    ],
)
def test_inconsistent_content_is_malformed(version, change):
    """Numbers that do not fit together, or are beyond reason, are refused."""
    with pytest.raises(MalformedVersionError):
        load(dump(msgspec.structs.replace(version, **change)))


def test_not_a_version_is_malformed(version):
    """Garbage, truncation, numbers beyond a float and oversize are refused without an exception of another kind."""
    data = dump(version)
    huge = data.replace(b'"intercept":', b'"intercept":1e999,"x":', 1)
    for bad in (b"", b"\xff\xfe", b"[]", b"null", data[:-1], huge, b" " * (VERSION_BYTES_MAX + 1)):
        with pytest.raises(MalformedVersionError):
            load(bad)


def test_nan_is_malformed(version):
    """A version with a NaN weight, which JSON writes as null, does not load."""
    with pytest.raises(MalformedVersionError):
        load(dump(msgspec.structs.replace(version, weights=(float("nan"),) * 10)))
