"""How one machine runs the embedded service: the `[service]` table of `wardstream.toml`.

Owns the shape, the defaults and their limits. Must not know what is decided: nothing here changes what is said, so none
of it enters the log or the configuration's hash. Secrets are not here either: they come from the environment.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

PORT_MAX = 65_535
RETENTION_DAYS_MIN = 2.0
"""Below two days the log would not reach back over the longest window and a weekend's late charting."""
RETENTION_DAYS_MAX = 3_660.0
DISK_FREE_MIB_MIN = 64
"""What SQLite needs to write states and outputs of what is stored already, with room to spare."""

Host = Annotated[str, msgspec.Meta(min_length=1)]
"""Empty would be every address there is."""
Port = Annotated[int, msgspec.Meta(ge=0, le=PORT_MAX)]


class ServiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a machine may set about running the service.

    >>> ServiceSettings().mllp_port, ServiceSettings().http_host
    (2575, '127.0.0.1')
    """

    mllp_host: Host = "127.0.0.1"
    """The address that listens for HL7 v2. MLLP knows no sender: let only the engine's network reach it."""
    mllp_port: Port = 2575
    """0 takes a free one, which is printed."""
    http_host: Host = "127.0.0.1"
    """The address that listens for FHIR and serves the board. Beyond loopback a token is needed."""
    http_port: Port = 8080
    http_without_token: bool = False
    """Serve beyond loopback, or under any Host, without a token: only where something in front asks who is there."""
    data_dir: str = ""
    """The data folder, where `--data-dir` does not name it."""
    retention_days: Annotated[float, msgspec.Meta(ge=RETENTION_DAYS_MIN, le=RETENTION_DAYS_MAX)] = 30.0
    """How long messages, scores and alerts are kept, in days of the log's time; ten years at the most."""
    disk_free_mib_min: Annotated[int, msgspec.Meta(ge=DISK_FREE_MIB_MIN)] = 256
    """Below this, messages are refused ("send again later"), so that what is stored can still be folded and told."""
    mllp_connections_max: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 1_024
    mllp_idle_frame_s: Annotated[float, msgspec.Meta(gt=0, le=3_600)] = 60.0
    """How long a sender may pause in the middle of a message."""
    stop_grace_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 20.0
    """How long senders have, when the service stops, to take their last acknowledgements."""
    behind_s_max: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """How far scoring may lag behind what is stored before readiness says so."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
