"""The learner's process: it follows `examples.v1`, folds it in a thread of its own, and tells how it does.

Owns reading the topic from where a snapshot ends, when snapshots and candidates are made, and the answers to who asks.
Must not know alerts, patients' records or who scores: nobody hears of it until a person promotes what it made.

What it knows is a function of the records from the fold's first one on; a snapshot only saves folding them again.
Started again, or killed at any record, it knows the same. Where retention has taken the beginning and no snapshot can
be used, it begins with what is left, and says so in what it makes.

The fold belongs to one thread: growing a tree, computing figures and freezing a version happen there, one after the
other, and who asks for health meanwhile is answered. Whole numbers of the fold are read from outside of that thread,
everything else is asked for through it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.http.ports import Condition
from connectors.kafka.faults import BrokerError
from connectors.kafka.reading import KafkaRecord, log_range
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import EXAMPLES
from models.evaluation import Figures
from models.learners.classifier import Classifier
from models.learners.factory import SHIPPED
from models.rows import Inputs
from models.training import TooFewExamplesError
from models.version import ModelVersion
from stream.live.cadence import Cadence
from stream.live.company import Company
from stream.live.example_fold import ExampleFold, Origin
from stream.live.health import HealthServer
from stream.live.learner_metrics import LearnerMetrics
from stream.live.learner_snapshots import Snapshots
from stream.live.tails import Tail
from stream.live.telling import Telling
from stream.live_settings import LiveSettings
from stream.logs import describe
from stream.outcomes import OutcomeDefinition

LAG_S = 2.0
"""How often the end of the topic is looked at."""
LAG_RECORDS_MAX = 50_000
"""Further behind, it is not well: two hours of the examples of a national service's largest hospital, and what is
folded in two minutes."""
CURRENT_RECORDS_MAX = 500
"""So many records behind, what is known is still of now: some seconds of a large hospital."""
FIGURES_S = 300.0
"""How often the figures are computed and logged: they are over all rows kept."""
BATCH_RECORDS = 64
"""Records handed to the fold's thread at a time while the topic is caught up with: some 0.1 s of folding."""
SNAPSHOT_LOOK_S = 1.0
"""How often it is looked at whether one is due by time."""

Publish = Callable[[ModelVersion], Awaitable[bool]]
"""Keeps a candidate; says whether it was signed and published."""
Done = TypeVar("Done")


