"""How one live process runs: the `[live]` table of `wardstream.toml`.

Owns the shape, the defaults and their limits. Must not know what is decided: nothing here changes what is said, so none
of it enters the log or the configuration's hash. Secrets are not here either: they come from the environment.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from stream.service_settings import Host, Port

Stage = Literal["parse", "patient", "ward"]
STAGES: tuple[Stage, ...] = ("parse", "patient", "ward")
BATCH_RECORDS_MAX = 5_000
"""Beyond this, one batch's states and outputs are more than memory should hold at once, for no gain in speed."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}$")]
PublicKey = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
"""An Ed25519 public key, 32 bytes in hexadecimal (RFC 8032)."""


class LiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a site may set about running gateways, workers and the learner.

    >>> LiveSettings().stages
    ('parse', 'patient', 'ward')
    """

    stages: tuple[Stage, ...] = STAGES
    """What a worker runs; `--stages` overrules it."""
    name: Name = ""
    """This process's own, lasting name among its like: with it, a restart after a crash takes its partitions back in
    a second instead of a session time-out. Empty: the host's name and the process's kind."""
    batch_records_max: Annotated[int, msgspec.Meta(ge=1, le=BATCH_RECORDS_MAX)] = 500
    """Records of one partition that are folded, sent and stored together."""
    linger_s: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.02
    """How long a batch waits to fill: this much is added to an alert's way."""
    session_timeout_s: Annotated[float, msgspec.Meta(ge=6, le=300)] = 10.0
    """How long a worker may be silent before its partitions go to others; brokers take no less than 6 by default."""
    max_poll_interval_s: Annotated[float, msgspec.Meta(ge=10, le=3_600)] = 300.0
    """How long one batch may take, a rebuild from the log among them, before the worker counts as stuck."""
    progress_s_max: Annotated[float, msgspec.Meta(gt=0, le=3_600)] = 30.0
    """How long a partition with work may stand still before the worker reports itself unhealthy."""
    health_host: Host = "127.0.0.1"
    health_port: Port = 0
    """Where health and metrics are served; 0 serves none."""
    state_folder: str = ""
    """Where a process keeps what it may lose: the learner's last state. Empty: nothing is kept on disk."""
    live_records_max: Annotated[int, msgspec.Meta(ge=2, le=10_000_000)] = 20_000
    """Patients of one partition whose state stays in memory as well: some 20 to 50 KB each. The rest is read back."""
    learn: bool = True
    """Write `examples.v1`, which the learner reads."""
    ticks: bool = True
    """Let time pass in the log where nothing comes. Off for a log of the past that workers fold anew: ticks of the
    present would age everything in it at once."""
    canary: bool = True
    """Send the canary patient through the whole path each minute; its absence is an alarm."""
    canary_late_s_max: Annotated[float, msgspec.Meta(gt=0, le=3_600)] = 150.0
    """How late the canary's score may be before that alarm: two rounds and half a minute."""
    version_keys: tuple[PublicKey, ...] = ()
    """Public keys whose signatures on model versions are trusted. Without one, no version but the one that ships; the
    embedded service then takes what lies in its `--models-dir`, unsigned."""
    stop_grace_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 20.0
    """How long a process that is told to stop has to finish what it has begun."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
