"""How a version served each group of patients while it was made, as it is kept in the version itself.

Owns the counts that a version brings, what they come to for a guardrail (which groups were served worse, which were
seen often enough to know), and their check. Must not know what is done about it (guardrails/subgroups.py), nor whose
groups they are. The figures are those of `gaps_of`; counts are kept and not the findings, so that a card can show them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from models.drift.subgroups import GROUPS_MAX, OTHER, Counts, GapLimits, gaps_of
from models.groups import Group

GROUP_ROWS_MIN = 20
"""Thinned rows below which a group is not named in a version: it would say more of who they were than of how it did."""
NAME_CHARS_MAX = 200
CONCERNING = frozenset({"sensitivity", "ppv", "calibration"})
"""What of a gap concerns a patient: that a deterioration is missed, or that what is said is not to be trusted."""


class GroupCounts(msgspec.Struct, frozen=True):
    """What was counted of one group: of rows that were scored before they were learned, one a patient in 12 h."""

    attribute: str
    group: str
    rows: int
    positives: int
    flagged: int
    """At or above the version's recommended threshold."""
    hits: int
    """Positives that were flagged."""
    expected: float
    """The sum of the probabilities."""


class Served(msgspec.Struct, frozen=True):
    """What the counts come to, by a patient's groups.

    >>> Served(frozenset({"sex"}), frozenset({("sex", "male")}), {}).knows(("sex", "female"))
    False
    """

    attributes: frozenset[str]
    """What the version tells groups apart by."""
    enough: frozenset[Group]
    """Groups of which enough outcomes were seen to judge by."""
    worse: Mapping[Group, str]
    """Groups that were served worse than the rest, beyond the limit and beyond chance: by which measure first."""

    def knows(self, group: Group) -> bool:
        """Whether enough was seen of a group, or nobody asks by its attribute."""
        return group in self.enough or group[0] not in self.attributes


def counts_of(totals: Mapping[Group, Counts]) -> tuple[GroupCounts, ...]:
    """Give what a version keeps of a tally's totals: in order, without the groups that are too small to name.

    A name that is longer than may be read is left out too: a ward is whatever a feed wrote.

    >>> counts_of({("sex", "male"): Counts(rows=30), ("sex", "other"): Counts(rows=3)})[0].rows
    30
    """
    return tuple(
        GroupCounts(attribute, group, one.rows, one.positives, one.flagged, one.hits, one.expected)
        for (attribute, group), one in sorted(totals.items())
        if one.rows >= GROUP_ROWS_MIN and group != OTHER and len(group) <= NAME_CHARS_MAX
    )


def totals_of(groups: Iterable[GroupCounts]) -> dict[Group, Counts]:
    """Give a version's counts as a tally's totals: for figures with their intervals (`figures_of`)."""
    return {
        (one.attribute, one.group): Counts(one.rows, one.positives, one.flagged, one.hits, one.expected)
        for one in groups
    }


def served_of(groups: Sequence[GroupCounts], limits: GapLimits | None = None) -> Served | None:
    """Give what a version's counts come to; None where it brings none.

    >>> male, female = (GroupCounts("sex", name, 900, 90, 100, hits, 90.0) for name, hits in (("m", 80), ("f", 30)))
    >>> dict(served_of((male, female)).worse)
    {('sex', 'f'): 'sensitivity'}
    """
    if not groups:
        return None
    least = limits or GapLimits()
    totals = totals_of(groups)
    worse: dict[Group, str] = {}
    # A serious gap is named before another one, else the first: what is missed stands before what is wrong.
    for gap in sorted(gaps_of(totals, least), key=lambda gap: gap.level != "serious"):
        if gap.measure in CONCERNING:
            worse.setdefault((gap.attribute, gap.group), gap.measure)
    return Served(
        frozenset(one.attribute for one in groups),
        frozenset(group for group, one in totals.items() if one.positives >= least.positives_min),
        worse,
    )


def problem_of(groups: Sequence[GroupCounts]) -> str:
    """Say why counts that were read must not be judged by, or nothing.

    >>> problem_of((GroupCounts("sex", "male", 1, 2, 0, 0, 0.0),))
    'groups: counts of a group contradict each other'
    """
    names = [(one.attribute, one.group) for one in groups]
    if len(names) > GROUPS_MAX or len(set(names)) != len(names):
        return "groups: too many, or one is named twice"
    if not all(0 < len(text) <= NAME_CHARS_MAX for name in names for text in name):
        return "groups: a name is empty or too long"
    for one in groups:
        known = 0 <= one.hits <= min(one.flagged, one.positives) and max(one.flagged, one.positives) <= one.rows
        if not known or not (math.isfinite(one.expected) and 0.0 <= one.expected <= one.rows):
            return "groups: counts of a group contradict each other"
    return ""
