"""The topics at a broker: created where they are missing, and held to what is declared where they are there.

Owns creating, comparing and saying what differs. Must not know what the topics are for. It never deletes a topic, and
never changes one that is there unless it is told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, for_code

from connectors.kafka.connection import client_options, unseen
from connectors.kafka.faults import BrokerError, UnreachableError, WrongTopicError
from connectors.kafka.probing import explain_failure
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import Declaration, declarations

Action = Literal["created", "altered", "as declared", "missing", "wrong"]

CREATE_TIMEOUT_MS = 15_000
"""How long a broker may take to create what is missing."""
_SETTLE_S = 0.1
"""Between two looks at whether the brokers have all learnt of it."""
_TOPIC_UNKNOWN, _TOPIC_EXISTS = 3, 36
"""Kafka's error codes (UNKNOWN_TOPIC_OR_PARTITION, TOPIC_ALREADY_EXISTS)."""
_SOURCE_TOPIC = 1
"""A setting's source: the topic's own, not a broker's default (DescribeConfigs, config_source)."""
_BOUNDS_FROM_BELOW = ("retention.ms", "retention.bytes", "max.message.bytes", "min.insync.replicas")
"""Settings of which more is no fault: an operator may keep records longer or ask more replicas."""


class Change(msgspec.Struct, frozen=True):
    """What was found of one topic, and what was done."""

    declaration: Declaration
    action: Action
    differences: tuple[str, ...] = ()
    """Each in words: what was found, what is wanted, what to do."""


class _Found(msgspec.Struct, frozen=True):
    partitions: int
    replication: int
    config: dict[str, str]


async def declare(settings: KafkaSettings, password: str = "", *, alter: bool = False) -> list[Change]:
    """Create the topics that are missing; give what was done with each.

    Raises `WrongTopicError` naming every topic that is there and is not as declared, after the missing ones have been
    created. With `alter`, their settings are put right first; a number of partitions never is.
    """
    wanted = declarations(settings)
    async with open_admin(settings, password) as client:
        found = await _found(client, wanted)
        missing = [each for each in wanted if each.name not in found]
        created = await _create(client, missing)
        altered: list[Declaration] = []
        if alter:
            altered = [each for each in wanted if each.name in found and _differing(found[each.name], each)]
            await _alter(client, altered)
        ours = created | {each.name for each in altered}
        changes = await _settled(client, wanted, {each.name for each in missing}, ours)
    _refuse_wrong(changes)
    made = dict.fromkeys(created, "created") | {each.name: "altered" for each in altered}
    return [
        msgspec.structs.replace(change, action=made.get(change.declaration.name, change.action)) for change in changes
    ]


async def inspect(settings: KafkaSettings, password: str = "") -> list[Change]:
    """Say of each topic whether it is there and as declared; changes nothing and raises nothing about it."""
    wanted = declarations(settings)
    async with open_admin(settings, password) as client:
        return _compared(wanted, await _found(client, wanted), unseen(settings))


async def check(settings: KafkaSettings, password: str = "") -> list[Change]:
    """See that every topic is there and as declared; raises `WrongTopicError` naming each that is not."""
    changes = await inspect(settings, password)
    _refuse_wrong(changes)
    return changes


async def check_groups(settings: KafkaSettings, password: str, groups: Iterable[str]) -> None:
    """See that we may join these groups, named whole; raises `UnreachableError` saying what to grant.

    A consumer that may not is told so by the broker, and waits without a word.
    """
    async with open_admin(settings, password) as client:
        for name in groups:
            try:
                # One at a time: aiokafka reads an answer of several groups wrongly.
                answers = await client.describe_consumer_groups([name])
            except GroupAuthorizationFailedError:
                raise
            except KafkaError:
                continue  # A broker that has no coordinator yet gets one for whoever joins first.
            found = [group for answer in answers for group in answer.to_object()["groups"]]
            if any(group["error_code"] == GroupAuthorizationFailedError.errno for group in found):
                raise GroupAuthorizationFailedError(name)


async def partition_counts(settings: KafkaSettings, password: str = "") -> dict[str, int]:
    """Give the number of partitions of every topic at the broker that begins with our prefix, by its own name."""
    async with open_admin(settings, password) as client:
        topics = await client.describe_topics()
    return {
        topic["topic"].removeprefix(settings.prefix): len(topic["partitions"])
        for topic in topics
        if topic["topic"].startswith(settings.prefix)
    }


