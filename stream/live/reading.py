"""What the live service answers when it is asked: health, patients, alerts, feeds, metrics. One gateway's view.

Owns where each answer is read and the conditions of readiness. Must not know HTTP. It decides nothing and holds nothing
that is not in Kafka or Redis: another gateway, or this one after a restart, answers alike.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from alerts.contract import AlertEvent, from_json
from alerts.limits import PatientLimits
from alerts.monitoring import decode_signal
from connectors.http.faults import busy
from connectors.http.ports import Condition, NumberedAlert
from connectors.kafka.faults import BrokerError
from connectors.kafka.reading import KafkaRecord, log_range, read_topic
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import ALERT_STATES, ALERTS, EVENTS, SCORES, SIGNALS, SUPPRESSED
from connectors.redis.connection import RedisConnectionError, connect
from connectors.redis.settings import RedisSettings
from events import MILLIS_PER_HOUR, MILLIS_PER_SECOND, Millis
from features.store import StoreFault
from stream.board import LIVE_STATES, event_name
from stream.clock import ServiceClock
from stream.effects import Effect, decode_score, decode_suppression
from stream.feeds import Feeds
from stream.live.alert_window import SALTS, WINDOW_EVENTS_MAX, WINDOW_MS, AlertWindow
from stream.live.board import LiveBoard, StoredRecords
from stream.live.following import Follower
from stream.live.progress import Place, ProgressWatch, Standing
from stream.metrics import SIGNALS_TEXT, IntakeMetrics
from stream.newest_alert import NewestAlert
from stream.records import UnreadableRecordError
from stream.settings import Settings

SCORES_MS = 12 * MILLIS_PER_HOUR
"""How far back scores are read at the start: NEWS2's longest interval between two charts (RCP 2017)."""
SIGNALS_MS = 72 * MILLIS_PER_HOUR
"""How far back signals are read at the start, within `SIGNALS_MAX` records. One that has stood for longer is not on the
board of a gateway started since; it is on signals.v1."""
SIGNALS_MAX = 100_000
"""Two heartbeats a minute of each partition: of 16, two days; a few seconds of reading."""
SCORES_MAX = 50_000
"""So many of them at the most, a second or two of reading; older ones are shown by the patient's state alone."""
CAUGHT_UP_S = 1.0
"""How long somebody waits for records to be folded that may be of whom he asks for; then he is told to try again."""
CAUGHT_UP_LOOK_S = 0.1
"""Each look asks the store for every partition."""
WATCH_S = 5.0
"""How often the broker, Redis and the fold are looked at."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, KeyError, ValueError)
"""What bytes that are no output of this release come to."""


class LiveReading:
    """Answers for one gateway; see `connectors.http.ports.Reading`. Used on the event loop."""

    def __init__(
        self,
        kafka: KafkaSettings,
        redis: RedisSettings,
        settings: Settings,
        *,
        kafka_password: str,
        redis_password: str,
        now: Callable[[], Millis],
        clock: ServiceClock,
        feeds: Feeds,
        metrics: IntakeMetrics,
        behind_s_max: float,
    ) -> None:
        self._kafka = kafka
        self._password = kafka_password
        self._redis = redis
        self._redis_password = redis_password
        self._settings = settings
        self._now = now
        self._clock = clock
        self._feeds = feeds
        self._metrics = metrics
        self._behind_s_max = behind_s_max
        self._loop = asyncio.get_running_loop()
        self._window = AlertWindow(secrets.randbelow(SALTS))
        self._board: LiveBoard | None = None
        self._records: StoredRecords | None = None
        self._early: list[Effect] | None = []
        """What was heard before the store could be reached."""
        self._newest = NewestAlert()
        self._followers = {
            topic: Follower(kafka, kafka_password, topic, take)
            for topic, take in (
                (ALERTS, self._hear_alert),
                (SCORES, self._hear_score),
                (SUPPRESSED, self._hear_suppression),
                (SIGNALS, self._hear_signal),
            )
        }
        self._watch: asyncio.Task[None] | None = None
        self._faults: dict[str, str] = {}
        self._behind_since: float | None = None
        self._behind_records = 0
        self._progress = ProgressWatch("workers", behind_s_max)
        self._standings: dict[Place, Standing] = {}
        self._unreadable = metrics.counter("unreadable_outputs", "Outputs that are none of this release.", "topic")
        self._signals = metrics.counter("signals", SIGNALS_TEXT, "kind", "state")
        self._behind = metrics.gauge("behind_records", "Records of the log that no worker has folded yet.")
        self.hear_score: Callable[[KafkaRecord], None] = lambda _record: None
        """Hears every score as it comes; the canary's."""
        self.extra_problems: list[Callable[[], Sequence[str]]] = []
        """What else can keep the gateway from being ready: the intake, the canary."""
        self.stopping = False
        metrics.on_scrape(self._refresh)

    # -- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read what there is, then follow what comes. Raises `BrokerError`."""
        await self._connect()
        await self._read_open_alerts()
        at = self._now()
        reached = await self._followers[ALERTS].start(at - WINDOW_MS, WINDOW_EVENTS_MAX)
        self._window.begin_at(reached)
        await self._followers[SCORES].start(at - SCORES_MS, SCORES_MAX)
        await self._followers[SUPPRESSED].start()
        await self._followers[SIGNALS].start(at - SIGNALS_MS, SIGNALS_MAX)
        if self._board is not None:
            self._board.forget_counts()
        await self._look()
        self._watch = asyncio.create_task(self._watch_forever(), name="watch")

    async def stop(self) -> None:
        """Follow no more."""
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(*(follower.stop() for follower in self._followers.values()))

    async def _connect(self) -> None:
        """Open the store; a gateway without it takes messages all the same, and shows no board."""
        if self._board is not None:
            return
        try:
            client = await asyncio.to_thread(connect, self._redis, self._redis_password)
        except RedisConnectionError as fault:
            self._faults["store"] = str(fault)
            return
        self._faults.pop("store", None)
        self._records = StoredRecords(client, self._redis.prefix, self._kafka.partitions, self._settings)
        self._board = LiveBoard(self._records)
        self._board.take(self._early or ())
        self._early = None

    async def _read_open_alerts(self) -> None:
        newest: dict[bytes, KafkaRecord] = {}
        async for record in read_topic(self._kafka, ALERT_STATES, password=self._password):
            if record.value is None:
                newest.pop(record.key, None)
            else:
                newest[record.key] = record
        events = [event for record in newest.values() if (event := self._read_alert(record)) is not None]
        self._take([event for event in events if event.state in LIVE_STATES])

    # -- hearing ----------------------------------------------------------------------------------------------------

    def _take(self, effects: Sequence[Effect]) -> None:
        if self._board is not None:
            self._board.take(effects)
        elif self._early is not None and len(self._early) < SCORES_MAX:
            self._early.extend(effects)

    def _hear_alert(self, record: KafkaRecord) -> None:
        event = self._read_alert(record)
        if event is None:
            return
        if self._window.add(record, event.event_id, event_name(event.state, event.disposition)):
            self._take([event])
            self._newest.announce(self._window.newest)

    def _read_alert(self, record: KafkaRecord) -> AlertEvent | None:
        try:
            return from_json(record.value or b"")
        except UNREADABLE:
            self._unreadable.labels(ALERTS).inc()
            return None

    def _hear_score(self, record: KafkaRecord) -> None:
        self.hear_score(record)
        try:
            self._take([decode_score(record.value or b"")])
        except UNREADABLE:
            self._unreadable.labels(SCORES).inc()

    def _hear_signal(self, record: KafkaRecord) -> None:
        try:
            signal = decode_signal(record.value or b"")
        except UNREADABLE:
            self._unreadable.labels(SIGNALS).inc()
            return
        self._signals.labels(signal.kind, signal.state).inc()
        self._take([signal])

    def _hear_suppression(self, record: KafkaRecord) -> None:
        try:
            self._take([decode_suppression(record.value or b"")])
        except UNREADABLE:
            self._unreadable.labels(SUPPRESSED).inc()

    # -- conditions -------------------------------------------------------------------------------------------------

    def live(self) -> Condition:
        """Say whether the process works at all: what it stands on may be away all the same."""
        died = self._watch is not None and self._watch.done() and not self.stopping
        return Condition(not died, ("the watch has died",) if died else ())

    def ready(self) -> Condition:
        """Say whether messages are taken in and what is put out can be read."""
        problems = list(self.live().problems)
        if self.stopping:
            problems.append("stopping")
        problems += [text for _, text in sorted(self._faults.items())]
        problems += [f"{topic} is not followed: {one.fault}" for topic, one in self._followers.items() if one.fault]
        for more in self.extra_problems:
            problems += more()
        if (since := self._behind_since) is not None and self._loop.time() - since > self._behind_s_max:
            problems.append(f"workers are behind the log by {self._behind_records} records: see their health")
        problems += self._progress.stuck(self._standings)
        if self._clock.trouble == "ahead":
            problems.append(
                "the machine's clock jumped ahead and is not believed: set it right, or restart the gateway"
            )
        elif self._clock.trouble == "behind":
            behind_s = self._clock.offset_ms // MILLIS_PER_SECOND
            problems.append(f"the machine's clock is {behind_s} s behind: ages are too high until it catches up")
        return Condition(not problems, tuple(problems))

    async def _watch_forever(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            await self._connect()
            await self._look()

    async def _look(self) -> None:
        """Look at the broker, the store, and how far the fold is behind the log."""
        try:
            ends = await self._log_ends()
            self._faults.pop("broker", None)
        except BrokerError as fault:
            self._faults["broker"] = str(fault)
            return
        if self._records is None:
            return
        try:
            watermarks = await asyncio.to_thread(self._records.watermarks)
            self._faults.pop("store", None)
        except StoreFault as fault:
            self._faults["store"] = str(fault)
            return
        behind = _owed(ends, watermarks)
        if not behind or behind < self._behind_records:  # it gets on
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = self._loop.time()
        self._behind_records = behind
        # By themselves too: what is behind in all also falls where one partition stands still and the others get on.
        self._standings = {(EVENTS, n): Standing(mark, ends.get(n, 0), 0) for n, mark in enumerate(watermarks)}
        self._progress.look(self._standings)
        if self._board is not None:
            self._board.behind_records = behind

    # -- answers ----------------------------------------------------------------------------------------------------

    @property
    def board(self) -> LiveBoard:
        """The board; refused to who asks while the store cannot be reached."""
        if self._board is None:
            raise busy("the online feature store cannot be reached")
        return self._board

    async def patients(self, ward: str | None) -> bytes:
        """Give the patients who are here."""
        try:
            return await self.board.patients(self._now(), ward)
        except StoreFault:
            raise busy("the online feature store cannot be reached") from None

    def signals(self, wards: Collection[str]) -> bytes:
        """Give the newest signals of some wards."""
        return msgspec.json.encode(self.board.signals.shown(*wards))

    async def patient(self, key: str) -> bytes | None:
        """Give one patient."""
        try:
            return await self.board.patient(key, self._now())
        except StoreFault:
            raise busy("the online feature store cannot be reached") from None

    async def ward_of(self, key: str) -> str | None:
        """Say on which ward a patient lies, as the store has him at this moment."""
        if self._records is None:
            raise busy("the online feature store cannot be reached")
        try:
            record = await asyncio.to_thread(self._records.read_one, key)
        except (StoreFault, UnreadableRecordError):
            raise busy("the online feature store cannot be reached") from None
        return None if record is None else record.state.location.ward

    async def caught_up(self) -> bool:
        """Say whether all that lies in the log by now is folded, after waiting a moment; False where nobody can say."""
        if self._records is None:
            return False
        until = self._loop.time() + CAUGHT_UP_S
        try:
            ends = await self._log_ends()
            while _owed(ends, await asyncio.to_thread(self._records.watermarks)):
                if self._loop.time() > until:
                    return False
                await asyncio.sleep(CAUGHT_UP_LOOK_S)
        except (BrokerError, StoreFault):
            return False
        return True

    async def _log_ends(self) -> dict[int, int]:
        """Give where each partition of the log ends; raises `BrokerError`."""
        ranges = await log_range(self._kafka, EVENTS, password=self._password)
        return {partition: end for partition, (_, end) in ranges.items()}

    async def limits_of(self, key: str) -> PatientLimits:
        """Give a patient's limits as the store has them; none without it: the fold says what it ignores."""
        if self._records is None:
            return PatientLimits()
        try:
            record = await asyncio.to_thread(self._records.read_one, key)
        except (StoreFault, UnreadableRecordError):
            return PatientLimits()
        return PatientLimits() if record is None or record.limits is None else record.limits

    async def open_alerts(self) -> bytes:
        """Give the newest event of every open alert."""
        return self.board.open_alerts(self._now())

    async def alerts(self, after: int, limit: int) -> list[NumberedAlert]:
        """Give alert events above a number, as far as the window reaches."""
        return self._window.after(after, limit)

    async def reaches(self, after: int) -> bool:
        """Say whether the window reaches back to a number."""
        return self._window.reaches(after)

    async def newest_alert(self) -> int:
        """Give the number of the newest alert event."""
        return self._window.newest

    async def wait_for_alert(self, after: int, timeout_s: float) -> bool:
        """Wait for an alert event above a number."""
        return await self._newest.wait(after, timeout_s)

    async def feeds(self) -> bytes:
        """Give each feed's health, as this gateway has heard it."""
        return self._feeds.document(self._now(), None if self._board is None else self._board.signals.by_feed())

    def metrics(self) -> tuple[bytes, str]:
        """Give the metrics."""
        return self._metrics.expose()

    def _refresh(self) -> None:
        metrics = self._metrics
        metrics.clock_offset.set(self._clock.offset_ms / MILLIS_PER_SECOND)
        metrics.clock_steps.set(self._clock.steps)
        metrics.measure_feeds(self._now())
        self._behind.set(self._behind_records)
        if self._board is not None:
            metrics.patients.set(self._board.present)


def _owed(ends: Mapping[int, int], watermarks: Sequence[int]) -> int:
    """Count the records of the log that are not folded yet.

    >>> _owed({0: 5, 1: 3}, [4, 0])
    2
    """
    return sum(max(0, ends.get(number, 0) - 1 - mark) for number, mark in enumerate(watermarks))
