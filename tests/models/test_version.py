"""Versions: named by content, plain, and refused with a named error where they cannot be used."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from models.checks import INPUTS, rows
from models.learning import Learner
from models.likeness import Likeness, Shape
from models.training import freeze
from models.venn import Category, VennTable
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
        {"format": 3},
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


FORMAT_1 = Path(__file__).parent / "versions" / "ca23a3286c5c.json"
SHAPE = Shape(False, 200, (1.0, 0.0), ((1.0,), (0.2, 1.0)), 9.0, 0.005, 400)
LIKENESS = Likeness(("steady", "trend"), (SHAPE,))
VENN = VennTable((0.1,), (Category(0.0, 0.05, 900, 9, 90), Category(0.1, 0.4, 90, 20, 30)), 0.95)


def test_format_1_is_read_under_its_own_name():
    """A version that an earlier release wrote keeps its id and its bytes, and has neither summary."""
    data = FORMAT_1.read_bytes()
    found = load(data, version=FORMAT_1.stem)
    assert (found.format, found.likeness, found.venn) == (1, None, None)
    assert dump(found) == data


def test_summaries_are_content(version):
    """What a version says of its own limits travels with it and is part of its name."""
    full = msgspec.structs.replace(version, likeness=LIKENESS, venn=VENN)
    again = load(dump(full), version=full.version)
    assert (again.likeness, again.venn) == (LIKENESS, VENN)
    other = msgspec.structs.replace(full, likeness=msgspec.structs.replace(LIKENESS, shapes=(replace_limit(8.0),)))
    assert len({version.version, full.version, other.version}) == 3


def replace_limit(limit: float) -> Shape:
    return msgspec.structs.replace(SHAPE, limit=limit)


@pytest.mark.parametrize(
    "change",
    [
        {"likeness": msgspec.structs.replace(LIKENESS, inputs=("steady", "nobody"))},
        {"likeness": msgspec.structs.replace(LIKENESS, shapes=(replace_limit(-1.0),))},
        {"likeness": msgspec.structs.replace(LIKENESS, shapes=(replace_limit(float("inf")),))},
        {"venn": msgspec.structs.replace(VENN, edges=())},
        {"venn": msgspec.structs.replace(VENN, coverage=2.0)},
        {"format": 1, "likeness": LIKENESS},
    ],
)
def test_a_summary_that_does_not_fit_is_malformed(version, change):
    """A summary of other inputs, with numbers that are none, or in a format that has none, is refused."""
    data = dump(msgspec.structs.replace(version, **change))
    if change.get("format") == 1:
        data = dump(msgspec.structs.replace(version, likeness=LIKENESS)).replace(b'"format":2', b'"format":1')
    with pytest.raises(MalformedVersionError):
        load(data)
