"""Versions: named by content, plain, and refused with a named error where they cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from models.checks import INPUTS, rows
from models.checks_ensemble import random_version
from models.drift.summary import InputSummary, Reference
from models.learning import Learner
from models.likeness import Likeness, Shape
from models.training import freeze
from models.venn import Category, VennTable
from models.version import (
    HORIZON_H_MAX,
    INPUTS_MAX,
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
        {"format": 4},
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


MONITORED = Reference(InputSummary(("steady",), ((80.0,),), ((0.4, 0.6),), (0.1,), 500, 300.0), 0.02, 0.8, (0.01, 0.1))
ENSEMBLE = random_version(1, INPUTS, "sha256:s", trees=6, pairs=4)


def test_an_ensemble_round_trips():
    """A version of format 3 loads as what was dumped, under its id, and dumps to the same bytes."""
    full = msgspec.structs.replace(
        ENSEMBLE, likeness=LIKENESS, venn=VENN, importance=(0.1,) * len(INPUTS.names), monitored=MONITORED
    )
    again = load(dump(full), schema_hash="sha256:s", version=full.version)
    assert again == full
    assert dump(again) == dump(full)


def test_an_ensemble_has_nothing_of_a_logistic():
    """Format 3 is written without a logistic's fields, format 2 without an ensemble's or the longer lineage."""
    assert set(json.loads(dump(ENSEMBLE))) == {
        "background", "cost_of_miss", "ensemble", "format", "horizon_h", "importance", "inputs", "likeness", "lineage",
        "monitored", "river_version", "schema_hash", "threshold", "threshold_release", "venn",
    }  # fmt: skip


def test_format_2_has_the_bytes_it_always_had(version):
    """A logistic is written with the fields it was written with before there was a format 3."""
    written = json.loads(dump(version))
    assert set(written) == {
        "clip_sd", "cost_of_miss", "deviations", "format", "horizon_h", "inputs", "intercept", "likeness", "lineage",
        "means", "river_version", "schema_hash", "threshold", "threshold_release", "venn", "weights",
    }  # fmt: skip
    assert set(written["lineage"]) == {
        "source", "rows", "positives", "seed", "first_time", "last_time", "patients", "outcome_kinds", "code_version",
        "evaluation", "note",
    }  # fmt: skip


def test_each_part_of_an_ensemble_is_content():
    """A weight, the background, the importance and the lineage each change the id."""
    weights = ENSEMBLE.ensemble
    changes = (
        {"ensemble": msgspec.structs.replace(weights, slope=weights.slope + 1e-12)},
        {"background": None},
        {"importance": (0.1,) * len(INPUTS.names)},
        {"monitored": MONITORED},
        {"lineage": msgspec.structs.replace(ENSEMBLE.lineage, parent="a60d5094222b")},
        {"lineage": msgspec.structs.replace(ENSEMBLE.lineage, learned_until=0)},
    )
    assert len({msgspec.structs.replace(ENSEMBLE, **change).version for change in changes} | {ENSEMBLE.version}) == 7


Content = dict[str, Any]
Change = Callable[[Content, Any], object]


def at(*path: Any) -> Callable[[Content], Any]:
    """Give what is at a path, for a change to work on."""

    def find(content: Content) -> Any:
        for step in path:
            content = content[step]
        return content

    return find


def put(value: Any, *path: Any) -> Change:
    def change(content: Content, draw: Any) -> None:
        at(*path[:-1])(content)[path[-1]] = value

    return change


def one_of(find: Callable[[Content], Any], value: Any) -> Change:
    """Put a value anywhere in a list that has any."""

    def change(content: Content, draw: Any) -> None:
        found = find(content)
        found[draw(st.integers(0, len(found) - 1))] = value

    return change


def in_a_list(find: Callable[[Content], Any], change: Callable[[list[Any]], object], least: int = 1) -> Change:
    """Change one of several lists, one with so many entries at least."""

    def changed(content: Content, draw: Any) -> None:
        change(draw(st.sampled_from([own for own in find(content) if len(own) >= least])))

    return changed


def in_a_tree(change: Callable[[Content], object]) -> Change:
    """Change one of the trees that have two nodes at least."""

    def changed(content: Content, draw: Any) -> None:
        change(draw(st.sampled_from([tree for tree in TREES(content) if len(tree["feature"]) > 1])))

    return changed


TREES = at("ensemble", "trees", "trees")
CUTS = at("ensemble", "trees", "cuts")
KNOTS = at("ensemble", "crossed", "knots")
NAN = None
"""JSON has no NaN: it is written as null."""
FAULTS: dict[str, tuple[Change, str]] = {
    "slope not a number": (put(NAN, "ensemble", "slope"), "Expected `float`, got `null`"),
    "slope a text": (put("1", "ensemble", "slope"), "Expected `float`, got `str`"),
    "mixture beyond reason": (put([1e9, 0.5], "ensemble", "mix"), "ensemble: mixture or calibration"),
    "mixture of three": (put([0.3, 0.3, 0.4], "ensemble", "mix"), "Expected `array` of length 2"),
    "no part": (
        lambda content, _draw: content["ensemble"].update(crossed=None, trees=None),
        "ensemble: neither crossed logistic nor trees",
    ),
    "no ensemble": (put(None, "ensemble"), "format 3 has no|without an ensemble|0 means"),
    "a logistic's weights": (put([1.0] * 6, "weights"), "format 3 has no weights"),
    "format 2 of an ensemble": (put(2, "format"), "format 2 has no ensemble"),
    "format 1 of an ensemble": (put(1, "format"), "format 1 has no ensemble"),
    "format of tomorrow": (put(4, "format"), "format 4, this release reads"),
    "knots fall": (in_a_list(KNOTS, list.reverse, 2), "ensemble: knots do not ascend"),
    "knots meet": (in_a_list(KNOTS, lambda own: put(own[0], 1)(own, None), 2), "ensemble: knots do not ascend"),
    "a knot too many": (in_a_list(KNOTS, lambda own: own.append(1e300)), "ensemble: additive weights do not fit"),
    "a knot not a number": (in_a_list(KNOTS, lambda own: put(NAN, 0)(own, None)), "Expected `float`, got `null`"),
    "lists of knots lacking": (lambda content, _draw: KNOTS(content).pop(), "ensemble: 5 lists of knots for 6 inputs"),
    "a line beyond reason": (
        in_a_list(at("ensemble", "crossed", "additive"), lambda own: put(1e5, 0)(own, None)),
        "ensemble: a weight of the crossed logistic",
    ),
    "cuts fall": (in_a_list(CUTS, list.reverse, 2), "ensemble: cuts do not ascend"),
    "too many cuts": (
        in_a_list(CUTS, lambda own: own.extend(1e3 + step for step in range(300))),
        "ensemble: cuts .* too many",
    ),
    "a pair of nobody": (
        lambda content, _draw: put(99, 0, 1)(at("ensemble", "crossed", "pairs")(content), None),
        "ensemble: a pair names no input",
    ),
    "a pair of before": (
        lambda content, _draw: put(-1, 0, 1)(at("ensemble", "crossed", "pairs")(content), None),
        "ensemble: a pair names no input",
    ),
    "a cell lacking": (in_a_list(at("ensemble", "crossed", "cells"), list.pop), "ensemble: a pair's cells do not fit"),
    "cells lacking": (lambda content, _draw: at("ensemble", "crossed", "cells")(content).pop(), "ensemble: cells"),
    "a leaf not a number": (in_a_tree(lambda tree: put(NAN, 0)(tree["leaves"], None)), "Expected `float`, got `null`"),
    "a leaf beyond reason": (in_a_tree(lambda tree: put(1e5, 0)(tree["leaves"], None)), "a weight of the trees"),
    "a leaf too many": (in_a_tree(lambda tree: tree["leaves"].append(0.0)), "a tree's leaves do not fit"),
    "a column short": (in_a_tree(lambda tree: tree["missing_left"].pop()), "a tree's columns have unequal lengths"),
    "a node of nobody": (in_a_tree(lambda tree: put(6, 0)(tree["feature"], None)), "a tree's node names no input"),
    "a code of nothing": (in_a_tree(lambda tree: put(0, 0)(tree["code"], None)), "a tree's node names no code"),
    "a code too high": (in_a_tree(lambda tree: put(200, 0)(tree["code"], None)), "a tree's node names no code"),
    "a child out of range": (in_a_tree(lambda tree: put(40, 0)(tree["left"], None)), "a tree's children are no tree"),
    "a leaf out of range": (in_a_tree(lambda tree: put(-40, 0)(tree["left"], None)), "a tree's children are no tree"),
    "a circle": (in_a_tree(lambda tree: put(0, 0)(tree["left"], None)), "a tree's children are no tree"),
    "a child twice": (
        in_a_tree(lambda tree: put(tree["left"][0], 0)(tree["right"], None)),
        "a tree's children are no tree",
    ),
    "a flag that is a number": (
        in_a_tree(lambda tree: put(1, 0)(tree["missing_left"], None)),
        "Expected `bool`, got `int`",
    ),
    "no background rows": (put(0, "background", "rows"), "background: no rows"),
    "rows that are not there": (put(201, "background", "rows"), "background: counts of codes are not those"),
    "a cover lacking": (in_a_list(at("background", "covers"), list.pop, 2), "background: counts do not fit the leaves"),
    "a negative cover": (
        in_a_list(at("background", "covers"), lambda own: put(-1, 0)(own, None), 2),
        "background: counts of leaves",
    ),
    "a mean beyond reason": (one_of(at("background", "additive"), 1e9), "background: means do not fit"),
    "a mean lacking": (lambda content, _draw: at("background", "additive")(content).pop(), "background: means"),
    "importance of others": (put([0.1], "importance"), "importance does not fit"),
    "importance below 0": (put([-0.1] * 6, "importance"), "importance does not fit"),
    "monitors of other inputs": (
        put(
            {
                "inputs": {
                    "names": ["nobody"],
                    "cuts": [[]],
                    "shares": [[1.0]],
                    "missing": [0.0],
                    "rows": 9,
                    "effective_rows": 9.0,
                }
            },
            "monitored",
        ),
        "reference is of no inputs",
    ),
    "an input twice": (put("wild", "inputs", "names", 1), "inputs are empty, doubled"),
    "no input": (put([], "inputs", "names"), "inputs are empty, doubled"),
    "threshold above 1": (put(1.5, "threshold"), "thresholds or horizon"),
    "release above threshold": (put(0.9, "threshold_release"), "thresholds or horizon"),
    "no horizon": (put(0, "horizon_h"), "thresholds or horizon"),
    "a miss that costs nothing": (put(0.0, "cost_of_miss"), "the cost of a miss"),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
@settings(max_examples=5)
@given(draw=st.data(), seed=st.integers(0, 200))
def test_each_fault_of_an_ensemble_is_refused_by_name(fault, draw, seed):
    """Whatever is wrong with an ensemble's content, wherever it is, is refused, and the words say what it is."""
    change, reason = FAULTS[fault]
    content = json.loads(dump(random_version(seed, INPUTS, "sha256:s", trees=6, pairs=4, edges_max=4)))
    try:
        change(content, draw.draw)
    except (IndexError, ValueError, InvalidArgument):
        assume(False)  # This one has nothing that could be broken so.
    with pytest.raises(MalformedVersionError, match=reason):
        load(json.dumps(content).encode())


