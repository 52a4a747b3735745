"""The contest of a running learner: who takes part, when they are weighed, and what is entered of it.

Owns that work, at its pace: writing down for the fold who takes part, refusing by name, weighing what it heard, keeping
the evidence, and entering what follows. Must not know how a challenger is asked (stream/live/contest.py), nor what the
gates say (stream/contest_judging.py). What it does twice changes nothing: each step is made from what stands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from connectors.kafka.faults import BrokerError
from events import Millis, Promotion
from models.change_control import MonitorFinding
from models.evidence import Evidence, EvidenceError, dump_evidence, evidence_digest
from models.version import ModelVersion
from models.weighing import NEWS2_ALONE
from stream.clock import wall_ms
from stream.contest_judging import levels_of, settings_in_force, verdicts
from stream.contest_rows import Heard
from stream.decisions import Decision, Decisions
from stream.entrants import MADE, Entrant, entering, entrants, refusal
from stream.live.beside import Beside
from stream.live.change_desk import Make
from stream.live.company import Answer, Companion, Following, Learning
from stream.live.contest import Challenged, Contest, evidence_on
from stream.logs import describe
from stream.outcomes import OutcomeDefinition
from stream.promotion import champion_of
from stream.settings import Settings

NAME = "contest"
LOOK_S = 1.0
"""How often it is looked at who takes part, and whether it is time to weigh."""
JUDGE_S = 24 * 3_600.0
"""How often challengers are weighed unless it is said: every look is one more chance to be lucky."""


GAUGES = {
    "challenger_rows": "Rows that each challenger and the champion both answered, and whose outcome is known",
    "challenger_positives": "Of them, those that the outcome followed",
    "challenger_auroc_difference": "The challenger's AUROC on them less the champion's, when it was weighed last",
    "challenger_auroc_difference_low": "The lower end of its interval",
    "challenger_auroc_difference_high": "The upper end",
}


class Shown(NamedTuple):
    """How a challenger stands, for health and metrics."""

    rows: int
    positives: int
    evidence: Evidence | None
    lacks: str
    """Why there is no evidence yet."""


class ContestCompanion(Companion):
    """What keeps the contest going beside a learner."""

    name = NAME

    def __init__(
        self,
        following: Following,
        definition: OutcomeDefinition,
        settings: Settings,
        *,
        evidence_folder: Path | None = None,
        judge_s: float = JUDGE_S,
        findings: Callable[[], Sequence[MonitorFinding]] = lambda: (),
        now: Callable[[], Millis] = wall_ms,
    ) -> None:
        """`settings` are those that the service was started with; `findings` are the monitors' that are in alarm now.

        `judge_s` is how often challengers are weighed, in seconds; evidence is kept in `evidence_folder`.
        """
        self.shown: dict[str, Shown] = {}
        """How each challenger stood when it was weighed last."""
        self._versions, self._desk = following.versions, following.desk
        self._definition, self._settings = definition, settings
        self._folder, self._findings, self._now = evidence_folder, findings, now
        self._judge_s = judge_s
        self._judged_at = -float("inf")
        self._problems: tuple[str, ...] = ()
        self._log = structlog.get_logger()

    @property
    def decisions(self) -> Decisions:
        """What is decided, as far as it was read."""
        return self._desk.decisions

    def make(self) -> Beside:
        """Make the fold."""
        return Contest(self._definition, self._versions.get)

    async def run(self, learning: Learning) -> None:
        """Look after it for as long as the process lives."""
        while True:
            if learning.is_current:
                try:
                    await self.look(learning)
                    self._problems = ()
                except (BrokerError, OSError) as fault:
                    self._problems = (f"{NAME}: {fault if isinstance(fault, BrokerError) else type(fault).__name__}",)
                    self._log.warning("contest_waits", **describe(fault))
            await asyncio.sleep(LOOK_S)

    async def look(self, learning: Learning) -> None:
        """Bring up to date who takes part, and weigh where it is time. Raises `BrokerError`, `OSError`."""
        each = {one.version: one for one in entrants(self._desk.decisions, self._is_at_hand)}
        contest = _contest_of(learning)
        if await learning.in_thread(lambda: contest.challengers) != tuple(each):
            await learning.tell(NAME, msgspec.json.encode(Challenged(tuple(each))))
            self.shown = {name: shown for name, shown in self.shown.items() if name in each}
        refused = await learning.in_thread(lambda: {name: why for name, why in contest.refused.items() if name in each})
        for name, why in refused.items():
            self._log.error("challenger_refused", version=name, why=why)
            await self._desk.enter(_once_refused(name, why, self._now()))
        if time.monotonic() - self._judged_at >= self._judge_s:
            await self._judge(learning, contest, each)
            self._judged_at = time.monotonic()

    async def made(self, version: ModelVersion) -> None:
        """Enter a candidate that was published, once; not one that cannot say what is new to it (River's logistic)."""
        if version.lineage.learned_until is None:
            return
        name, at = version.version, self._now()

        def make(decisions: Decisions) -> list[Decision]:
            known = any(getattr(one.decision.event, "version", "") == name for one in decisions.kept())
            return [] if known else [entering(decisions, name, at, by=MADE, reason="the learner's candidate")]

        await self._desk.enter(make)

    async def _judge(self, learning: Learning, contest: Contest, each: Mapping[str, Entrant]) -> None:
        """Weigh all challengers beside who is in force, on what was heard up to one record, and enter what follows.

        First what the gates say of each, then a promotion: who goes into force ends the contest of all the others.
        """
        beside = champion_of(self._desk.decisions)
        heard = await learning.in_thread(
            lambda: {name: contest.heard(name, beside or NEWS2_ALONE) for name in contest.running if name in each}
        )
        weighed = [made for name, one in heard.items() if (made := await self._weigh(each[name], beside, one))]
        for make in weighed:
            await self._desk.enter(_without_promotion(make))
        for make in weighed:
            await self._desk.enter(make)

    async def _weigh(self, one: Entrant, beside: str, heard: Heard) -> Make | None:
        """Weigh one challenger; give what is to be entered, nothing where there is no evidence."""
        champion, challenger = self._versions.get(beside), self._versions.get(one.version)
        if challenger is None or (beside and champion is None):
            self.shown[one.version] = Shown(0, 0, None, "it or the version in force is not at hand here")
            return None
        levels = levels_of(settings_in_force(self._desk.decisions, self._settings), one.version)
        try:
            evidence = await asyncio.to_thread(evidence_on, heard, champion, challenger, levels)
        except EvidenceError as fault:
            self.shown[one.version] = _shown(heard, None, str(fault))
            return None
        self.shown[one.version] = _shown(heard, evidence, "")
        at = self._now()
        left_out = f"{heard.unusable} unanswered by one of the two, {heard.elsewhere} of another champion"

        def make(decisions: Decisions) -> list[Decision]:
            found = verdicts(
                decisions,
                evidence,
                champion,
                challenger,
                settings_in_force(decisions, self._settings),
                entrant=one,
                findings=self._findings(),
                left_out=left_out,
                at=at,
            )
            if found:
                self._keep(evidence)
            return found

        return make

    def _keep(self, evidence: Evidence) -> None:
        """Write evidence to a file that is named by its content, whole before it has its name."""
        if self._folder is None:
            return
        path = self._folder / f"{evidence_digest(evidence)}.json"
        if path.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.part")
        unfinished.write_bytes(dump_evidence(evidence))
        unfinished.replace(path)

    def _is_at_hand(self, version: str) -> bool:
        return version in self._versions

    def problems(self) -> tuple[str, ...]:
        """Say what keeps it from its work."""
        return self._problems

    def notes(self) -> tuple[str, ...]:
        """Say how each challenger stands."""
        return tuple(f"challenger {version}: {_words(one)}" for version, one in self.shown.items())

    @property
    def answers(self) -> dict[str, Answer]:
        """Give how each challenger stands, for programs."""

        async def contest() -> object:
            return {version: _plain(one) for version, one in self.shown.items()}

        return {"/contest": contest}

    def collect(self) -> Iterator[Metric]:
        """Give how each challenger stood when it was weighed last."""
        gauges = {
            name: GaugeMetricFamily(f"wardstream_learner_{name}", words, labels=["version"])
            for name, words in GAUGES.items()
        }
        for version, one in self.shown.items():
            auroc = None if one.evidence is None else one.evidence.auroc
            values = {
                "challenger_rows": one.rows,
                "challenger_positives": one.positives,
                "challenger_auroc_difference": None if auroc is None else auroc.difference,
                "challenger_auroc_difference_low": None if auroc is None else auroc.low,
                "challenger_auroc_difference_high": None if auroc is None else auroc.high,
            }
            for name, value in values.items():
                gauges[name].add_metric([version], nan if value is None else value)
        yield from gauges.values()


def _contest_of(learning: Learning) -> Contest:
    found = learning.fold.beside.folds[NAME]
    assert isinstance(found, Contest), "it was made by this companion"
    return found


def _without_promotion(make: Make) -> Make:
    return lambda decisions: [one for one in make(decisions) if not isinstance(one.event, Promotion)]


def _words(one: Shown) -> str:
    if one.evidence is None:
        return f"{one.rows} rows, no evidence yet: {one.lacks}"
    auroc = one.evidence.auroc
    difference = f"{auroc.difference:+.3f} ({auroc.low:+.3f} to {auroc.high:+.3f})"
    return f"{one.rows} rows beside {one.evidence.champion}, AUROC {auroc.challenger:.3f}, {difference}"


def _plain(one: Shown) -> dict[str, object]:
    evidence = None if one.evidence is None else msgspec.to_builtins(one.evidence)
    return {"rows": one.rows, "positives": one.positives, "lacks": one.lacks, "evidence": evidence}


def _shown(heard: Heard, evidence: Evidence | None, lacks: str) -> Shown:
    return Shown(len(heard.rows.labels), int(heard.rows.labels.sum()), evidence, lacks)


def _once_refused(version: str, why: str, at: Millis) -> Make:
    def make(decisions: Decisions) -> list[Decision]:
        takes_part = version in [one.version for one in entrants(decisions, lambda _name: True)]
        return [refusal(decisions, version, at, why)] if takes_part else []

    return make
