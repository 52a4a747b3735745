"""How the stays of the simulated hospital go and end, over many of them, and what the charts say before it.

Owns the measuring of plans, and of the few stays it tells whole: rare endings need more stays than a stream holds. Must
not know what is published (see `published`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random
from statistics import fmean

from connectors.hospital.charted_set import Values, read_set
from connectors.hospital.figures_of_traffic import Figures, Timed, percent
from connectors.hospital.hospital import START_TIME
from connectors.hospital.plan import Plan, draw_plan
from connectors.hospital.stay import Stay
from connectors.hospital.wards import CRITICAL_CARE_WARD, place_bed, place_critical_care
from events import MILLIS_PER_HOUR

FIRST_NUMBER = 1_000
"""Above the numbers of special stays."""
EVENTS_TOLD_MAX, CONTROLS_TOLD_MAX = 600, 600
"""So many stays with an event, and without, are told whole to look at their charts."""
WINDOWS_H = ((24.0, 18.0), (18.0, 12.0), (12.0, 6.0), (6.0, 0.0))
"""Spångfors et al. (Clin Med 2020) divide the day before an arrest into four; into which four, their abstract leaves
open."""
ANDERSEN_WINDOW_H = (4.0, 1.0)
ABNORMAL = {"heart_rate": (60, 100), "respiration_rate": (10, 20), "systolic_bp": (90, 999)}
SEVERE = {"heart_rate": (50, 130), "respiration_rate": (8, 30), "systolic_bp": (80, 999)}
"""Andersen et al., Resuscitation 2016: HR <= 60 or >= 100, RR <= 10 or > 20, SBP <= 90; HR <= 50 or >= 130, RR <= 8 or
>= 30, SBP <= 80."""
TREND = ("heart_rate", "respiration_rate", "systolic_bp", "spo2", "news")


def measure_stays(seed: int, count: int) -> Figures:
    """Measure `count` stays' plans, and the charts before each arrest and of some other stays.

    >>> 1 < measure_stays(seed=1, count=2_000)["event"] < 10
    True
    """
    plans = list(draw_plans(seed, count))
    adults = [(number, plan) for number, plan in plans if not plan.person.child]
    figures = _of_plans([plan for _, plan in adults])
    arrests = [(number, plan) for number, plan in adults if plan.arrest_time is not None]
    others = [one for one in adults if one[1].ending in {"critical_care", "death"}][:EVENTS_TOLD_MAX]
    controls = [one for one in adults if one[1].ending == "home"][:CONTROLS_TOLD_MAX]
    figures |= _before_arrests(seed, arrests)
    figures |= _before_events(seed, others)
    sets = [values for number, _ in controls for _, values in _tell(seed, number) if "news" in values]
    figures["controls.news.p50"] = _quantile([values["news"] for values in sets], 50)
    figures["controls.news.p75"] = _quantile([values["news"] for values in sets], 75)
    figures["controls.news.from_7"] = percent(sets, "news", 7)
    return figures


def draw_plans(seed: int, count: int) -> Iterator[tuple[int, Plan]]:
    """Draw how so many stays would go, without telling them."""
    for number in range(FIRST_NUMBER, FIRST_NUMBER + count):
        yield number, draw_plan(_random(seed, number), number, START_TIME)


def _random(seed: int, number: int) -> Random:
    return Random(f"wardstream measured stay {seed} {number}")  # noqa: S311 - a simulation, seeded


def _tell(seed: int, number: int) -> list[Timed]:
    """Tell a stay whole (its plan is drawn anew, the same), and read its sets on the ward."""
    stay = Stay(_random(seed, number), number, START_TIME, place_bed(number), place_critical_care(number))
    read = ((story, read_set(story)) for story in stay.tell() if story.location.ward != CRITICAL_CARE_WARD)
    return [(story.event_time, values) for story, values in read if values is not None]


def _of_plans(adults: list[Plan]) -> Figures:
    ages = [float(plan.person.age_years) for plan in adults]
    stays = [(plan.end_time - plan.start_time) / MILLIS_PER_HOUR / 24 for plan in adults]
    arrests = [plan for plan in adults if plan.arrest_time is not None]
    figures: Figures = {
        "admissions": float(len(adults)),
        "age.p25": _quantile(ages, 25),
        "age.p50": _quantile(ages, 50),
        "age.p75": _quantile(ages, 75),
        "stay_days.p50": _quantile(stays, 50),
        "event": _share(adults, lambda plan: plan.ending != "home"),
        "critical_care": _share(adults, lambda plan: plan.critical_care_time is not None),
        "ward_death": _share(adults, lambda plan: plan.dies and plan.critical_care_time is None),
        "arrests": float(len(arrests)),
        "arrest_per_1000": 10 * _share(adults, lambda plan: plan.arrest_time is not None),
        "arrest.survived": _share(arrests, lambda plan: not plan.dies),
        "mortality": _share(adults, lambda plan: plan.dies),
    }
    for name, elderly in (("elderly", True), ("younger", False)):
        group = [plan for plan in adults if plan.person.elderly is elderly]
        figures[f"{name}.mortality"] = _share(group, lambda plan: plan.dies)
        figures[f"{name}.arrest_per_1000"] = 10 * _share(group, lambda plan: plan.arrest_time is not None)
    return figures


def _before_arrests(seed: int, arrests: list[tuple[int, Plan]]) -> Figures:
    windows: list[list[float]] = [[] for _ in WINDOWS_H]
    pulse: dict[bool, list[float]] = {True: [], False: []}
    abnormal: list[bool] = []
    severe: list[bool] = []
    for number, plan in arrests:
        hours = _hours_before(_tell(seed, number), plan.arrest_time or 0)
        for place, window in enumerate(WINDOWS_H):
            within = _within(hours, window, "news")
            windows[place] += [values["news"] for values in within[-1:]]
        pulse[plan.person.elderly] += [values["heart_rate"] for values in _within(hours, (4.0, 0.0), "heart_rate")]
        for values in _within(hours, ANDERSEN_WINDOW_H, "news")[:1]:
            abnormal.append(_outside(values, ABNORMAL))
            severe.append(_outside(values, SEVERE))
    figures: Figures = {}
    for name, found in (("first", windows[0]), ("last", windows[-1])):
        for share in (25, 50, 75):
            figures[f"arrest.news.{name}.p{share}"] = _quantile(found, share)
        figures[f"arrest.news.{name}.from_7"] = 100 * sum(news >= 7 for news in found) / max(1, len(found))
    figures["arrest.abnormal"] = 100 * sum(abnormal) / max(1, len(abnormal))
    figures["arrest.severe"] = 100 * sum(severe) / max(1, len(severe))
    figures["arrest.elderly.heart_rate"] = fmean(pulse[True] or [0.0])
    figures["arrest.younger.heart_rate"] = fmean(pulse[False] or [0.0])
    return figures


def _before_events(seed: int, stays: list[tuple[int, Plan]]) -> Figures:
    """Measure the means in the day before critical care or a death."""
    figures: Figures = {}
    told = [_hours_before(_tell(seed, number), plan.ward_end_time) for number, plan in stays]
    for least, most in ((24.0, 12.0), (12.0, 4.0), (4.0, 0.0)):
        for name in TREND:
            column = [values[name] for hours in told for values in _within(hours, (least, most), name)]
            figures[f"event.{name}.{least:.0f}"] = fmean(column or [0.0])
    return figures


def _hours_before(timed: list[Timed], at: int) -> list[tuple[float, Values]]:
    hours = [((at - time) / MILLIS_PER_HOUR, values) for time, values in timed if time < at]
    hours.sort(key=lambda one: -one[0])
    return hours


def _within(hours: Iterable[tuple[float, Values]], window: tuple[float, float], name: str) -> list[Values]:
    return [values for before, values in hours if window[0] >= before > window[1] and name in values]


def _outside(values: Values, limits: dict[str, tuple[int, int]]) -> bool:
    def breaks(name: str, least: int, most: int) -> bool:
        # Of a respiration rate 20 is still normal, of a heart rate 100 is not (Andersen et al.).
        high = values[name] > most if (name, most) == ("respiration_rate", 20) else values[name] >= most
        return values[name] <= least or high

    return any(breaks(name, least, most) for name, (least, most) in limits.items())


def _share(plans: list[Plan], holds: Callable[[Plan], bool]) -> float:
    return 100 * sum(map(holds, plans)) / max(1, len(plans))


def _quantile(values: list[float], share: int) -> float:
    ranked = sorted(values) or [0.0]
    return ranked[min(len(ranked) - 1, len(ranked) * share // 100)]