@settings(max_examples=200)
@given(draw=st.data(), seed=st.integers(0, 20))
def test_any_number_changed_is_refused_or_scores(draw, seed):
    """A version with any one value replaced by any other is refused as malformed, or scores to a finite number."""
    from models.checks_ensemble import random_rows
    from models.scorer import Scorer

    content = json.loads(dump(random_version(seed, INPUTS, "sha256:s", trees=3, pairs=2, edges_max=3)))
    place: Any = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key]:
            break
        place = place[key]
    place[key] = draw.draw(
        st.sampled_from(
            [None, 0, -1, 1, 2, 3, 17, 10**30, 0.5, -0.5, 1e-320, 1e3, 1e308, "x", True, [], {}, [1], [1.0]]
        )
    )
    try:
        found = load(json.dumps(content).encode())
    except MalformedVersionError:
        return
    scorer = Scorer(found)
    for row in random_rows(seed, len(found.inputs.names), 5).tolist():
        prediction = scorer.score(row)
        assert not prediction.reason.startswith("model_failed"), prediction.reason
        assert prediction.probability is None or 0.0 <= prediction.probability <= 1.0


def test_knots_too_close_for_a_line_are_malformed():
    """Two knots between which no finite line can be drawn are refused."""
    content = json.loads(dump(random_version(5, INPUTS, "sha256:s", trees=1, pairs=0)))
    content["background"] = None
    content["ensemble"]["crossed"]["knots"][0] = [0.0, 5e-324]
    content["ensemble"]["crossed"]["additive"][0] = [0.0, 1.0, 2.0]
    with pytest.raises(MalformedVersionError, match="two knots are too close"):
        load(json.dumps(content).encode())


