"""What a replay's output files say of burden: what was told, what was withheld, what may never happen.

Owns reading the files and the three counts that must be nothing: untold emergencies, repeats, gaps. Must not know how
a replay is made nor how a rule decides; `burden.py` runs it and writes the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from alerts.burden import Burden, RuleAlone, Telling, measure_burden
from events import MILLIS_PER_MINUTE, Millis, from_iso
from guardrails.late import LATE_HELD_MS

EMERGENCY, URGENT = 7, 5
"""NEWS2 totals of the RCP's emergency and urgent responses."""
ENDS = ("resolved", "retracted", "expired")
NOT_ENDED = -1
LATE_TOLD_MS = LATE_HELD_MS + MILLIS_PER_MINUTE
"""By when late news is told or over: it waits, and timers fire on the whole minute after."""
RELEASE_SHARE = 0.7
"""Hysteresis of the unfiltered model: the service's own (`models.training.RELEASE_SHARE`)."""


class Run(msgspec.Struct):
    """What one replay came to."""

    burdens: dict[str, Burden]
    withheld: dict[str, float]
    """Share of scores by the verdict that ended the chain, where it was no pass."""
    waits: int
    rises: int
    """Rises to a NEWS2 emergency that the floor had to tell."""
    untold: int
    duplicates: int
    patient_days: float
    scores: int


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read a file of one JSON document a line."""
    with path.open("rb") as file:
        for line in file:
            yield msgspec.json.decode(line)


def told_by_service(folder: Path, trigger: str | None = None) -> list[Telling]:
    """Give the alerts that the wards were told aloud."""
    found: dict[str, Telling] = {}
    newest = 0
    for line in lines(folder / "alerts.ndjson"):
        if trigger is not None and line["trigger"] != trigger:
            continue
        alert, at = line["alert_id"], from_iso(line["received_time"])
        newest = max(newest, at)
        known = found.get(alert)
        loud = line["disposition"] == "told" and line["state"] in ("raised", "updated", "escalated")
        if known is None and loud:
            kind = f"{line['trigger']} {line['priority']}"
            found[alert] = Telling(line["patient"], at, kind, NOT_ENDED, 1, line["episode_id"])
        elif known is not None:
            over = line["state"] in ENDS
            until, times = at if over else known.until, known.times + loud
            found[alert] = msgspec.structs.replace(known, until=until, times=times)
    return [one if one.until != NOT_ENDED else msgspec.structs.replace(one, until=newest) for one in found.values()]


def repeated(folder: Path) -> int:
    """Count events said twice, gaps in `seq`, and alerts raised while one of the same trigger was open."""
    faults = 0
    seen: set[str] = set()
    open_now: dict[tuple[object, object], object] = {}
    newest: dict[object, int] = {}
    for line in lines(folder / "alerts.ndjson"):
        faults += line["event_id"] in seen
        seen.add(line["event_id"])
        alert = line["alert_id"]
        if line["seq"] == newest.get(alert):
            continue  # What waited is told under the same seq.
        faults += line["seq"] != newest.get(alert, 0) + 1
        newest[alert] = line["seq"]
        key = (line["patient"], line["trigger"])
        if line["state"] == "raised":
            faults += key in open_now
            open_now[key] = alert
        elif line["state"] in ENDS:
            open_now.pop(key, None)
    return faults


class Emergencies:
    """Whether each rise to a NEWS2 emergency was told by the floor, then or before in the same open alert.

    One that came late and went to the board then may be told within its time, or be over within it; else it is untold.
    """

    def __init__(self, folder: Path) -> None:
        self.rises = self.untold = 0
        self._before: dict[str, int] = {}
        self._floor: dict[str, list[tuple[Millis, bool]]] = {}
        self._late: set[tuple[str, Millis]] = set()
        self._ends: set[tuple[str, Millis]] = set()
        self._waiting: dict[str, Millis] = {}
        self._newest: Millis = 0
        heard: dict[str, bool] = {}
        for line in lines(folder / "alerts.ndjson"):
            if line["trigger"] != "news2_floor":
                continue
            patient = line["patient"]
            over = line["state"] in ENDS
            loud = line["disposition"] == "told" and line["priority"] == "interrupt"
            heard[patient] = not over and (loud or heard.get(patient, False))
            at = from_iso(line["received_time"])
            self._floor.setdefault(patient, []).append((at, heard[patient]))
            if over:
                self._ends.add((patient, at))
            elif line["late"] and line["disposition"] == "board" and line["reason"] in ("band_rise", "new_red"):
                self._late.add((patient, at))

    def scored(self, patient: str, at: Millis, total: int, reasons: set[str]) -> None:
        """Hear a score."""
        before, self._before[patient] = self._before.get(patient, 0), total
        self._newest = max(self._newest, at)
        self._weigh(patient, at, over=total < EMERGENCY)
        if total < EMERGENCY or before >= EMERGENCY or reasons & {"discharged", "deceased", "under_16", "pregnancy"}:
            return
        self.rises += 1
        stands = [heard for when, heard in self._floor.get(patient, []) if when <= at]
        if stands and stands[-1]:
            return
        if (patient, at) in self._late:
            self._waiting[patient] = at
        else:
            self.untold += 1

    def end(self) -> None:
        """Hear that there are no more scores: what waits then is untold, unless its time had not come."""
        for patient in list(self._waiting):
            self._weigh(patient, self._newest, over=False)

    def _weigh(self, patient: str, at: Millis, *, over: bool) -> None:
        """Judge late news that waits once it is told, over, or has waited for too long."""
        since = self._waiting.get(patient)
        if since is None:
            return
        until = since + LATE_TOLD_MS
        heard = any(told and since < when <= min(at, until) for when, told in self._floor[patient])
        ended = any((patient, when) in self._ends and since < when <= until for when, _ in self._floor[patient])
        in_time = heard or ended or (over and at <= until)
        if in_time or at >= until:
            del self._waiting[patient]
            self.untold += not in_time


def measure(folder: Path, onsets: Mapping[str, list[Millis]], patient_days: float, raise_at: float) -> Run:
    """Measure a replay's outputs, and what NEWS2 alone and the unfiltered model would have told of its scores."""
    rules = {
        "NEWS2 5 or more alone": RuleAlone("news2 5", URGENT),
        "NEWS2 7 or more alone": RuleAlone("news2 7", EMERGENCY),
        "the model without filters": RuleAlone("model", raise_at, raise_at * RELEASE_SHARE),
    }
    emergencies = Emergencies(folder)
    ended: Counter[str] = Counter()
    scores = 0
    for line in lines(folder / "scores.ndjson"):
        patient, at = line["patient"], from_iso(line["received_time"])
        total, verdicts = line["news2"]["total"], line["verdicts"]
        scores += 1
        emergencies.scored(patient, at, total, {verdict["reason"] for verdict in verdicts})
        last = verdicts[-1]
        if last["verdict"] in ("abstain", "defer"):
            ended[f"{last['filter']}: {last['reason']}"] += 1
        for rule in rules.values():
            rule.scored(patient, at, line["probability"] if rule.kind == "model" else total)
    emergencies.end()
    told = {
        "the service (floor and model)": told_by_service(folder),
        "its floor alone": told_by_service(folder, "news2_floor"),
        "its model channel alone": told_by_service(folder, "model"),
        **{name: rule.tellings() for name, rule in rules.items()},
    }
    return Run(
        burdens={name: measure_burden(spoken, onsets, patient_days) for name, spoken in told.items()},
        withheld={name: count / scores for name, count in sorted(ended.items())},
        waits=sum(line["disposition"] == "waiting" for line in lines(folder / "alerts.ndjson")),
        rises=emergencies.rises,
        untold=emergencies.untold,
        duplicates=repeated(folder),
        patient_days=patient_days,
        scores=scores,
    )
