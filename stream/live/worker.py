"""A worker: the stages of one process on Kafka and Redis, what they share, and their health.

Owns the wiring and the order of starting and stopping. Must not know the command line, nor decide anything. It ends
where a stage dies: a supervisor starts another, which goes on where the store says.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import faust

from alerts.gate import GateChange
from connectors.acts.audit import ActNote
from connectors.acts.people import PeopleSettings
from connectors.kafka.admin import check, check_groups
from connectors.kafka.connection import client_options
from connectors.kafka.faults import BrokerError, NotSentError, UnreachableError
from connectors.kafka.outbox import Outbox
from connectors.kafka.topics import CANDIDATES, CONTROL, EVENTS
from connectors.redis.connection import connect
from connectors.redis.identity_store import RedisIdentityStore
from connectors.redis.layout import write_layout
from connectors.redis.partition_store import RedisPartitionStore
from stream.clock import ServiceClock
from stream.identity import Pseudonyms
from stream.live.act_records import ActReader
from stream.live.backlog import Backlog
from stream.live.board import StoredRecords
from stream.live.decisions import DecisionTail
from stream.live.ends import Ends
from stream.live.gates import newest_told, read_gates
from stream.live.holes import look_again
from stream.live.log_history import LogHistory
from stream.live.parse_stage import ParsePartition
from stream.live.patient_stage import PatientCounts, PatientPartition, PatientSettings
from stream.live.progress import Place, Progress, ProgressWatch, Standing
from stream.live.stage import StagePartition
from stream.live.stage_app import Deliver, StageApp
from stream.live.stage_settings import StageObserver, StageSettings
from stream.live.state_delivery import StateDelivery
from stream.live.versions import VersionTail
from stream.live.ward_stage import WardPartition
from stream.live.whereabouts import ward_of
from stream.live_settings import Stage
from stream.record_types import settle_types
from stream.settings import SiteFile

INGEST = ("hl7v2.ingest.v1", "fhir.ingest.v1", "ack.ingest.v1")
SOURCES: dict[Stage, tuple[str, ...]] = {"parse": INGEST, "patient": (EVENTS,), "ward": (CANDIDATES,)}
"""What each stage reads."""
ASKED_S = 60.0
"""How long a stage's thread waits for the event loop's answer; outbox and reader give up long before."""

Answer = TypeVar("Answer")
Name = TypeVar("Name", str, tuple[str, str])


def _credentials(site: SiteFile, password: str) -> Any:
    """Give Faust's form of what aiokafka is given elsewhere; None for a plaintext broker."""
    kafka = site.kafka
    if kafka.security == "plaintext":
        return None
    context = client_options(kafka, password).get("ssl_context")
    if kafka.security == "ssl":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        username=kafka.username, password=password, mechanism=kafka.sasl_mechanism, ssl_context=context
    )


class Secrets:
    """What comes from the environment; its repr says nothing."""

    def __init__(self, kafka: str = "", redis: str = "", pseudonyms: Pseudonyms | None = None) -> None:
        self.kafka = kafka
        self.redis = redis
        self.pseudonyms = pseudonyms or Pseudonyms()

    def __repr__(self) -> str:
        """Say nothing.

        >>> Secrets("a", "b")
        Secrets(…)
        """
        return "Secrets(…)"