def test_too_many_inputs_are_malformed():
    """More inputs than any release computes are refused before anything is built from them."""
    names = tuple(f"x{place}" for place in range(INPUTS_MAX + 1))
    many = msgspec.structs.replace(ENSEMBLE, inputs=msgspec.structs.replace(INPUTS, names=names, indicators=()))
    with pytest.raises(MalformedVersionError, match="1025 inputs"):
        load(dump(many))


def test_a_full_ensemble_fits():
    """A version of 300 trees and 400 pairs on every input of this release is within the bound, and 5 MB."""
    from models.inputs import LEARNING_INPUTS

    full = random_version(1, LEARNING_INPUTS, "sha256:s", trees=300, pairs=400, edges_max=12)
    assert len(dump(full)) < VERSION_BYTES_MAX <= 5_000_000
    assert load(dump(full)).version == full.version


@pytest.mark.parametrize("horizon_h", [HORIZON_H_MAX + 1, 10**12, 10**30])
def test_a_horizon_that_no_date_holds_is_malformed(version, horizon_h):
    """An alert says until when it predicts: past any date it could not be written, nor its patient's record stored."""
    with pytest.raises(MalformedVersionError, match="horizon"):
        load(dump(msgspec.structs.replace(version, horizon_h=horizon_h)))


def test_deep_nesting_is_malformed(version):
    """What no version nests so deep is refused as any other nonsense, also in a field that is not ours."""
    for deep in (b"[" * 100_000, b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"," + dump(version)[1:]):
        with pytest.raises(MalformedVersionError):
            load(deep)
