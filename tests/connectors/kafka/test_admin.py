"""Topics are created as declared, and one that is there otherwise is refused with what to do."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connectors.kafka.admin import check, declare, inspect, open_admin, partition_counts
from connectors.kafka.faults import BrokerError, WrongTopicError
from connectors.kafka.outbox import Outbox
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import TOPICS
from tests.connectors.kafka.conftest import UNTIL_S


async def create(settings: KafkaSettings, name: str, partitions: int, **config: str) -> None:
    async with open_admin(settings) as client:
        assert isinstance(client, AIOKafkaAdminClient)
        await client.create_topics([NewTopic(settings.prefix + name, partitions, 1, topic_configs=config)])
    async with asyncio.timeout(UNTIL_S):
        while name not in await partition_counts(settings):
            continue


@pytest.mark.asyncio
async def test_declaring_twice_creates_once(kafka: KafkaSettings) -> None:
    """The first declaration creates every topic, the second changes nothing, and the check agrees."""
    assert {change.action for change in await declare(kafka)} == {"created"}
    assert {change.action for change in await declare(kafka)} == {"as declared"}
    assert len(await check(kafka)) == len(TOPICS)
    counts = await partition_counts(kafka)
    assert counts["events.v1"] == kafka.partitions
    assert counts["control.v1"] == 1


@pytest.mark.asyncio
async def test_a_missing_topic_is_named(declared: KafkaSettings) -> None:
    """The check names a topic that is gone, says how to create it, and creates nothing itself."""
    async with open_admin(declared) as client:
        await client.delete_topics([declared.prefix + "gates.v1"])
    async with asyncio.timeout(UNTIL_S):
        while "gates.v1" in await partition_counts(declared):
            continue
    with pytest.raises(WrongTopicError, match=r"gates\.v1 is missing: .*topics declare") as caught:
        await check(declared)
    assert str(caught.value).count("\n") == 0
    assert "gates.v1" not in await partition_counts(declared)


@pytest.mark.asyncio
async def test_a_wrong_partition_count_is_refused(kafka: KafkaSettings) -> None:
    """A topic with another number of partitions is named with both numbers; it is never added to, even with `alter`."""
    await create(kafka, "events.v1", 3)
    with pytest.raises(WrongTopicError, match=r"events\.v1 has 3 partitions, 4 wanted .*set kafka\.partitions to 3"):
        await declare(kafka, alter=True)
    assert (await partition_counts(kafka))["events.v1"] == 3


@pytest.mark.asyncio
async def test_a_second_partition_of_the_decisions_is_refused(kafka: KafkaSettings) -> None:
    """What people decided has one order: control.v1 with two partitions is refused."""
    await create(kafka, "control.v1", 2)
    with pytest.raises(WrongTopicError, match=r"control\.v1 has 2 partitions, 1 wanted: its one partition"):
        await declare(kafka)


@pytest.mark.asyncio
async def test_too_short_a_retention_is_refused_until_it_is_altered(kafka: KafkaSettings) -> None:
    """A shorter retention is named; `alter` puts it right and keeps what else was set on the topic."""
    await create(kafka, "events.v1", kafka.partitions, **{"retention.ms": "3600000", "flush.messages": "7"})
    with pytest.raises(WrongTopicError, match=r"events\.v1 has retention\.ms=3600000, 3888000000 wanted"):
        await declare(kafka)
    assert {c.declaration.topic.name for c in await declare(kafka, alter=True) if c.action == "altered"} == {
        "events.v1"
    }
    async with open_admin(kafka) as client:
        from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

        name = kafka.prefix + "events.v1"
        answers = await client.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, {"flush.messages": None})]
        )
    entries = answers[0].to_object()["resources"][0]["config_entries"]
    assert [entry["config_value"] for entry in entries] == ["7"]


@pytest.mark.asyncio
async def test_a_longer_retention_is_no_fault(declared: KafkaSettings) -> None:
    """A site that keeps its records longer than configured is not told off."""
    shorter = msgspec.structs.replace(declared, events_days=30.0, outputs_days=30.0)
    assert {change.action for change in await inspect(shorter)} == {"as declared"}


@pytest.mark.asyncio
async def test_a_log_that_would_be_compacted_is_refused(kafka: KafkaSettings) -> None:
    """Compaction of events.v1 would drop all but a patient's last record: it is refused."""
    await create(kafka, "events.v1", kafka.partitions, **{"cleanup.policy": "compact"})
    with pytest.raises(WrongTopicError, match=r"events\.v1 has cleanup\.policy=compact, delete wanted"):
        await declare(kafka)


@pytest.mark.asyncio
async def test_more_copies_than_brokers_is_said(kafka: KafkaSettings) -> None:
    """A replication that the brokers cannot give is the broker's own refusal, with the key to look at."""
    with pytest.raises(BrokerError, match=r"kafka\.replication"):
        await declare(msgspec.structs.replace(kafka, replication=3))


@pytest.mark.asyncio
async def test_two_who_declare_at_once_both_succeed(kafka: KafkaSettings) -> None:
    """Several workers' machines may declare at the same moment."""
    for changes in await asyncio.gather(*(declare(kafka) for _ in range(3))):
        assert len(changes) == len(TOPICS)


@pytest.mark.asyncio
async def test_an_outbox_refuses_to_start_on_another_count(declared: KafkaSettings) -> None:
    """A process configured for another number of partitions does not start: it would put keys elsewhere."""
    outbox = Outbox(msgspec.structs.replace(declared, partitions=16), client_id="test")
    with pytest.raises(WrongTopicError, match=r"has 4 partitions, but 16 are configured"):
        await outbox.start()
    await outbox.stop()
