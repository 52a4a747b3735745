"""The learner: one fold over `examples.v1`, and the process around it that follows the topic and tells how it does.

Owns the order in which examples are learned (the topic's own), what is dropped as a repeat, the figures, and freezing a
candidate version. Must not know alerts, patients' records or who scores: nobody hears of it until a person promotes
what it made.

What it knows is a function of the records from the topic's first one on. So it keeps no state on disk: started again,
or killed at any record, it folds the topic anew and knows the same. Where retention has taken the beginning, it begins
with what is left, and says so in what it makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import nan

import msgspec
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from structlog.typing import FilteringBoundLogger

from connectors.http.ports import Condition
from connectors.kafka.faults import BrokerError
from connectors.kafka.reading import KafkaRecord, log_range
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import EXAMPLES
from models.evaluation import Figures
from models.training import TooFewExamplesError, finish
from models.version import Lineage, ModelVersion
from stream.learning import LearnerFold, OutcomeDefinition
from stream.live.examples import Scored, UndecodableExampleError, decode_example
from stream.live.health import HealthServer
from stream.live.tails import Tail
from stream.live_settings import LiveSettings
from stream.logs import describe
from stream.repeats import RecentRecords

LAG_S = 2.0
"""How often the end of the topic is looked at."""
LAG_RECORDS_MAX = 50_000
"""Further behind, it is not well: about half a minute of the examples of a national service."""
FIGURES_S = 300.0
"""How often the figures are computed and logged: they are over all rows so far."""

Publish = Callable[[ModelVersion], Awaitable[None]]


class ExampleFold:
    """All that is learned, record by record of the topic.

    >>> fold = ExampleFold(OutcomeDefinition())
    >>> fold.take(0, b"{"); (fold.next_offset, fold.undecodable)
    (1, 1)
    """

    def __init__(self, definition: OutcomeDefinition) -> None:
        self.learning = LearnerFold(definition)
        self.next_offset = 0
        self.repeats = 0
        """Records that came before: the stages may write one twice."""
        self.undecodable = 0
        self.failed = 0
        """Records that our own code failed on."""
        self._recent = RecentRecords()

    def take(self, offset: int, value: bytes | None) -> None:
        """Fold one record; one that cannot be read or folded is counted, and the next one is taken."""
        self.next_offset = offset + 1
        try:
            example = decode_example(value or b"")
        except UndecodableExampleError:
            self.undecodable += 1
            return
        if not self._recent.add(example.example_id):
            self.repeats += 1
            return
        try:
            if isinstance(example, Scored):
                vector = [nan if known is None else known for known in example.vector]
                self.learning.scored(example.patient, example.at, vector)
            else:
                self.learning.happened(example.envelope)
        except Exception:  # noqa: BLE001 - a bug of ours in one example must not end learning
            self.failed += 1

    def candidate(self, code_version: str, begin: int) -> ModelVersion:
        """Freeze what is known now; the same records give the same version. Raises `TooFewExamplesError`."""
        fold = self.learning
        lineage = Lineage(
            source=EXAMPLES,
            rows=0,
            positives=0,
            first_time=fold.first_time,
            last_time=fold.last_time,
            patients=len(fold.patients),
            outcome_kinds=fold.joiner.kinds,
            code_version=code_version,
            note=f"learned live from records {begin} to {self.next_offset - 1}",
        )
        horizon_h = fold.joiner.horizon_ms // 3_600_000
        return finish(fold.prequential, lineage, horizon_h=horizon_h, held_back=fold.held_back)


class LearnerProcess:
    """The learner, running: `listen`, then `stop`. Made on the event loop's thread; see `stream.cli.listening`."""

    def __init__(
        self,
        kafka: KafkaSettings,
        live: LiveSettings,
        definition: OutcomeDefinition,
        *,
        code_version: str,
        log: FilteringBoundLogger,
        password: str = "",
        publish: Publish | None = None,
        publish_every_s: float = 0.0,
    ) -> None:
        """`publish` takes a candidate version each `publish_every_s` seconds of a learner that is not behind."""
        self.failed = asyncio.Event()
        self.fold = ExampleFold(definition)
        self.figures: Figures | None = None
        self._kafka, self._live, self._password = kafka, live, password
        self._code_version = code_version
        self._log = log
        self._publish, self._publish_every_s = publish, publish_every_s
        self._tail = Tail(kafka, password, EXAMPLES, self._take)
        self._begin = self._end = 0
        self._caught_up = False
        self._fault = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"wardstream_learner_{name}", words, registry=self._registry) for name, words in _GAUGES.items()
        }
        self._health = HealthServer(self.live, self.ready, self.metrics)

    # -- life -------------------------------------------------------------------------------------------------------

    async def listen(self) -> dict[str, str]:
        """Begin to learn and to answer for it; raises `OSError` where the port cannot be had, `BrokerError`."""
        await self._look()
        port = await self._health.start(self._live.health_host, self._live.health_port)
        for work in (self._follow, self._watch, self._report, self._publish_forever):
            self._tasks.append(asyncio.create_task(self._guarded(work)))
        return {"health": f"http://{self._live.health_host}:{port}/health/ready"}

    async def stop(self) -> None:
        """Learn no more. There is nothing to save."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._tail.stop()
        await self._health.stop()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the process must end, for a supervisor to see it
            self._log.error("died", **describe(fault))
            self.failed.set()

    async def _follow(self) -> None:
        await self._tail.start()
        self._caught_up = True
        self._log.info("caught_up", record=self.fold.next_offset, begin=self._begin)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LAG_S)
            try:
                await self._look()
            except BrokerError as fault:
                self._fault = str(fault)

    async def _look(self) -> None:
        self._begin, self._end = (await log_range(self._kafka, EXAMPLES, password=self._password))[0]
        self._fault = ""

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(FIGURES_S)
            self.report()

    def report(self) -> None:
        """Compute the figures so far and log them."""
        run = self.fold.learning.prequential
        self.figures = run.accumulator.figures()
        beside = self.fold.learning.news2.figures()
        self._log.info(
            "learned",
            record=self.fold.next_offset,
            lag=self.lag,
            rows=self.figures.rows,
            positives=self.figures.positives,
            auroc=self.figures.auroc,
            news2_auroc=beside.auroc,
            calibration_error=self.figures.calibration_error,
            refused=run.refused,
            labels=msgspec.to_builtins(self.fold.learning.joiner.counts),
        )

    async def _publish_forever(self) -> None:
        while self._publish is not None and self._publish_every_s > 0:
            await asyncio.sleep(self._publish_every_s)
            if self.lag > LAG_RECORDS_MAX or not self._caught_up:
                continue
            with suppress(TooFewExamplesError):  # not enough is known: the next time
                try:
                    await self._publish(self.fold.candidate(self._code_version, self._begin))
                except (BrokerError, OSError) as fault:
                    self._log.warning("not_published", **describe(fault))

    def _take(self, record: KafkaRecord) -> None:
        self.fold.take(record.offset, record.value)

    # -- how it does ------------------------------------------------------------------------------------------------

    @property
    def lag(self) -> int:
        """How many records the topic has beyond what is learned."""
        return max(self._end - max(self.fold.next_offset, self._begin), 0)

    def lives(self) -> bool:
        """Say whether it works at all."""
        return not self.failed.is_set()

    def live(self) -> Condition:
        """Answer a supervisor."""
        return Condition(well=self.lives(), problems=() if self.lives() else ("a part of it has died: see the log",))

    def ready(self) -> Condition:
        """Answer whoever wants to know how it does."""
        problems = list(self._tail.problems())
        if not self.lives():
            problems.append("a part of it has died: see the log")
        if self._fault:
            problems.append(self._fault)
        if not self._caught_up:
            problems.append(f"{EXAMPLES}: reading from its beginning, {self.lag} records to go")
        elif self.lag > LAG_RECORDS_MAX:
            problems.append(f"{EXAMPLES}: {self.lag} records behind")
        if self.fold.failed:
            problems.append(f"{self.fold.failed} examples could not be learned: a fault of ours")
        return Condition(well=not problems, problems=tuple(problems))

    def metrics(self) -> tuple[bytes, str]:
        """Give the figures for Prometheus."""
        fold, counts = self.fold, self.fold.learning.joiner.counts
        values: dict[str, float | None] = {
            "lag_records": self.lag,
            "next_offset": fold.next_offset,
            "repeats": fold.repeats,
            "undecodable": fold.undecodable,
            "failed": fold.failed,
            "waiting": fold.learning.joiner.pending,
            "positives": counts.positives,
            "negatives": counts.negatives,
            "auroc": self.figures.auroc if self.figures else None,
            "calibration_error": self.figures.calibration_error if self.figures else None,
        }
        for name, value in values.items():
            self._gauges[name].set(nan if value is None else value)
        text: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call] # the library's own gap
        return text, CONTENT_TYPE_LATEST


_GAUGES = {
    "lag_records": "Records of examples.v1 beyond what is learned",
    "next_offset": "The next record of examples.v1",
    "repeats": "Records dropped because they came before",
    "undecodable": "Records that are no examples",
    "failed": "Examples that our own code failed on",
    "waiting": "Scores that wait for their outcome",
    "positives": "Scores whose outcome came within the horizon",
    "negatives": "Scores that no outcome followed",
    "auroc": "Of what was said before it was learned, over all rows",
    "calibration_error": "The same: expected calibration error",
}
