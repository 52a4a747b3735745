"""Claims about topic subscriptions (the R5 backport to R4) on HAPI's JPA server: numbered notifications, either way."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest

from connectors.fhir_sources.receiving import HookHearer
from tests.connectors.fhir_sources.test_hapi_subscriptions import Subscribed
from tests.fhir_server.servers import HapiServer, free_port

EXTENSION = "StructureDefinition/extension-SubscriptionTopic"


class Kinds(HookHearer):
    """Keeps what kinds of deliveries came."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def notified(self, kind: str) -> None:
        """Keep it."""
        self.kinds.append(kind)


def topic(name: str) -> dict[str, Any]:
    """Give a topic of all Observations as HAPI keeps it for R4: a Basic with extensions of later versions."""
    trigger = [{"url": "resource", "valueUri": "Observation"}]
    trigger += [{"url": "supportedInteraction", "valueString": one} for one in ("create", "update")]
    return {
        "resourceType": "Basic",
        "id": name,
        "extension": [
            {"url": f"http://hl7.org/fhir/5.0/{EXTENSION}.url", "valueUri": f"http://topic.invalid/{name}"},
            {"url": f"http://hl7.org/fhir/5.0/{EXTENSION}.title", "valueString": "observations"},
            {"url": f"http://hl7.org/fhir/4.3/{EXTENSION}.resourceTrigger", "extension": trigger},
        ],
        "modifierExtension": [{"url": f"http://hl7.org/fhir/5.0/{EXTENSION}.status", "valueString": "active"}],
        "code": {"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}]},
    }


@pytest.mark.asyncio
@pytest.mark.parametrize("content", ["full-resource", "id-only"])
async def test_a_topic_is_told_in_numbered_notifications(
    jpa_server: HapiServer, tmp_path: Path, content: Literal["full-resource", "id-only"]
) -> None:
    """What changes is taken, carried or only named; HAPI may deliver out of order, and a gap told then is no harm."""
    name = jpa_server.unique("topic")
    await asyncio.to_thread(jpa_server.put, topic(name))
    hearer = Kinds()
    made = Subscribed(jpa_server, tmp_path, hearer=hearer)
    made.port = free_port()
    # HAPI takes no topic subscription without a filter.
    await made.open(
        style="topic", topic=f"http://topic.invalid/{name}", filters=("Observation?",), content=content, criteria=()
    )
    try:
        await made.until_active()
        first, values = jpa_server.unique("first"), count(60)

        async def told() -> bool:
            # HAPI knows a new topic only after a while, and says nothing until then; nor of what did not change.
            await asyncio.to_thread(made.put, first, next(values))
            return bool(hearer.kinds)

        await made.until(told)
        names = [jpa_server.unique("event") for _ in range(3)]
        for one in names:
            await asyncio.to_thread(made.put, one)
            await made.until_taken(one)
        assert set(hearer.kinds) <= {"handshake", "event-notification"}
        assert hearer.kinds.count("event-notification") >= len(names)
        assert (await made.reconciler.go_round()).steps == {"keep": 1}
    finally:
        await made.server.stop(1)
        await made.client.close()
