"""What the ward charts of the simulated hospital are like: values, NEWS bands, gaps, delays and intervals.

Owns the measuring of a stream of stories. Must not know what is published (see `published`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from statistics import fmean, median, pstdev

from connectors.hospital.charted_set import PLAUSIBLE, Values, read_set
from connectors.hospital.person import ADULT_FROM_YEARS
from connectors.hospital.story import Story
from connectors.hospital.wards import CRITICAL_CARE_WARD
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Millis, from_iso

Figures = dict[str, float]
Timed = tuple[Millis, Values]

ADULT_MS = ADULT_FROM_YEARS * 31_556_952_000
LATE_FACTOR = 4 / 3
"""An observation is late when overdue by a third of its interval (Redfern et al., BMJ Open 2019)."""
HORIZON_MS = 24 * MILLIS_PER_HOUR
EVENTS = frozenset({"critical_care", "death"})
"""As in Edelson et al., JAMA Netw Open 2024: transfer from ward to intensive care, or death, within 24 h."""
BANDS = (("0", 0, 0), ("1_4", 1, 4), ("5_6", 5, 6), ("from_7", 7, 20))
"""NEWS2's bands (RCP 2017)."""


def measure_traffic(stories: Iterable[Story]) -> Figures:
    """Measure the adults' sets on the wards, each once however often it was sent.

    >>> from connectors.hospital import Hospital
    >>> round(measure_traffic(Hospital(seed=1, beds=20, hours=48))["news.from_0"])
    100
    """
    grown: set[str] = set()
    told: set[str] = set()
    by_stay: dict[str, list[Timed]] = {}
    delays: list[float] = []
    events: dict[str, Millis] = {}
    for story in stories:
        if story.outcome in EVENTS:
            events.setdefault(story.encounter, story.event_time)
        if story.trigger == "A01" and story.birth_date is not None:
            if from_iso(f"{story.birth_date}T00:00:00Z") + ADULT_MS < story.event_time:
                grown.add(story.encounter)
            continue
        if story.location.ward == CRITICAL_CARE_WARD or story.encounter not in grown or story.control_id in told:
            continue
        values = read_set(story)
        if values is not None:
            told.add(story.control_id)
            by_stay.setdefault(story.encounter, []).append((story.event_time, values))
            delays.append((story.sent_time - story.event_time) / MILLIS_PER_MINUTE)
    for timed in by_stay.values():
        timed.sort(key=lambda one: one[0])
    return {
        **_of_first(by_stay),
        **_of_sets(by_stay),
        **_of_delays(delays),
        **_of_intervals(by_stay),
        **_foreseen(by_stay, events),
    }


def percent(found: list[Values], name: str, least: float) -> float:
    """Give of how many per cent of sets a value is known and at least so much."""
    return 100 * sum(name in values and values[name] >= least for values in found) / max(1, len(found))


def _of_first(by_stay: dict[str, list[Timed]]) -> Figures:
    """Measure each stay's first complete set."""
    complete = (next((values for _, values in timed if "news" in values), None) for timed in by_stay.values())
    first = [values for values in complete if values is not None]
    figures: Figures = {
        "stays": float(len(first)),
        "first.oxygen": percent(first, "oxygen", 1),
        "first.alert": 100 - percent(first, "altered", 1),
        "first.news.below_3": 100 - percent(first, "news", 3),
        "first.news.3_5": percent(first, "news", 3) - percent(first, "news", 6),
        "first.news.from_6": percent(first, "news", 6),
        "first.news.median": median(values["news"] for values in first),
    }
    for name in (*PLAUSIBLE, "news"):
        column = [values[name] for values in first]
        figures[f"first.{name}.mean"], figures[f"first.{name}.sd"] = fmean(column), pstdev(column)
    return figures


def _of_sets(by_stay: dict[str, list[Timed]]) -> Figures:
    sets = [values for timed in by_stay.values() for _, values in timed]
    complete = [values for values in sets if "news" in values]
    lacking = sum("news" not in values and not values["implausible"] for values in sets)
    figures: Figures = {f"news.from_{least}": percent(complete, "news", least) for least in range(8)}
    for name, least, most in BANDS:
        figures[f"news.band_{name}"] = percent(complete, "news", least) - percent(complete, "news", most + 1)
    figures["sets"] = float(len(sets))
    figures["sets.incomplete"] = 100 * lacking / len(sets)
    figures["sets.implausible"] = percent(sets, "implausible", 1)
    return figures


def _foreseen(by_stay: dict[str, list[Timed]], events: dict[str, Millis]) -> Figures:
    """Measure how well a NEWS tells that an event comes within 24 h: the area under its curve, ties counted half."""
    before, other = [0] * 21, [0] * 21
    for stay, timed in by_stay.items():
        event_time = events.get(stay)
        for at, values in timed:
            news = int(values.get("news", -1.0))
            if news < 0 or (event_time is not None and at >= event_time):
                continue
            near = event_time is not None and event_time - at <= HORIZON_MS
            (before if near else other)[news] += 1
    below, won = 0.0, 0.0
    for positives, negatives in zip(before, other, strict=True):
        won += positives * (below + negatives / 2)
        below += negatives
    return {"news.auroc": won / max(1.0, sum(before) * below), "news.before_event": float(sum(before))}


def _of_delays(delays: list[float]) -> Figures:
    delays.sort()
    return {f"delay.p{share}": delays[len(delays) * share // 100] for share in (25, 50, 75)}


def _of_intervals(by_stay: dict[str, list[Timed]]) -> Figures:
    hours: dict[str, list[float]] = {name: [] for name, _, _ in BANDS}
    for timed in by_stay.values():
        for (at, values), (after, _) in pairwise(timed):
            news = values.get("news", -1.0)
            for name, least, most in BANDS:
                if least <= news <= most:
                    hours[name].append((after - at) / MILLIS_PER_HOUR)
    figures: Figures = {f"interval.{name}.median": median(found) for name, found in hours.items() if found}
    urgent = hours["5_6"]
    figures["interval.5_6.late"] = 100 * sum(hour > LATE_FACTOR for hour in urgent) / max(1, len(urgent))
    return figures
