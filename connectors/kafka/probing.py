"""Why Kafka cannot be reached: one more attempt, by hand, that keeps the cause the client swallows.

Owns asking each bootstrap address in turn and putting the cause in words. Must not know what is read or written.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from connectors.kafka.connection import client_options, describe_failure
from connectors.kafka.settings import KafkaSettings

PROBE_S = 5.0
"""How long one address may take to answer."""
PROBES_MAX = 3
"""Addresses that are asked: what is wrong with three is wrong with all."""


async def explain_failure(settings: KafkaSettings, password: str, error: BaseException) -> str:
    """Say what a failed attempt means and what to do, after asking the brokers once more where the cause was lost."""
    if not isinstance(error, KafkaConnectionError | TimeoutError | OSError):
        return describe_failure(settings, error)
    cause = await _ask(settings, password)
    if cause is None:
        return describe_failure(settings, error)
    return _in_words(settings, cause)


async def _ask(settings: KafkaSettings, password: str) -> BaseException | None:
    """Connect to each address as a client would; give the first cause of failure, or None where one answers."""
    options = client_options(settings, password)
    addresses: list[str] = options.pop("bootstrap_servers")
    options["request_timeout_ms"] = round(PROBE_S * 1_000)
    first: BaseException | None = None
    for address in addresses[:PROBES_MAX]:
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(PROBE_S):
                connection = await create_conn(host.strip("[]"), int(port), client_id="wardstream-probe", **options)
                try:
                    await connection.send(MetadataRequest([]))
                finally:
                    connection.close()
        except (KafkaError, OSError, TimeoutError) as error:
            first = first or error
        else:
            return None
    return first


def _in_words(settings: KafkaSettings, cause: BaseException) -> str:
    at = settings.bootstrap
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"Kafka at {at} shows a certificate that is not trusted ({cause.verify_message}): kafka.ca_file must hold "
            "the authority that signed it, and kafka.bootstrap the host name it was issued to"
        )
    for kinds, words in _WORDS:
        if isinstance(cause, kinds):
            return words.format(at=at, security=settings.security)
    return describe_failure(settings, cause)


_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (ssl.SSLError,),
        "Kafka at {at} does not speak TLS on that port, or asks for a client certificate we did not give: check "
        "kafka.security and kafka.cert_file",
    ),
    (
        (socket.gaierror,),
        "kafka.bootstrap: no host of that name is known ({at}): check the name and the machine's DNS",
    ),
    ((ConnectionRefusedError,), "nobody listens at {at}: is Kafka running, and is kafka.bootstrap its address?"),
    (
        (TimeoutError,),
        "something at {at} accepts connections or swallows them, but does not answer as Kafka: a broker that is "
        "starting or stuck, a firewall, or a port that speaks something else (kafka.security is {security!r})",
    ),
    (
        (KafkaConnectionError, ConnectionError),
        "Kafka at {at} closed the connection: does that port speak {security!r} (kafka.security)?",
    ),
)
"""What a cause means, the special before the general."""
