"""The canary: a patient who is nobody, charted each minute through the whole path, so that silence is heard.

Owns his messages, when they are sent and how long his score may take. Must not know how a message is stored or scored:
it goes in where an engine's would, over MLLP, and is looked for on `scores.v1`, where a ward's would be.

His vital signs are normal (NEWS2 0), so he pages nobody; he lies on a ward of his own, `canary`.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.kafka.reading import KafkaRecord
from connectors.mllp.client import MllpClient, MllpClientError
from events import MILLIS_PER_MINUTE, Location, Millis
from stream.identity import Pseudonyms
from stream.metrics import IntakeMetrics

AUTHORITY = "WARDSTREAM-CANARY"
"""No hospital's: his identifier can meet nobody's."""
WARD = "canary"
FEED = "WARDSTREAM|CANARY"
INTERVAL_S = 60.0
ANSWER_S = 20.0
"""How long his acknowledgement may take; the gateway answers within that, well or not."""
REMEMBERED_MAX = 64
"""Messages on their way: an hour of them. A score that comes later still than that is not told apart from none."""
VITALS = (
    ("9279-1", 16.0, "/min"),
    ("59408-5", 98.0, "%"),
    ("8480-6", 128.0, "mm[Hg]"),
    ("8867-4", 72.0, "/min"),
    ("8310-5", 36.8, "Cel"),
    ("3150-6", 21.0, "%"),
)
"""LOINC codes and values, in UCUM: NEWS2 0 with the coded consciousness."""
ALERT_ANSWER = ("67775-7", ("loinc", "LA9340-6"), "")
"""ACVPU: alert."""


class _MessageId(msgspec.Struct):
    message_id: str = ""


_read = msgspec.json.Decoder(_MessageId).decode


class Canary:
    """One gateway's canary. Used on the event loop.

    `problems` says when no score has come for `late_s_max`. Its clock is the machine's elapsed time, so that a jump of
    the wall clock is no alarm.
    """

    def __init__(
        self,
        name: str,
        pseudonyms: Pseudonyms,
        now: Callable[[], Millis],
        metrics: IntakeMetrics,
        *,
        late_s_max: float,
        interval_s: float = INTERVAL_S,
        told: Callable[[str, str], None] = lambda _event, _why: None,
    ) -> None:
        """`name` is the gateway's: each has a canary of its own. `told` hears `canary_lost` and `canary_back`."""
        self._patient = Identifier(AUTHORITY, re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "gateway")
        self._key = pseudonyms.of("patient", AUTHORITY, self._patient.value).encode()
        self._now = now
        self._late_s_max = late_s_max
        self._interval_s = interval_s
        self._told = told
        self._sent: OrderedDict[str, float] = OrderedDict()
        """By message id, when: those whose score is waited for."""
        self._admitted = False
        self._heard_at = time.monotonic()
        self._fault = ""
        self._lost = False
        self._task: asyncio.Task[None] | None = None
        self._dial: Callable[[], Awaitable[socket.socket]] | None = None
        self._age = metrics.gauge("canary_silent_seconds", "How long the canary's score has not come through.")
        self._seconds = metrics.gauge("canary_seconds", "How long the canary's newest score took, from being sent.")
        self._rounds = metrics.counter("canary_rounds", "Rounds of the canary.", "outcome")
        metrics.on_scrape(lambda: self._age.set(self.silent_s))

    @property
    def silent_s(self) -> float:
        """How long ago his last score came, or he began."""
        return time.monotonic() - self._heard_at

    def problems(self) -> Sequence[str]:
        """Say that he has not come through, where he has not."""
        if self.silent_s <= self._late_s_max:
            return ()
        why = f" ({self._fault})" if self._fault else ""
        return (f"the canary has not come through for {self.silent_s:.0f} s{why}: no score may reach anybody",)

    def start(self, host: str, port: int, dial: Callable[[], Awaitable[socket.socket]] | None = None) -> None:
        """Begin; his messages go to where MLLP listens, or by `dial`: he has no certificate to show."""
        self._heard_at = time.monotonic()
        self._dial = dial
        self._task = asyncio.create_task(self._fly(host, port), name="canary")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hear(self, record: KafkaRecord) -> None:
        """Hear of a score; of anybody else's nothing but the key is looked at."""
        if record.key != self._key:
            return
        try:
            name = _read(record.value or b"").message_id
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        sent = self._sent.pop(name, None)
        if sent is None:
            return  # an earlier process's, or a repeat
        self._heard_at = time.monotonic()
        self._seconds.set(self._heard_at - sent)
        self._rounds.labels("scored").inc()
        if self._lost:
            self._lost = False
            self._told("canary_back", "")

    async def _fly(self, host: str, port: int) -> None:
        while True:
            await self._send(host, port)
            await asyncio.sleep(self._interval_s)
            if self.problems() and not self._lost:
                self._lost = True
                self._told("canary_lost", self._fault)

    async def _send(self, host: str, port: int) -> None:
        """Send one round; what goes wrong is told by `problems` in time, for the next round may do."""
        at = self._now()
        messages = [*([] if self._admitted else [self._admission(at)]), self._chart(at)]
        client = MllpClient(host, port, ack_timeout_s=ANSWER_S, dial=self._dial)
        self._sent[f"canary-{at}"] = time.monotonic()
        while len(self._sent) > REMEMBERED_MAX:
            self._sent.popitem(last=False)
            self._rounds.labels("lost").inc()
        try:
            await client.open()
            answers = [answer async for answer in client.send_all(messages)]
        except (MllpClientError, OSError) as error:
            self._fault = f"the gateway's own MLLP does not answer: {type(error).__name__}"
        else:
            refused = [answer.code for answer in answers if not answer.stored]
            self._fault = f"his message was answered {refused[0]}" if refused else ""
            self._admitted = self._admitted or not refused
        finally:
            await client.close()

    def _admission(self, at: Millis) -> bytes:
        return render_adt(
            "A01",
            control_id=f"canary-a-{at}",
            sent_time=at,
            feed=FEED,
            patient=self._patient,
            event_time=at,
            encounter=f"{self._patient.value}-1",
            location=Location(WARD, "1", "1"),
            birth_date="1970-01-01",
            sex="other",
        )

    def _chart(self, at: Millis) -> bytes:
        results = [Result(code=code, value=value, unit=unit) for code, value, unit in (*VITALS, ALERT_ANSWER)]
        return render_oru(
            control_id=f"canary-{at}",
            sent_time=at,
            feed=FEED,
            patient=self._patient,
            encounter=f"{self._patient.value}-1",
            location=Location(WARD, "1", "1"),
            observed_time=at - at % MILLIS_PER_MINUTE if at % MILLIS_PER_MINUTE else at,
            order=f"canary-{at}",
            results=results,
        )
