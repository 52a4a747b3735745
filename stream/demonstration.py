"""The demo's traffic: one simulated hospital that speaks HL7 v2 over MLLP and FHIR over HTTP at once, in one order.

Owns which message goes which way, and the sending. Must not know how anything is shown. Patient administration and
bedside charts go as HL7 v2; the laboratory speaks FHIR and names patients by its own server's ids, which a Patient
resource ties to the hospital's numbers: the identity map joins the two.

The order of the hospital is kept across both ways, so that the same seed gives the same log and the same alerts: a run
of messages on one way is acknowledged before the other way goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import groupby
from typing import Literal, NamedTuple

from connectors.decoded import Refusal
from connectors.fhir.render import render_bundle, render_patient
from connectors.hospital import Hospital, Story, as_fhir, as_hl7
from connectors.hospital.charting import LAB_UNITS
from connectors.http.client import FhirClient
from connectors.mllp.client import MllpClient
from connectors.sources.arrival import Arrival
from events import MILLIS_PER_MINUTE, Millis

NAMING = frozenset({"A01", "A40"})
"""Messages after which a patient goes by another number: the laboratory's server is told whom that means."""
WINDOW = 64
"""Messages in flight: one group commit takes them all."""


class Step(NamedTuple):
    """One message of the demo."""

    way: Literal["mllp", "http"]
    sent_time: Millis
    data: bytes


class Refused(RuntimeError):  # noqa: N818 - the service refused what our own hospital sent: our bug
    """A message of the simulated hospital was not taken."""


def demo_steps(seed: int, beds: int, hours: float) -> Iterator[Step]:
    """Give the hospital's messages in order.

    >>> [step.way for step in demo_steps(1, 1, 6)][:2]
    ['mllp', 'http']
    """
    for story in Hospital(seed=seed, beds=beds, hours=hours):
        if story.kind == "outcome":
            continue
        if is_laboratory(story):
            bundle = as_fhir(story)
            assert bundle is not None
            yield Step("http", story.sent_time, bundle)
            continue
        message = as_hl7(story)
        assert message is not None
        yield Step("mllp", story.sent_time, message)
        if story.trigger in NAMING:
            yield Step("http", story.sent_time, _introduce(story))


def is_laboratory(story: Story) -> bool:
    """Say whether a story is the laboratory's, which speaks FHIR."""
    return story.kind == "oru" and story.results[0].coding[1] in LAB_UNITS


def _introduce(story: Story) -> bytes:
    """Tell the laboratory's server who a patient is: its own id beside the hospital's number."""
    person = render_patient(
        patient=story.patient, patient_id=story.patient.value, birth_date=story.birth_date, sex=story.sex,
        deceased=story.deceased, last_updated=story.sent_time,
    )  # fmt: skip
    return render_bundle([person])


def stamp_as_sent(arrival: Arrival, _now: Millis) -> Millis:
    """Stamp a message with the time the hospital sent it: the demo's time is the hospital's."""
    sent = arrival.decoded.sent_time
    assert sent is not None or isinstance(arrival.decoded, Refusal)
    return sent or 0


class Sender:
    """Sends steps to one service and waits for every acknowledgement."""

    def __init__(self, mllp: MllpClient, fhir: FhirClient) -> None:
        self._mllp = mllp
        self._fhir = fhir
        self.sent = 0

    async def send(
        self,
        steps: Iterator[Step],
        *,
        ready: Callable[[Millis], Awaitable[None]] | None,
        advanced: Callable[[int, Millis], None],
    ) -> None:
        """Send all; `ready` is awaited before each minute of the hospital, `advanced` hears how many are sent by when.

        Raises `Refused` where the service does not take a message.
        """
        for (way, minute), run in groupby(
            steps, key=lambda step: (step.way, step.sent_time // MILLIS_PER_MINUTE if ready is not None else 0)
        ):
            if ready is not None:
                await ready(minute * MILLIS_PER_MINUTE)
            batch, last = [], 0
            for step in run:
                batch.append(step.data)
                last = step.sent_time
            if way == "mllp":
                async for acknowledged in self._mllp.send_all(batch):
                    if not acknowledged.stored:
                        raise Refused(acknowledged.code)
            else:
                for bundle in batch:
                    posted = await self._fhir.send(bundle)
                    if not posted.stored:
                        raise Refused(str(posted.status))
            self.sent += len(batch)
            advanced(self.sent, last)