@asynccontextmanager
async def open_admin(settings: KafkaSettings, password: str = "") -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect for administration; raises `UnreachableError` or `ConnectionSettingsError` saying what to do."""
    client = AIOKafkaAdminClient(client_id="wardstream-admin", **client_options(settings, password))
    try:
        await client.start()
        yield client
    except (KafkaError, OSError, TimeoutError) as error:
        raise UnreachableError(await explain_failure(settings, password, error)) from None
    finally:
        await client.close()


async def _found(client: AIOKafkaAdminClient, wanted: Sequence[Declaration]) -> dict[str, _Found]:
    # All topics are asked for: asking a broker for one that is absent may create it, with settings of its own.
    names = {each.name for each in wanted}
    topics = {topic["topic"]: topic for topic in await client.describe_topics() if topic["topic"] in names}
    if not topics:
        return {}
    keys = dict.fromkeys(sorted({key for each in wanted for key in each.config}))
    answers = await client.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, dict(keys)) for name in topics]
    )
    entries: dict[str, list[dict[str, Any]]] = {}
    for answer in answers:
        for resource in answer.to_object()["resources"]:
            if resource["error_code"] == _TOPIC_UNKNOWN:
                continue  # created or deleted at this moment
            if resource["error_code"]:
                fault: KafkaError = for_code(resource["error_code"])()
                raise fault
            entries[resource["resource_name"]] = resource["config_entries"]
    return {
        name: _Found(
            len(topic["partitions"]),
            min(len(partition["replicas"]) for partition in topic["partitions"]),
            {entry["config_names"]: entry["config_value"] for entry in entries[name]},
        )
        for name, topic in topics.items()
        if name in entries and topic["partitions"]
    }


async def _create(client: AIOKafkaAdminClient, missing: Sequence[Declaration]) -> set[str]:
    """Create topics; give the names of those that nobody else had created meanwhile."""
    if not missing:
        return set()
    answer = await client.create_topics(
        [NewTopic(each.name, each.partitions, each.replication, topic_configs=each.config) for each in missing],
        timeout_ms=CREATE_TIMEOUT_MS,
    )
    refused = [
        f"{topic['topic']}: {topic['error_message'] or for_code(topic['error_code']).__name__}"
        for topic in answer.to_object()["topic_errors"]
        if topic["error_code"] not in (0, _TOPIC_EXISTS)  # somebody else declared it at the same moment
    ]
    if refused:
        raise BrokerError(
            "the broker did not create " + "; ".join(refused) + ". Check kafka.replication (no more than there are "
            "brokers) and that our user may create topics"
        )
    return {topic["topic"] for topic in answer.to_object()["topic_errors"] if not topic["error_code"]}


async def _settled(
    client: AIOKafkaAdminClient, wanted: Sequence[Declaration], missing: set[str], ours: set[str]
) -> list[Change]:
    """Compare once what was just made is seen: brokers learn of it a moment after they have said that it is done.

    What was missing is to be there, whoever made it; what we made or altered is to be as declared.
    """
    clock = asyncio.get_running_loop()
    deadline = clock.time() + CREATE_TIMEOUT_MS / 1_000
    while True:
        found = await _found(client, wanted)
        late = [
            each.name
            for each in wanted
            if (each.name in missing and each.name not in found)
            or (each.name in ours and each.name in found and _differing(found[each.name], each))
        ]
        if not late or clock.time() > deadline:
            return _compared(wanted, found)
        await asyncio.sleep(_SETTLE_S)


async def _alter(client: AIOKafkaAdminClient, wrong: Sequence[Declaration]) -> None:
    if not wrong:
        return
    # The request replaces all of a topic's own settings: those that are not ours are handed back as they are.
    kept = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, each.name) for each in wrong])
    own = {
        resource["resource_name"]: {
            entry["config_names"]: entry["config_value"]
            for entry in resource["config_entries"]
            if entry["config_source"] == _SOURCE_TOPIC
        }
        for answer in kept
        for resource in answer.to_object()["resources"]
    }
    answers = await client.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, each.name, {**own[each.name], **each.config}) for each in wrong]
    )
    refused = [
        f"{resource['resource_name']}: {resource['error_message']}"
        for answer in answers
        for resource in answer.to_object()["resources"]
        if resource["error_code"]
    ]
    if refused:
        raise BrokerError("the broker did not alter " + "; ".join(refused))


def _compared(wanted: Iterable[Declaration], found: dict[str, _Found], hint: str = "") -> list[Change]:
    changes: list[Change] = []
    for each in wanted:
        topic = found.get(each.name)
        if topic is None:
            text = f"{each.name} is missing: create it with `wardstream topics declare`{hint}"
            changes.append(Change(each, "missing", (text,)))
            continue
        differences: list[str] = []
        if topic.partitions != each.partitions:
            differences.append(_partitions_differ(each, topic.partitions))
        if topic.replication < each.replication:
            differences.append(
                f"{each.name} has {topic.replication} copies, {each.replication} wanted (kafka.replication): add "
                "replicas with kafka-reassign-partitions"
            )
        differences += [
            f"{each.name} has {key}={topic.config.get(key)}, {value} wanted: `wardstream topics declare --alter`"
            for key, value in _differing(topic, each)
        ]
        changes.append(Change(each, "wrong" if differences else "as declared", tuple(differences)))
    return changes


def _partitions_differ(each: Declaration, found: int) -> str:
    what = f"{each.name} has {found} partitions, {each.partitions} wanted"
    if each.topic.single:
        return f"{what}: its one partition is its order; delete it if it is empty, or use another kafka.prefix"
    return (
        f"{what} (kafka.partitions): set kafka.partitions to {found}, or follow the procedure for another number of "
        "partitions; adding partitions in place would split patients' histories"
    )


def _differing(topic: _Found, each: Declaration) -> list[tuple[str, str]]:
    """Give the settings that a topic has otherwise than declared, each with what is wanted."""
    return [(key, value) for key, value in each.config.items() if not _suffices(key, topic.config.get(key), value)]


def _suffices(key: str, found: str | None, wanted: str) -> bool:
    if found is None or found == wanted:
        return found == wanted
    if key in _BOUNDS_FROM_BELOW:
        return _bound(found) >= _bound(wanted)
    return key == "segment.ms"  # a broker's matter


def _bound(text: str) -> float:
    """Read a bound, where -1 says: none."""
    return float("inf") if text == "-1" else float(text)


def _refuse_wrong(changes: Iterable[Change]) -> None:
    differences = [text for change in changes for text in change.differences]
    if differences:
        raise WrongTopicError("\n".join(differences))
