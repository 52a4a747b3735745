"""A gateway as a process, messages for it, and what is on the topics then: what the gateway's tests share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_oru
from connectors.kafka.reading import KafkaRecord, read_topic
from connectors.kafka.settings import KafkaSettings
from connectors.mllp.client import Acknowledged, MllpClient, MllpClientError, control_id_of
from connectors.redis.settings import RedisSettings
from events import Location
from tests.listening import WITHIN_S, ListeningProcess

AT = 1_767_225_600_000
HL7 = "hl7v2.ingest.v1"
LETTERS = "deadletters.v1"


class GatewayProcess(ListeningProcess):
    """One `wardstream gateway`."""

    def __init__(
        self, folder: Path, kafka: KafkaSettings, redis: RedisSettings, *, people: str = "", **live: Any
    ) -> None:
        """`people` is added to its configuration: who may act."""
        self.config = config = configure(folder, kafka, redis, canary=False, name="g1", **live)
        config.write_text(config.read_text() + people)
        super().__init__(("gateway", "--config", str(config)), folder / "gateway.log")


def configure(folder: Path, kafka: KafkaSettings, redis: RedisSettings, **live: Any) -> Path:
    """Write a wardstream.toml for a process; give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, dict[str, Any]] = {
        "kafka": {"bootstrap": kafka.bootstrap, "prefix": kafka.prefix, "partitions": kafka.partitions},
        "redis": {"host": redis.host, "port": redis.port, "prefix": redis.prefix},
        "live": live,
        "service": {"mllp_port": 0, "http_port": 0},
    }
    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    config = folder / "wardstream.toml"
    config.write_text("\n".join(lines) + "\n")
    return config


def chart(number: int, *, feed: str = "MON|W", mrn: str = "42", at: int = AT) -> bytes:
    """Render a message; its control id is `number`."""
    return render_oru(
        control_id=str(number),
        sent_time=at + number * 1_000,
        feed=feed,
        patient=Identifier("MRN", mrn),
        encounter="V1",
        location=Location("Ward A", "1", "12"),
        observed_time=at + number * 1_000,
        order=f"O{number}",
        results=[Result(code="8867-4", value=72.0, unit="/min")],
    )


async def send(port: int, messages: Sequence[bytes], window: int = 8) -> list[Acknowledged]:
    """Send over MLLP; give what was answered, in order, as far as answers came."""
    answers: list[Acknowledged] = []
    client = MllpClient("127.0.0.1", port, window=window)
    try:
        await client.open()
        async for answer in client.send_all(messages):
            answers.append(answer)  # noqa: PERF401 - what came before it broke counts
    except MllpClientError:
        pass
    finally:
        await client.close()
    return answers


async def read(kafka: KafkaSettings, topic: str) -> list[KafkaRecord]:
    """Give all records of a topic; a partition's in order."""
    async with asyncio.timeout(WITHIN_S):
        return [record async for record in read_topic(kafka, topic)]


def numbers(records: Sequence[KafkaRecord], feed: str) -> list[int]:
    """Give the control ids of a sender's records, in the order in which they lie."""
    return [int(control_id_of(record.value or b"")) for record in records if record.key == feed.encode()]


def is_subsequence(wanted: Sequence[int], found: Sequence[int]) -> bool:
    """Say whether all that is wanted is there, in its order, whatever lies between."""
    coming = iter(found)
    return all(one in coming for one in wanted)
