"""Granting a user of a local broker what one installation of ours needs, and no more.

Owns the grants (ACLs). Must not know the broker's process. In a hospital, its own people do this with its own tools.
"""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from connectors.kafka.connection import client_options
from connectors.kafka.settings import KafkaSettings
from connectors.local.processes import LocalError

TOPIC, GROUP, TRANSACTIONAL_ID = 2, 3, 5
ALL, READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS = 2, 3, 4, 8, 10
_PREFIXED = 4
_ALLOW = 3
"""Numbers of Kafka's protocol: ResourceType, AclOperation, PatternType, AclPermissionType."""


async def grant(
    settings: KafkaSettings,
    password: str,
    user: str,
    prefix: str,
    *,
    resources: tuple[int, ...] = (TOPIC, GROUP, TRANSACTIONAL_ID),
    operation: int = ALL,
) -> None:
    """Allow `user` an operation on all that begins with `prefix`; `settings` and `password` are an admin's."""
    client = AIOKafkaAdminClient(**client_options(settings, password))
    await client.start()
    try:
        for resource in resources:
            request = CreateAclsRequest(resource, prefix, _PREFIXED, f"User:{user}", "*", operation, _ALLOW)
            answer = await client._send_request(request)  # noqa: SLF001 - aiokafka has the request, and no method for it
            for code, text in answer.creation_responses:
                if code:
                    raise LocalError(f"the broker did not grant it: error {code}, {text}")
    finally:
        await client.close()