class LearnerProcess:
    """The learner, running: `listen`, then `stop`. Made on the event loop's thread; see `stream.cli.listening`."""

    def __init__(
        self,
        kafka: KafkaSettings,
        live: LiveSettings,
        definition: OutcomeDefinition,
        *,
        origin: Origin,
        log: FilteringBoundLogger,
        learner: str = SHIPPED,
        make: Callable[[Inputs], Classifier] | None = None,
        password: str = "",
        snapshots: Snapshots | None = None,
        publish: Publish | None = None,
        cadence: Cadence | None = None,
        company: Company | None = None,
    ) -> None:
        """`company` has folds that hear what the learner hears, and what works beside them.

        `publish` takes a candidate version as often as `cadence` says, of a learner that is not behind.

        `learner` names one, and `make` makes it with other settings than the shipped ones.
        """
        self.failed = asyncio.Event()
        self._company = company or Company()
        self.fold = ExampleFold(definition, learner, make=make, grow=self._grow, beside=self._company.makers)
        self.figures: Figures | None = None
        self.in_force: dict[str, Figures] = {}
        self._definition = definition
        self._kafka, self._live, self._password = kafka, live, password
        self._origin, self._log, self._cadence = origin, log, cadence or Cadence()
        self._snapshots, self._publish = snapshots, publish
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fold")
        self._tail = Tail(kafka, password, EXAMPLES, self._take)
        self._telling = Telling(kafka, password)
        self._unfolded: list[KafkaRecord] = []
        self._begin = self._end = 0
        self._caught_up = False
        self._fault = ""
        self._grown, self._growing_s = 0, 0.0
        self._kept_offset, self._kept_bytes, self._kept_at = 0, 0, time.monotonic()
        self._tried_offset = 0
        self._keep_failures = self._refused = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics = LearnerMetrics(self._company.companions)
        self._health = HealthServer(self.live, self.ready, self.metrics, self._company.answers)

    # -- life -------------------------------------------------------------------------------------------------------

    async def listen(self) -> dict[str, str]:
        """Begin to learn and to answer for it; raises `OSError` where the port cannot be had, `BrokerError`."""
        await self._look()
        await self._company.start()
        await self.in_thread(self._load)
        port = await self._health.start(self._live.health_host, self._live.health_port)
        for work in (self._follow, self._watch, self._report, self._publish_forever, self._keep_forever):
            self._tasks.append(asyncio.create_task(self._guarded(work)))
        for one in self._company.companions:
            self._tasks.append(asyncio.create_task(self._company.run(one, self)))
        return {"health": f"http://{self._live.health_host}:{port}/health/ready"}

    async def stop(self) -> None:
        """Learn no more, and keep what is known."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._tail.stop()
        await self._company.stop()
        await self._telling.stop()
        if self.lives():
            await self.in_thread(self._keep_if_changed)
        self._thread.shutdown(wait=False)
        await self._health.stop()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the process must end, for a supervisor to see it
            self._log.error("died", **describe(fault))
            self.failed.set()

    async def in_thread(self, work: Callable[[], Done]) -> Done:
        """Do something in the fold's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def tell(self, name: str, content: bytes) -> None:
        """Write a word to a fold down, and wait until it has heard it. Raises `BrokerError`."""
        await self._telling.tell(name, content, lambda: self.fold.next_offset)

    async def send(self, records: Sequence[Record]) -> list[int]:
        """Write records and give where each lies. Raises `BrokerError`."""
        return await self._telling.send(records)

    # -- reading and folding ----------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        try:
            await self._tail.start(max(self.fold.next_offset, self._begin))
        except BrokerError as fault:
            self._log.error("not_read", topic=EXAMPLES, why=str(fault))
            raise
        self._caught_up = True
        await self._fold_waiting()
        self._log.info("caught_up", record=self.fold.next_offset, begin=self.fold.begin)

    async def _take(self, record: KafkaRecord) -> None:
        """Hand records to the fold's thread, and read no further until it has folded them."""
        self._unfolded.append(record)
        if self._caught_up or len(self._unfolded) >= BATCH_RECORDS:
            await self._fold_waiting()

    async def _fold_waiting(self) -> None:
        batch, self._unfolded = self._unfolded, []
        await self.in_thread(lambda: self._fold(batch))

    def _fold(self, batch: list[KafkaRecord]) -> None:
        for record in batch:
            self.fold.take(record.offset, record.value)
            if self.fold.next_offset - self._tried_offset >= self._cadence.snapshot_records:
                self._keep()

    def _grow(self, learner: Classifier) -> None:
        begun = time.perf_counter()
        learner.grow()
        self._grown, self._growing_s = self._grown + 1, self._growing_s + time.perf_counter() - begun

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

    # -- snapshots: in the fold's thread ----------------------------------------------------------------------------

    def _load(self) -> None:
        self._kept_offset = self._tried_offset = self._begin
        if self._snapshots is None:
            return
        found = self._snapshots.load(self._definition, self._begin, self._end, self._grow, self._company.makers)
        self._refused = len(found.refused)
        for one in found.refused:
            self._log.error("snapshot_refused", snapshot=one.name, why=one.why)
        if found.fold is not None:
            self.fold = found.fold
            self._kept_offset = self._tried_offset = found.fold.next_offset
            self._log.info("restored", snapshot=found.name, record=self.fold.next_offset)
            for name in found.fold.beside.begun_anew:
                self._log.warning("begins_anew", fold=name, record=self.fold.next_offset)
        elif found.refused:
            self._log.warning("begins_anew", record=self._begin)

    async def _keep_forever(self) -> None:
        while self._snapshots is not None:
            await asyncio.sleep(min(SNAPSHOT_LOOK_S, self._cadence.snapshot_s))
            if time.monotonic() - self._kept_at >= self._cadence.snapshot_s:
                await self.in_thread(self._keep_if_changed)

    def _keep_if_changed(self) -> None:
        if self.fold.next_offset > max(self._kept_offset, self._begin):
            self._keep()

    def _keep(self) -> None:
        """Write a snapshot. Where that fails, it is said, and tried again an interval later: the topic has it all."""
        self._tried_offset = self.fold.next_offset
        if self._snapshots is None:
            return
        try:
            self._kept_bytes = self._snapshots.write(self.fold)
            self._kept_offset, self._kept_at = self._tried_offset, time.monotonic()
        except Exception as fault:  # noqa: BLE001 - a disk that is full, or a state that cannot be written: both are told
            self._keep_failures += 1
            self._log.error("snapshot_not_written", **describe(fault))

    # -- what is made of it -----------------------------------------------------------------------------------------

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(FIGURES_S)
            await self.in_thread(self.report)

    def report(self) -> None:
        """Compute the figures so far and log them: of the learner, of NEWS2 and of the version in force."""
        fold = self.fold.learning
        self.figures, beside = fold.prequential.accumulator.figures(), fold.news2.figures()
        self.in_force = {name: run.figures() for name, run in fold.in_force.by_version().items()}
        version, newest = next(reversed(self.in_force.items()), ("", None))
        self._log.info(
            "learned",
            record=self.fold.next_offset,
            lag=self.lag,
            rows=self.figures.rows,
            positives=self.figures.positives,
            auroc=self.figures.auroc,
            news2_auroc=beside.auroc,
            calibration_error=self.figures.calibration_error,
            in_force=version,
            in_force_rows=newest and newest.rows,
            in_force_auroc=newest and newest.auroc,
            in_force_calibration_error=newest and newest.calibration_error,
            refused=fold.prequential.refused,
            labels=msgspec.to_builtins(fold.joiner.counts),
        )

    async def _publish_forever(self) -> None:
        published = 0
        while self._publish is not None and self._cadence.publish_s > 0:
            await asyncio.sleep(self._cadence.publish_s)
            if self.lag > LAG_RECORDS_MAX or not self._caught_up or self.fold.next_offset == published:
                continue
            with suppress(TooFewExamplesError):  # not enough is known: the next time
                try:
                    reached, version = await self.in_thread(
                        lambda: (self.fold.next_offset, self.fold.candidate(self._origin))
                    )
                    if await self._publish(version):
                        await self._company.made(version)
                    published = reached
                except (BrokerError, OSError) as fault:
                    self._log.warning("not_published", **describe(fault))

    # -- how it does ------------------------------------------------------------------------------------------------

    @property
    def lag(self) -> int:
        """How many records the topic has beyond what is learned."""
        return max(self._end - max(self.fold.next_offset, self._begin), 0)

    @property
    def is_current(self) -> bool:
        """Whether what is known is of now: the topic is caught up with and followed, and next to nothing waits."""
        return self._caught_up and not self._fault and self.lag <= CURRENT_RECORDS_MAX

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
            problems.append(f"{EXAMPLES}: catching up with the topic, {self.lag} records to go")
        elif self.lag > LAG_RECORDS_MAX:
            problems.append(f"{EXAMPLES}: {self.lag} records behind")
        if self.fold.failed:
            problems.append(f"{self.fold.failed} examples could not be learned: a fault of ours")
        problems += (*self.fold.beside.problems(), *self._company.problems())
        if self._keep_failures:
            problems.append(f"{self._keep_failures} snapshots could not be written: see the log")
        return Condition(well=not problems, problems=tuple(problems), notes=self._company.notes())

    def metrics(self) -> tuple[bytes, str]:
        """Give the figures for Prometheus."""
        fold, counts = self.fold, self.fold.learning.joiner.counts
        run, kept = fold.learning.prequential, self._snapshots is not None
        return self._metrics.exposed(
            {
                "lag_records": self.lag,
                "next_offset": fold.next_offset,
                "repeats": fold.repeats,
                "undecodable": fold.undecodable,
                "other_schema": fold.other_schema,
                "failed": fold.failed,
                "waiting": fold.learning.joiner.pending,
                "positives": counts.positives,
                "negatives": counts.negatives,
                "rows_learned": run.learner.rows,
                "refused": sum(list(run.refused.values())),
                "auroc": self.figures.auroc if self.figures else None,
                "calibration_error": self.figures.calibration_error if self.figures else None,
                "trees_grown": self._grown,
                "growing_seconds": self._growing_s,
                "snapshot_age_seconds": time.monotonic() - self._kept_at if kept else None,
                "snapshot_next_offset": self._kept_offset if kept else None,
                "snapshot_bytes": self._kept_bytes if kept else None,
                "snapshot_failures": self._keep_failures,
                "snapshots_refused": self._refused,
                "beside_faults": sum(list(fold.beside.faults.values())),
            },
            self.in_force,
        )
