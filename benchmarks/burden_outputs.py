"""What a replay's output files say of burden: what was told, what was withheld, what may never happen.

Owns reading the files and the three counts that must be nothing: untold emergencies, repeats, gaps. Must not know how
a replay is made nor how a rule decides; `burden.py` runs it and writes the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from alerts.burden import Burden, RuleAlone, Telling, measure_burden
from alerts.lifecycle import TERMINAL, State
from events import MILLIS_PER_MINUTE, Millis, from_iso
from guardrails.late import LATE_HELD_MS
from guardrails.limits import INTERRUPT_AT, NOTIFY_AT
from models.training import RELEASE_SHARE

NOT_ENDED = -1
LATE_TOLD_MS = LATE_HELD_MS + MILLIS_PER_MINUTE
"""By when late news is told or over: it waits, and timers fire on the whole minute after."""


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


class Said(msgspec.Struct, frozen=True, gc=False):
    """What is read of an alert event."""

    event_id: str
    alert_id: str
    episode_id: str
    seq: int
    state: State
    reason: str
    trigger: str
    priority: str
    disposition: str
    patient: str
    received_time: str
    late: bool

    @property
    def at(self) -> Millis:
        """When its cause was stored."""
        return from_iso(self.received_time)

    @property
    def over(self) -> bool:
        """Whether it ends its alert."""
        return self.state in TERMINAL


def read_alerts(folder: Path) -> list[Said]:
    """Read a replay's alert events, once for all that asks of them."""
    with (folder / "alerts.ndjson").open("rb") as file:
        return [_said(line) for line in file]


_said = msgspec.json.Decoder(Said).decode


def told_by_service(alerts: Sequence[Said], trigger: str | None = None) -> list[Telling]:
    """Give the alerts that the wards were told aloud."""
    found: dict[str, Telling] = {}
    newest = 0
    for said in alerts:
        if trigger is not None and said.trigger != trigger:
            continue
        alert, at = said.alert_id, said.at
        newest = max(newest, at)
        known = found.get(alert)
        loud = said.disposition == "told" and said.state in ("raised", "updated", "escalated")
        if known is None and loud:
            kind = f"{said.trigger} {said.priority}"
            found[alert] = Telling(said.patient, at, kind, NOT_ENDED, 1, said.episode_id)
        elif known is not None:
            until, times = at if said.over else known.until, known.times + loud
            found[alert] = msgspec.structs.replace(known, until=until, times=times)
    return [one if one.until != NOT_ENDED else msgspec.structs.replace(one, until=newest) for one in found.values()]


def repeated(alerts: Iterable[Said]) -> int:
    """Count events said twice, gaps in `seq`, and alerts raised while one of the same trigger was open."""
    faults = 0
    seen: set[str] = set()
    open_now: dict[tuple[str, str], str] = {}
    newest: dict[str, int] = {}
    for said in alerts:
        faults += said.event_id in seen
        seen.add(said.event_id)
        alert = said.alert_id
        if said.seq == newest.get(alert):
            continue  # What waited is told under the same seq.
        faults += said.seq != newest.get(alert, 0) + 1
        newest[alert] = said.seq
        key = (said.patient, said.trigger)
        if said.state == "raised":
            faults += key in open_now
            open_now[key] = alert
        elif said.over:
            open_now.pop(key, None)
    return faults


class Emergencies:
    """Whether each rise to a NEWS2 emergency was told by the floor, then or before in the same open alert.

    One that came late and went to the board then may be told within its time, or be over within it; else it is untold.
    """

    def __init__(self, alerts: Iterable[Said]) -> None:
        self.rises = self.untold = 0
        self._before: dict[str, int] = {}
        self._floor: dict[str, list[tuple[Millis, bool]]] = {}
        self._late: set[tuple[str, Millis]] = set()
        self._ends: set[tuple[str, Millis]] = set()
        self._waiting: dict[str, Millis] = {}
        self._newest: Millis = 0
        heard: dict[str, bool] = {}
        for said in alerts:
            if said.trigger != "news2_floor":
                continue
            patient, at = said.patient, said.at
            loud = said.disposition == "told" and said.priority == "interrupt"
            heard[patient] = not said.over and (loud or heard.get(patient, False))
            self._floor.setdefault(patient, []).append((at, heard[patient]))
            if said.over:
                self._ends.add((patient, at))
            elif said.late and said.disposition == "board" and said.reason in ("band_rise", "new_red"):
                self._late.add((patient, at))

    def scored(self, patient: str, at: Millis, total: int, reasons: set[str]) -> None:
        """Hear a score."""
        before, self._before[patient] = self._before.get(patient, 0), total
        self._newest = max(self._newest, at)
        self._weigh(patient, at, over=total < INTERRUPT_AT)
        if (
            total < INTERRUPT_AT
            or before >= INTERRUPT_AT
            or reasons & {"discharged", "deceased", "under_16", "pregnancy"}
        ):
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


def _scores(folder: Path) -> Iterator[dict[str, Any]]:
    with (folder / "scores.ndjson").open("rb") as file:
        for line in file:
            yield msgspec.json.decode(line)


def measure(folder: Path, onsets: Mapping[str, list[Millis]], patient_days: float, raise_at: float) -> Run:
    """Measure a replay's outputs, and what NEWS2 alone and the unfiltered model would have told of its scores."""
    rules = {
        "NEWS2 5 or more alone": RuleAlone("news2 5", NOTIFY_AT),
        "NEWS2 7 or more alone": RuleAlone("news2 7", INTERRUPT_AT),
        "the model without filters": RuleAlone("model", raise_at, raise_at * RELEASE_SHARE),
    }
    alerts = read_alerts(folder)
    emergencies = Emergencies(alerts)
    ended: Counter[str] = Counter()
    scores = 0
    for line in _scores(folder):
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
        "the service (floor and model)": told_by_service(alerts),
        "its floor alone": told_by_service(alerts, "news2_floor"),
        "its model channel alone": told_by_service(alerts, "model"),
        **{name: rule.tellings() for name, rule in rules.items()},
    }
    return Run(
        burdens={name: measure_burden(spoken, onsets, patient_days) for name, spoken in told.items()},
        withheld={name: count / scores for name, count in sorted(ended.items())},
        waits=sum(said.disposition == "waiting" for said in alerts),
        rises=emergencies.rises,
        untold=emergencies.untold,
        duplicates=repeated(alerts),
        patient_days=patient_days,
        scores=scores,
    )
