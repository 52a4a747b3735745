"""What stands beyond its limit, monitor by monitor, in one form: for the table, a gate, a report and a person.

Owns the form and how each monitor's own findings come to it, with their levels. Must not know what is done about one.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from events import Millis
from models.drift.alert_rate import AlertRate
from models.drift.feeds import FeedValues
from models.drift.inputs import InputMonitor, Shift
from models.drift.labels import LabelMonitor, Level
from models.drift.responses import Monitor
from models.drift.subgroups import Gap

SERIOUS_INDEX = 1.0
"""A population stability index from which on an input has hardly anything in common with its reference."""
MANY_SHARES = (0.10, 0.30)
"""Shares of the inputs that have shifted by the window: many (notice), and a third (serious)."""

Number = float | int | str | None


class Standing(msgspec.Struct, frozen=True):
    """One thing that stands beyond its limit."""

    monitor: Monitor
    subject: str
    """What it is of: an input, `feed|feature`, a group of risk, `attribute|group|measure`."""
    level: Level
    figures: dict[str, Number]
    """Plain numbers, for the audit chain and for people."""
    since: Millis = 0

    @property
    def key(self) -> tuple[Monitor, str, Level]:
        """What it is of, whatever its figures."""
        return self.monitor, self.subject, self.level


def of_inputs(monitor: InputMonitor) -> list[Standing]:
    """Give the inputs that have shifted, and whether they are many."""
    found = []
    moved = set()
    for shift in monitor.shifted():
        if not shift.at_once:
            moved.add(shift.name)
        name: Monitor = "input_values" if shift.kind == "values" else "input_missing"
        subject = f"{shift.name}|step" if shift.at_once else shift.name
        found.append(Standing(name, subject, _level_of(shift), _figures_of(shift)))
    share = len(moved) / max(len(monitor.summary.names), 1)
    if share >= MANY_SHARES[0] and len(moved) > 1:
        level: Level = "serious" if share >= MANY_SHARES[1] else "notice"
        found.append(Standing("inputs_many", "all", level, {"shifted": len(moved), "share": share}))
    return found


def of_feeds(feeds: FeedValues) -> list[Standing]:
    """Give the feeds' features whose values have shifted."""
    found = []
    for (feed, feature), shift in feeds.shifted():
        subject = f"{feed}|{feature}|{shift.kind}" + ("|step" if shift.at_once else "")
        found.append(Standing("feed_values", subject, _level_of(shift), _figures_of(shift)))
    return found


def _level_of(shift: Shift) -> Level:
    return "serious" if not shift.at_once and shift.size >= SERIOUS_INDEX else "notice"


def _figures_of(shift: Shift) -> dict[str, Number]:
    return {"size": shift.size, "direction": shift.direction, "rows": shift.rows}


def of_labels(labels: LabelMonitor) -> list[Standing]:
    """Give what is found of labels, with the newest figures and their intervals."""
    found = labels.findings()
    if not found:
        return []
    figures = labels.figures()
    risk = {one.group: one for one in figures.risk}
    standing = []
    for one in found:
        said: dict[str, Number] = {
            "direction": "above" if one.above else "below", "rows": figures.rows, "positives": figures.positives,
        }  # fmt: skip
        if one.monitor == "discrimination":
            low, high = figures.auroc_interval or (None, None)
            said |= {"auroc": figures.auroc, "auroc_low": low, "auroc_high": high}
        else:
            of = risk[one.group]
            low, high = of.interval or (None, None)
            said |= {"observed": of.observed, "expected": of.expected, "ratio_low": low, "ratio_high": high}
        # The lower half of risk has next to no alerts: what is wrong there alone demotes nobody.
        level: Level = "notice" if one.group == "low" else one.level
        standing.append(Standing(one.monitor, one.group, level, said))
    return standing


def of_alerts(alerts: AlertRate) -> list[Standing]:
    """Give whether alerts flood or fail to come."""
    told, expected = alerts.recent()
    return [
        Standing("alert_flood" if one.above else "alert_drought", "all", one.level,
                 {"alerts_24h": told, "expected_24h": expected})
        for one in alerts.findings()
    ]  # fmt: skip


def of_gaps(gaps: Iterable[Gap]) -> list[Standing]:
    """Give the gaps between groups."""
    return [
        Standing("subgroup_gap", f"{gap.attribute}|{gap.group}|{gap.measure}", gap.level,
                 {"value": gap.value, "rest": gap.rest, "low": gap.interval[0], "high": gap.interval[1]})
        for gap in gaps
    ]  # fmt: skip


def of_upstream(kind: str, subject: str, feature: str, names: Iterable[str]) -> Standing:
    """Give a change upstream that stands: serious where it is of a feature that the rows' `names` are made of.

    >>> of_upstream("unit_changed", "feed|LAB|lactate", "lactate", ("lactate.last",)).level
    'serious'
    """
    is_read = not feature or any(name.partition(".")[0] == feature for name in names)
    return Standing("upstream", f"{kind}|{subject}", "serious" if is_read else "notice", {"feature": feature})
