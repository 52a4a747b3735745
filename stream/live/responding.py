"""What the learner's process enters by itself because a monitor broke its limit: a function of what stands.

Owns when a finding is news, and that what a crash cut off is completed. Must not know how a finding comes about, nor
how a decision is written. It gives nothing for what stands already: so it may be asked again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

import msgspec

from events import MILLIS_PER_MINUTE, Millis, Standing, to_iso
from models.change_control import MonitorFinding
from stream.decisions import Decision, Decisions
from stream.promotion import MONITOR, asked_version, demotion

COMPLETED_WITHIN_MS: Millis = 10 * MILLIS_PER_MINUTE
"""A demotion whose second half (the former champion comes back) is missing was cut off if it is so new; later it is a
person's to decide."""

Usable = Callable[[str], bool]


def restored_by(decisions: Decisions, version: str) -> int:
    """Give the decision by which a version's standing was last said to be good; 0 where none of those kept did."""
    for one in reversed(decisions.kept()):
        event = one.decision.event
        if isinstance(event, Standing) and event.version == version and event.standing == "good":
            return one.sequence
    return 0


def responses(decisions: Decisions, findings: Iterable[MonitorFinding], usable: Usable, at: Millis) -> list[Decision]:
    """Give what is to be entered now; nothing where no finding demotes, or none is news.

    A finding is none of a version that is not asked any more, and none that stood before a person last said how the
    version stands: whoever restores it has seen it.
    """
    for finding in findings:
        if finding.response != "demote" or finding.version != asked_version(decisions):
            continue
        word = decisions.standings.get(finding.version)
        if word is not None and finding.at <= word.event_time:
            continue
        figures = {"since": to_iso(finding.at), **finding.figures}
        made = demotion(decisions, msgspec.structs.replace(finding, at=at, figures=figures), usable)
        if made:
            return made
    return _cut_off(decisions, usable, at)


def _cut_off(decisions: Decisions, usable: Usable, at: Millis) -> list[Decision]:
    """Give what is missing of a demotion after which nothing was decided."""
    kept = decisions.kept()
    newest = kept[-1] if kept else None
    if newest is None or newest.sequence != decisions.newest_in_force or newest.decision.who != MONITOR:
        return []
    event = newest.decision.event
    if not isinstance(event, Standing) or event.standing != "demoted" or at - event.event_time > COMPLETED_WITHIN_MS:
        return []
    if decisions.keys and not decisions.book.signer_of(newest.sequence):
        # A demotion counts unsigned, by whoever names himself the monitor: our key must not sign what he wants by it.
        return []
    before = copy(decisions)
    before.standings = {name: one for name, one in decisions.standings.items() if name != event.version}
    figures: dict[str, float | int | str | None] = {**newest.decision.figures}
    monitor = str(figures.pop("monitor", ""))
    finding = MonitorFinding(monitor=monitor, version=event.version, response="demote", at=at, figures=figures)
    return demotion(before, finding, usable)[1:]
