"""What a version brings of how it served each group: counted, checked, and read as what was shown and what was not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.checks_ensemble import random_ensemble
from models.drift.served import (
    GROUP_ROWS_MIN,
    NAME_CHARS_MAX,
    GroupCounts,
    counts_of,
    problem_of,
    served_of,
    totals_of,
)
from models.drift.subgroups import GROUPS_MAX, OTHER, GapLimits, SubgroupTally
from models.freezing import freeze_weights
from models.groups import GROUP_NAMES
from models.rows import Inputs
from models.version import WRITTEN_IF_ANY, Lineage, MalformedVersionError, dump, load

INPUTS = Inputs(("age_years", "lactate.last"))
WOMEN = GroupCounts("sex", "female", 900, 90, 100, 30, 90.0)
MEN = GroupCounts("sex", "male", 900, 90, 140, 80, 90.0)


def version_with(*groups: GroupCounts):
    return freeze_weights(random_ensemble(4, 2), INPUTS, Lineage("test", 10, 1), None, groups=groups)


@st.composite
def counted(draw):
    """Draw counts of one attribute that do not contradict each other."""
    found = []
    for name in draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True)):
        rows = draw(st.integers(GROUP_ROWS_MIN, 3_000))
        positives, flagged = draw(st.integers(0, rows)), draw(st.integers(0, rows))
        hits = draw(st.integers(0, min(positives, flagged)))
        found.append(GroupCounts("ward", name, rows, positives, flagged, hits, draw(st.floats(0, rows))))
    return tuple(found)


@given(counted())
def test_whoever_is_said_to_be_served_worse_was_seen(groups):
    """A group with too few outcomes is never called worse by what was missed of it, and never called known."""
    served, least = served_of(groups), GapLimits()
    for one in groups:
        group = (one.attribute, one.group)
        assert served.knows(group) == (one.positives >= least.positives_min)
        if served.worse.get(group) == "sensitivity":
            assert served.knows(group)
    assert problem_of(groups) == ""


@given(counted())
def test_counts_are_the_tally_s(groups):
    """What a version keeps comes back as the totals that it was made of."""
    assert set(counts_of(totals_of(groups))) == set(groups)


def test_a_handful_is_not_named():
    """Of fewer rows than the minimum, and of what the tally could not tell apart, a version says nothing."""
    tally = SubgroupTally()
    for number in range(60):
        for group in ("many", OTHER, "few" if number < GROUP_ROWS_MIN - 1 else "many"):
            tally.label(0, (("ward", group),), 0.1, label=False, flagged=False)
    assert [one.group for one in counts_of(tally.totals())] == ["many"]


@pytest.mark.parametrize("attribute", ["sex", "ethnicity"])
def test_who_is_recorded_as_other_is_a_group(attribute):
    """That the tally could not tell some apart is no reason to be silent of those whom a feed records as `other`."""
    tally = SubgroupTally()
    for number in range(900):
        name = "other" if number % 3 else "unknown"
        tally.label(0, ((attribute, name),), 0.5, label=True, flagged=name != "other")
    served = served_of(counts_of(tally.totals()))
    assert served.worse == {(attribute, "other"): "sensitivity"}
    assert served.knows((attribute, "other"))


@pytest.mark.parametrize("attribute", [attribute for attribute, names in GROUP_NAMES.items() if names])
def test_what_could_not_be_told_apart_has_the_name_of_no_group(attribute):
    """Or one would be counted as the other."""
    assert OTHER not in GROUP_NAMES[attribute]


def test_a_version_can_be_read_whatever_a_ward_is_called():
    """A feed that fills PV1-3 with a page of text costs that ward its figures, not the learner its versions."""
    tally = SubgroupTally()
    for name in ("W" * NAME_CHARS_MAX, "W" * (NAME_CHARS_MAX + 1)):
        for _ in range(GROUP_ROWS_MIN):
            tally.label(0, (("ward", name),), 0.1, label=False, flagged=False)
    made = version_with(*counts_of(tally.totals()))
    assert [len(one.group) for one in load(dump(made), version=made.version).groups] == [NAME_CHARS_MAX]


def test_without_counts_nothing_is_known():
    """A version of an older format, or one of which nobody counted, serves nobody knowably."""
    assert served_of(()) is None


def test_a_version_brings_its_counts():
    """They are in its bytes, and so in its id; read back they are the same."""
    made = version_with(WOMEN, MEN)
    assert load(dump(made), version=made.version).groups == (WOMEN, MEN)
    assert made.version != version_with(MEN).version


def test_a_version_without_counts_keeps_its_bytes():
    """Versions of format 3 that were made before there were counts keep their ids."""
    written = msgspec.json.decode(dump(version_with()))
    assert not set(WRITTEN_IF_ANY) & set(written)
    assert set(WRITTEN_IF_ANY) <= set(msgspec.json.decode(dump(version_with(MEN))))


@pytest.mark.parametrize(
    "wrong",
    [
        (MEN, MEN),
        tuple(msgspec.structs.replace(MEN, group=f"g{number}") for number in range(GROUPS_MAX + 1)),
        (msgspec.structs.replace(MEN, group=""),),
        (msgspec.structs.replace(MEN, group="x" * 201),),
        (msgspec.structs.replace(MEN, hits=91),),
        (msgspec.structs.replace(MEN, hits=-1),),
        (msgspec.structs.replace(MEN, positives=901),),
        (msgspec.structs.replace(MEN, expected=-1.0),),
        (msgspec.structs.replace(MEN, expected=1e9),),
    ],
)
def test_counts_that_cannot_be_are_refused(wrong):
    """A version that was written by hand, or altered, is not judged by."""
    made = version_with(MEN)
    with pytest.raises(MalformedVersionError, match="groups"):
        load(dump(msgspec.structs.replace(made, groups=wrong)))
