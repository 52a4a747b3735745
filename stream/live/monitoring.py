"""The monitors in the learner's process: what they are told, what is done about what they find, and who is told of it.

Owns that work, at its pace, on the event loop: writing down for the fold what a version is held against and what stands
upstream, entering demotions, keeping `findings.v1`, the log and the figures. Must not know a monitor's rules. Nothing
is done while the fold is behind: what stood then may have passed, or be of a version that is asked no more.

All of it is by level, not by edge: what is so outside is held against what the fold, the topic or the decisions say,
and what differs is written. So a restart, a second learner, or a write of which nobody knows whether it was stored
changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from structlog.typing import FilteringBoundLogger

from connectors.kafka.faults import BrokerError
from connectors.kafka.topics import FINDINGS
from guardrails.subgroups import UNSAID
from models.change_control import MonitorFinding
from models.drift.labels import LabelFigures
from stream.clock import wall_ms
from stream.contest_judging import settings_in_force
from stream.control import usable
from stream.decisions import Decision, Decisions
from stream.live.beside import Beside
from stream.live.company import Answer, Companion, Following, Learning
from stream.live.findings import Findings, changes, finding_key
from stream.live.monitor_fold import NAME, MonitorFold, Now, ToldUpstream, ToldVersion, Word, encode_word
from stream.live.responding import responses, restored_by
from stream.live.tails import Tail
from stream.live.upstream import UpstreamTail
from stream.live.writing import read_back
from stream.outcomes import OutcomeDefinition
from stream.promotion import asked_version
from stream.settings import Settings

LOOK_S = 2.0
"""How often it is looked at what stands: a look takes the fold's thread some ms, and monitors speak by the hour."""
FIGURES_S = 60.0
"""How often the newest labels' figures are computed: 20 ms of the fold's thread."""
SENT_WITHIN_S = 10.0
"""Until what was written to findings.v1 is read back."""
SENT_LOOK_S = 0.05


class Monitors(Companion):
    """The monitors' companion. `settings` are those the site begins with; decided ones take their place."""

    name = NAME

    def __init__(
        self, following: Following, definition: OutcomeDefinition, settings: Settings, log: FilteringBoundLogger
    ) -> None:
        self.now: Now | None = None
        """What the fold knew at the newest look."""
        self.labels: LabelFigures | None = None
        self._following, self._definition, self._settings, self._log = following, definition, settings, log
        self._upstream = UpstreamTail(following.kafka, following.password)
        self._told_outside = Findings()
        self._findings_tail = Tail(following.kafka, following.password, FINDINGS, self._told_outside.take)
        self._logged: dict[str, MonitorFinding] = {}
        self._figured_at = float("-inf")
        self._is_current = False
        self._fault = ""

    def make(self) -> Beside:
        """Make the fold."""
        return MonitorFold(self._definition)

    async def start(self) -> None:
        """Begin to hear what upstream says, and read which findings are told. Raises `BrokerError`."""
        await self._findings_tail.start()
        self._upstream.start()

    async def stop(self) -> None:
        """Hear no more."""
        await self._findings_tail.stop()
        await self._upstream.stop()

    async def run(self, learning: Learning) -> None:
        """Look, now and then, for ever; a broker that is away is waited for, and told."""
        while True:
            try:
                await self.look(learning)
                self._fault = ""
            except BrokerError as fault:
                self._fault = f"what monitors find is not acted upon: {fault}"
            await asyncio.sleep(LOOK_S)

    async def look(self, learning: Learning) -> None:
        """Look once, and do what is to be done. Raises `BrokerError`."""
        fold = learning.fold.beside.folds[NAME]
        assert isinstance(fold, MonitorFold), "it was made above"
        self.now = now = await learning.in_thread(fold.now)
        if time.monotonic() - self._figured_at >= FIGURES_S:
            self.labels, self._figured_at = await learning.in_thread(fold.monitors.label_figures), time.monotonic()
        self._write_log(now)
        self._is_current = learning.is_current
        if not self._is_current:
            return
        if words := list(self._lacking(now)):
            for word in words:
                await learning.tell(NAME, encode_word(word))
            return
        await self._respond(now)
        await self._publish(now, learning)

    # -- what the fold is told ----------------------------------------------------------------------------------------

    def _lacking(self, now: Now) -> Iterator[Word]:
        """Give what is so outside and was not told."""
        decisions, versions = self._following.desk.decisions, self._following.versions
        settings = settings_in_force(decisions, self._settings)
        for name in dict.fromkeys((asked_version(decisions), now.version)):
            version = versions.get(name)
            if version is None:
                continue
            # What another threshold comes to for a ward of its own is that ward's: one habit of all is watched.
            threshold, _ = settings.guardrails.thresholds_of("", name)
            word = ToldVersion(name, threshold, version.monitored, restored_by(decisions, name))
            if now.told.get(name) != word:
                yield word
        for key, signal in self._upstream.newest().items() if self._upstream.caught_up else ():
            stands = signal.state == "raised"
            if stands != (key in now.upstream):
                yield ToldUpstream(
                    signal.kind,
                    signal.subject,
                    "raised" if stands else "cleared",
                    signal.received_time,
                    signal.since,
                    signal.feature,
                )

    # -- what is done -------------------------------------------------------------------------------------------------

    async def _respond(self, now: Now) -> None:
        desk = self._following.desk
        if self._due(desk.decisions, now):
            await desk.enter(lambda decisions: self._due(decisions, now))

    def _due(self, decisions: Decisions, now: Now) -> list[Decision]:
        if not settings_in_force(decisions, self._settings).change_control.monitor_demotes:
            return []
        versions = self._following.versions
        return responses(decisions, now.findings, lambda name: usable(versions, name) is not None, wall_ms())

    async def _publish(self, now: Now, learning: Learning) -> None:
        records = changes(self._told_outside.by_key, now.findings)
        if not records:
            return
        reached = max(await learning.send(records))
        words = f"{FINDINGS} was not read back in {SENT_WITHIN_S:g} s"
        await read_back(lambda: self._findings_tail.reached > reached, SENT_WITHIN_S, SENT_LOOK_S, words)

    # -- what is told of it -------------------------------------------------------------------------------------------

    def _write_log(self, now: Now) -> None:
        standing = {finding_key(one): one for one in now.findings}
        for key, one in standing.items():
            before = self._logged.get(key)
            if before is None or before.version != one.version:
                tell = self._log.info if one.response == "annotate" else self._log.warning
                tell("finding", monitor=one.monitor, response=one.response, version=one.version, **_loggable(one))
        for key, one in self._logged.items():
            if key not in standing:
                self._log.info("finding_passed", monitor=one.monitor, version=one.version, **_loggable(one))
        self._logged = standing

    def problems(self) -> tuple[str, ...]:
        """Say what keeps this from its work."""
        own = (self._fault,) if self._fault else ()
        return (*own, *self._findings_tail.problems(), *self._upstream.problems())

    def notes(self) -> tuple[str, ...]:
        """Say what stands that holds promotions, or worse."""
        now = self.now
        counts = Counter((one.monitor, one.response) for one in self.holding())
        return tuple(
            f"monitor {monitor} stands beyond its limit ({count}; version {now.version if now else ''}): {response}"
            for (monitor, response), count in sorted(counts.items())
        )

    def holding(self) -> tuple[MonitorFinding, ...]:
        """Give the findings that stand and hold promotions, or worse: what the gates are to see."""
        return tuple(one for one in (self.now.findings if self.now else ()) if one.response != "annotate")

    def collect(self) -> Iterable[Metric]:
        """Give findings by monitor and response, and the newest labels' figures with their intervals."""
        counted = GaugeMetricFamily(
            "wardstream_learner_findings", "What stands beyond its limit", labels=["monitor", "response"]
        )
        for (monitor, response), count in sorted(
            Counter((one.monitor, one.response) for one in (self.now.findings if self.now else ())).items()
        ):
            counted.add_metric([monitor, response], count)
        yield counted
        if self.labels is not None:
            yield from _label_metrics(self.labels)

    @property
    def answers(self) -> dict[str, Answer]:
        """Give what stands, in full."""
        return {"/findings": self._answer}

    async def _answer(self) -> object:
        now = self.now
        return {
            "version": now.version if now else "",
            "at": now.clock if now else None,
            "current": self._is_current,
            "findings": now.findings if now else (),
            "labels": self.labels,
        }


