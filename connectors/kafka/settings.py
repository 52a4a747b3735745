"""How one process reaches Kafka: the `[kafka]` table of `wardstream.toml`.

Owns the shape, the defaults and their limits. Must not know what is decided. The password is not here: it comes from
the environment variable WARDSTREAM_KAFKA_PASSWORD.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

PASSWORD_VARIABLE = "WARDSTREAM_KAFKA_PASSWORD"  # noqa: S105 - a variable's name
PARTITIONS_MAX = 1_024

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]


class KafkaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where Kafka is and how it is asked.

    >>> KafkaSettings().partitions
    8
    """

    bootstrap: str = "127.0.0.1:9092"
    """`host:port`, several separated by commas."""
    prefix: str = ""
    """Stands before every topic's and group's name: one broker serves several installations."""
    partitions: Annotated[int, msgspec.Meta(ge=1, le=PARTITIONS_MAX)] = 8
    """Of each topic that has more than one: as many workers can share the work."""
    replication: Annotated[int, msgspec.Meta(ge=1, le=7)] = 1
    """Copies of each record; 3 wherever there are three brokers."""
    security: Security = "plaintext"
    ca_file: str = ""
    """The certificate authority that signed the brokers' certificates (PEM)."""
    cert_file: str = ""
    key_file: str = ""
    """Our own certificate and its key, where brokers ask for one."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    compression: Literal["none", "gzip", "lz4", "snappy", "zstd"] = "zstd"
    """Of what we send. zstd takes a third of the time of lz4 (which aiokafka sets to its slowest level) and two thirds
    of the room: 2.8 and 8.5 microseconds, 119 and 196 bytes for a score of 626 bytes with its headers."""
    events_days: Annotated[float, msgspec.Meta(ge=2, le=3_660)] = 45.0
    """How long `events.v1` and the ingest topics are kept: longer than the longest stay, for states are refolded."""
    outputs_days: Annotated[float, msgspec.Meta(ge=1, le=3_660)] = 45.0
    """How long scores, alerts and dead letters are kept."""
