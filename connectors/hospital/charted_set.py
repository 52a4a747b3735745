"""A charted set of vital signs, read back from a story: for measuring what the hospital is like.

Owns the reading. Must not know what is measured of it. NEWS is taken as the published cohorts took it: by scale 1 for
everybody, of complete sets only.
"""

from __future__ import annotations

from connectors.hospital.charting import (
    CONSCIOUSNESS,
    DIASTOLIC,
    FIO2,
    HEART_RATE,
    OXYGEN_FLOW,
    RESPIRATION_RATE,
    SPO2,
    SYSTOLIC,
    TEMPERATURE,
)
from connectors.hospital.physiology import ALERT
from connectors.hospital.story import Story
from connectors.hospital.ward_score import add_up
from events import Coding

Values = dict[str, float]
"""One set by short name: those of `PLAUSIBLE` that are there; `altered`, `oxygen` and `implausible` as 0 or 1; `news`
where the set is complete."""

NAMES: dict[Coding, str] = {
    HEART_RATE: "heart_rate",
    RESPIRATION_RATE: "respiration_rate",
    SPO2: "spo2",
    SYSTOLIC: "systolic_bp",
    DIASTOLIC: "diastolic_bp",
    TEMPERATURE: "temperature",
    OXYGEN_FLOW: "flow",
    FIO2: "fio2",
}
PLAUSIBLE: dict[str, tuple[float, float]] = {
    "heart_rate": (20, 260),
    "respiration_rate": (3, 70),
    "spo2": (40, 100),
    "systolic_bp": (40, 280),
    "diastolic_bp": (15, 200),
    "temperature": (30, 43),
}
"""A value outside makes a set implausible, and is left out of it."""
FIO2_OF_AIR = 21.0
ALERT_ANSWER = ("loinc", "LA9340-6")


def read_set(story: Story) -> Values | None:
    """Read a set of vital signs as charted, temperatures in degrees Celsius; None where the story tells none.

    >>> from connectors.hospital import Hospital
    >>> any(read_set(story) for story in Hospital(seed=1, beds=2, hours=4))
    True
    """
    if len(story.results) <= 1 or story.results[0].coding != HEART_RATE:
        return None
    values: Values = {}
    for result in story.results:
        if result.coding == CONSCIOUSNESS:
            values["altered"] = float(ALERT if result.value == ALERT_ANSWER else 1)
        elif isinstance(result.value, float):
            name = NAMES[result.coding]
            values[name] = (result.value - 32) / 1.8 if result.unit == "[degF]" else result.value
    values["oxygen"] = float(values.get("flow", 0.0) > 0 or values.get("fio2", FIO2_OF_AIR) > FIO2_OF_AIR)
    wrong = [name for name, (least, most) in PLAUSIBLE.items() if name in values and not least <= values[name] <= most]
    values["implausible"] = float(bool(wrong))
    for name in wrong:
        del values[name]
    if "altered" in values and all(name in values for name in PLAUSIBLE):
        values["news"] = float(_news(values))
    return values


def _news(values: Values) -> int:
    names = ("heart_rate", "respiration_rate", "spo2", "systolic_bp")
    heart, breath, spo2, systolic = (round(values[name]) for name in names)
    whole = heart, breath, spo2, systolic, round(values["temperature"] * 10)
    return add_up(whole, oxygen=values["oxygen"] > 0, altered=values["altered"] > 0, hypercapnic=False)[0]