class Worker:
    """The stages of one process. Made on the event loop's thread; `start`, `run`, then `stop`."""

    def __init__(
        self,
        site: SiteFile,
        stages: Sequence[Stage],
        secrets: Secrets,
        *,
        code_version: str,
        observer: StageObserver,
        told_act: Callable[[ActNote], None] = lambda _note: None,
    ) -> None:
        """`told_act` hears of every act that somebody hands in."""
        self._site = site
        self._stages = tuple(stages)
        self._secrets = secrets
        self._code_version = code_version
        self._observer = observer
        self._clock = ServiceClock(0)
        self._client = connect(site.redis, secrets.redis)
        self._name = site.live.name or socket.gethostname()
        self._outbox = self._make_outbox(None)
        self._loop = asyncio.get_running_loop()
        self._states = StateDelivery(self._outbox, self._make_outbox, partial(newest_told, site.kafka, secrets.kafka))
        self.decisions = DecisionTail(site.kafka, secrets.kafka)
        self.versions = VersionTail(site.kafka, secrets.kafka, site.live.version_keys)
        self._history = LogHistory(site.kafka, secrets.kafka)
        read = {topic: None for stage in self._stages for topic in SOURCES[stage]}
        waiting = dict.fromkeys(INGEST) if "patient" in self._stages else dict.fromkeys((EVENTS,))
        self._ends = Ends(site.kafka, secrets.kafka, dict.fromkeys((*read, *waiting, CONTROL)))
        self._heard = ProgressWatch("decisions", site.live.progress_s_max)
        self.apps: list[StageApp] = []
        self._parsed: list[Counter[str]] = []
        """What each partition of [parse] that was ever held here has counted."""
        self._warded: list[Counter[str]] = []
        """The same of [ward]."""
        self._beaten: list[Counter[tuple[str, str]]] = []
        """And what it said on signals.v1."""
        self._folded: list[PatientCounts] = []
        """The same of [patient]."""
        self._acts = ActReader(site.people, self._ward_of, told_act)
        self.starting = True

    def _make_outbox(self, transactional: str | None) -> Outbox:
        return Outbox(
            self._site.kafka,
            client_id=f"wardstream.worker.{self._name}",
            password=self._secrets.kafka,
            transactional_id=None if transactional is None else f"wardstream.{transactional}",
        )

    async def start(self) -> None:
        """Connect, catch up with what people decided, join the groups. Raises `BrokerError`, saying what to do."""
        settle_types()
        await check(self._site.kafka, self._secrets.kafka)
        credentials = _credentials(self._site, self._secrets.kafka)
        settings_of = {stage: self._stage_settings(stage, credentials) for stage in self._stages}
        groups = [settings.group for settings in settings_of.values()]
        await check_groups(self._site.kafka, self._secrets.kafka, groups)
        await self._outbox.start()
        await asyncio.to_thread(write_layout, self._client, self._site.redis.prefix, self._partitions)
        await self.versions.start()
        await self.decisions.start()
        for stage, settings in settings_of.items():
            app = StageApp(
                settings,
                self._maker(stage),
                self._deliver(stage),
                self._observer,
                self._clock.now,
                self._ends.of,
                partial(look_again, self._site.kafka, self._secrets.kafka),
            )
            self.apps.append(app)
            await app.start()
        self._ends.start()
        self.starting = False

    @property
    def _partitions(self) -> int:
        return self._outbox.partitions(EVENTS)

    def _stage_settings(self, stage: Stage, credentials: Any) -> StageSettings:
        kafka, live = self._site.kafka, self._site.live
        return StageSettings(
            stage,
            tuple(kafka.prefix + name for name in SOURCES[stage]),
            f"{kafka.prefix}wardstream.{stage}",
            f"{self._name}.{stage}",
            kafka.bootstrap,
            live.batch_records_max,
            live.linger_s,
            live.session_timeout_s,
            live.progress_s_max,
            credentials,
        )

    def _deliver(self, stage: Stage) -> Deliver:
        if stage == "ward":
            return self._states
        return lambda _partition, records: self._outbox.send(records)

    def _maker(self, stage: Stage) -> Callable[[str, int], StagePartition]:
        return {"parse": self._make_parse, "patient": self._make_patient, "ward": self._make_ward}[stage]

    def _make_parse(self, topic: str, number: int) -> StagePartition:
        name = topic.removeprefix(self._site.kafka.prefix)
        identities = RedisIdentityStore(self._client, self._site.redis.prefix)
        partition = ParsePartition(
            name,
            number,
            identities,
            self._site.settings,
            self._secrets.pseudonyms,
            history=self._history,
            acts=self._acts,
        )
        self._parsed.append(partition.counts)
        return partition

    def _ward_of(self, patient: str) -> str | None:
        """Say where the store has a patient at this moment, for who may act on some wards only."""
        records = StoredRecords(self._client, self._site.redis.prefix, self._partitions, self._site.settings)
        return ward_of(records, partial(self._ends.known, self._site.kafka.prefix + EVENTS), patient)

    def _make_patient(self, _topic: str, number: int) -> StagePartition:
        live = self._site.live
        partition = PatientPartition(
            number,
            RedisPartitionStore(self._client, self._site.redis.prefix, "patient", number),
            PatientSettings(
                self._partitions,
                self._code_version,
                live_records_max=live.live_records_max,
                ticks=live.ticks,
                learn=live.learn,
            ),
            versions=self.versions,
            decisions=self.decisions.decisions,
            now=self._clock.now,
            journal=f"{self._site.kafka.prefix}{EVENTS}/{number}",
            behind=self._backlog(),
        )
        self._folded.append(partition.counts)
        return partition

    def _backlog(self) -> Backlog:
        """Watch what waits before [parse], by whomever it is worked."""
        identities = RedisIdentityStore(self._client, self._site.redis.prefix)
        prefix = self._site.kafka.prefix
        return Backlog(
            [(topic, number) for topic in INGEST for number in range(self._partitions)],
            lambda place: self._ends.of(prefix + place[0], place[1]),
            lambda place: identities.watermark(*place),
            self._clock.now,
        )

    def _make_ward(self, _topic: str, number: int) -> StagePartition:
        store = RedisPartitionStore(self._client, self._site.redis.prefix, "ward", number)
        partition = WardPartition(
            number,
            store,
            self.decisions.decisions,
            self._recorded_gates,
            self._newest_told,
            open_way=self._open_way,
            ticks=self._site.live.ticks,
        )
        self._warded.append(partition.counts)
        self._beaten.append(partition.signals)
        return partition

    def _recorded_gates(self, number: int) -> list[GateChange]:
        """Read where the gates stood, from a stage's thread, each time a partition is opened."""
        try:
            return self._asked(read_gates(self._site.kafka, self._secrets.kafka)).get(number, [])
        except BrokerError as fault:
            raise NotSentError("unreachable", str(fault)) from None

    def _newest_told(self, partition: StagePartition) -> int:
        return self._asked(self._states.newest_told(partition))

    def _open_way(self, partition: StagePartition) -> None:
        """Have what a partition of [ward] tells by at hand, from a stage's thread."""
        self._asked(self._states.open_way(partition))

    def _asked(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        """Have the event loop answer a stage's thread; a `NotSentError` says that no answer came in time: ask again."""
        asked = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return asked.result(ASKED_S)
        except TimeoutError:
            asked.cancel()
            raise NotSentError("unreachable", f"Kafka gave no answer within {ASKED_S:g} s") from None

    def use_people(self, people: PeopleSettings) -> None:
        """Let these people act from here on, and nobody else."""
        self._acts.use_people(people)

    async def run(self) -> None:
        """Return when a stage has died, with its fault raised."""
        looking = asyncio.create_task(self.look_at_decisions())
        while True:
            await asyncio.sleep(0.5)
            self.watch()
            looking = asyncio.create_task(self.look_at_decisions()) if looking.done() else looking

    def watch(self) -> None:
        """Note how far everything is; to be called about every second. Raises what a stage has died of."""
        outage = bool(self._ends.problems())
        for app in self.apps:
            app.watch(outage=outage)
            if app.crashed is not None:
                raise app.crashed
        self._heard.look(self._hearing())

    async def look_at_decisions(self) -> None:
        """Where nothing is heard before their end, see whether there are any: a transaction's mark is no record."""
        [(place, at)] = self._hearing().items()
        if (begin := self._heard.unproved_from(place, at)) is None:
            return
        with suppress(UnreachableError):  # `Ends` tells of that
            seen = await look_again(self._site.kafka, self._secrets.kafka, *place, begin)
            if seen is not None and seen.first_from(begin) == seen.end:
                self._heard.emptied(place, at.folded, seen.end)

    def _hearing(self) -> dict[Place, Standing]:
        """Say how far decisions are heard: to a reader that died silently it looks as if nothing were decided."""
        topic = self._site.kafka.prefix + CONTROL
        return {(topic, 0): Standing(self.decisions.reached - 1, self._ends.of(topic, 0), 0)}

    async def stop(self) -> None:
        """Leave the groups and close."""
        await asyncio.gather(*(app.stop() for app in self.apps), return_exceptions=True)
        await self._ends.stop()
        await self.decisions.stop()
        await self.versions.stop()
        await self._states.stop()
        await self._outbox.stop()

    def problems(self) -> list[str]:
        """Say what is wrong."""
        found = ["starting"] if self.starting else []
        for app in self.apps:
            found += app.problems()
        found += self._heard.stuck(self._hearing())
        applied = max(
            (one.decided for app in self.apps for one in app.partitions if isinstance(one, PatientPartition)), default=0
        )
        return [*found, *self._ends.problems(), *self.versions.problems(), *self.decisions.problems(applied)]

    def dead(self) -> list[str]:
        """Say what nothing but a new process mends."""
        outage = bool(self._ends.problems())
        unheard = [] if outage else self._heard.stuck(self._hearing())
        return [*(problem for app in self.apps for problem in app.dead(outage=outage)), *unheard]

    def progress(self) -> list[Progress]:
        """Give how far each partition is that this process holds."""
        return [one for app in self.apps for one in app.progress()]

    def parsed(self) -> Counter[str]:
        """Give how many messages [parse] accepted, found to be duplicates, refused."""
        return _total(self._parsed)

    def warded(self) -> Counter[str]:
        """Give what [ward] did with candidates, and with the alerts that it remembers."""
        return _total(self._warded)

    def unheeded(self) -> Counter[str]:
        """Give how many limits changed nothing, by why."""
        return _total([one.unheeded for one in self._folded])

    def signals(self) -> Counter[tuple[str, str]]:
        """Give how many signals were written, by kind and state."""
        return _total([*(one.signals for one in self._folded), *self._beaten])

    def acts_folded(self) -> Counter[str]:
        """Give what became of what people decided of patients, by outcome."""
        return _total([one.acts for one in self._folded])

    def refused_versions(self) -> Counter[str]:
        """Give how many records of `models.v1` were refused, by reason."""
        return self.versions.refused.copy()

    def refused_decisions(self) -> Counter[str]:
        """Give how many records of `control.v1` do not count, by reason."""
        return Counter({str(fault): count for fault, count in self.decisions.decisions.book.refusals.items()})


def _total(counted: Sequence[Counter[Name]]) -> Counter[Name]:
    total: Counter[Name] = Counter()
    for counts in list(counted):
        total.update(dict(counts))
    return total