def _loggable(finding: MonitorFinding) -> dict[str, str]:
    """Give what a log line says of a finding; of an attribute whose groups are not named, the group is left out.

    >>> figures = {"subject": "ethnicity|black|ppv", "level": "serious"}
    >>> _loggable(MonitorFinding(monitor="subgroup_gap", version="", response="annotate", at=0, figures=figures))
    {'subject': 'ethnicity|ppv', 'level': 'serious'}
    """
    said = {name: str(finding.figures.get(name, "")) for name in ("subject", "level")}
    attribute, *rest = said["subject"].split("|")
    if attribute in UNSAID:
        said["subject"] = "|".join((attribute, *rest[1:]))
    return said


def _label_metrics(figures: LabelFigures) -> Iterator[Metric]:
    """Give what the newest labels of the version in force came to; what is not known is left out."""
    slope_low, slope_high = figures.slope_interval or (None, None)
    auroc_low, auroc_high = figures.auroc_interval or (None, None)
    for name, words, value in (
        ("monitored_labels", "Labels behind the following, of the version in force", figures.rows),
        ("monitored_positives", "Of them, those that the outcome followed", figures.positives),
        ("monitored_slope", "Slope of calibration", figures.slope),
        ("monitored_slope_low", "Its 95 % interval's lower end", slope_low),
        ("monitored_slope_high", "Its 95 % interval's upper end", slope_high),
        ("monitored_auroc", "AUROC", figures.auroc),
        ("monitored_auroc_low", "Its 95 % band's lower end", auroc_low),
        ("monitored_auroc_high", "Its 95 % band's upper end", auroc_high),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"wardstream_learner_{name}", words, value=value)
    ratio = GaugeMetricFamily(
        "wardstream_learner_monitored_observed_by_expected", "By group of risk, 95 %", labels=["group", "bound"]
    )
    for one in figures.risk:
        if one.ratio is not None and one.interval is not None:
            for bound, value in zip(("value", "low", "high"), (one.ratio, *one.interval), strict=True):
                ratio.add_metric([one.group, bound], value)
    yield ratio
