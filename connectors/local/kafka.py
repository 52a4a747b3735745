"""A real Kafka broker on this machine: one process, KRaft, on loopback, in a folder.

Owns its format, its configuration, and how it is started, stopped, killed, frozen and started again on the same folder
and ports. Must not know topics. Secured, its clients' listener asks for what a hospital's does; the broker talks to
itself over TLS with a certificate of its own.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from connectors.kafka.settings import KafkaSettings, Security
from connectors.local.certificates import Authority, Certificates
from connectors.local.parts import find_broker_jars, find_java
from connectors.local.ports import LOOPBACK, answers, free_ports
from connectors.local.processes import Child, LocalError

HEAP_MIB = 512
"""Kafka is content with it on a bench; the machine has others to feed."""
START_S = 180.0
"""About 3 s on an idle machine; 40 s were seen where it shared two cores with two others who kept both busy."""
STOP_S = 30.0
"""A controlled shutdown writes its indices; past this it hangs."""
MESSAGE_BYTES_MAX = 6_000_000
"""As the topics are declared: the largest message that a gateway takes, and its headers."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
STARTED = "Kafka Server started"
"""What KafkaRaftServer logs once the controller has let the broker serve."""
ITSELF = "broker"
"""The common name of the broker's own certificate, and so its principal under ACLs."""

_LOGGING = """\
status = error
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
"""
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    # A killed broker's registration must lapse before its successor is let in.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "message.max.bytes": str(MESSAGE_BYTES_MAX),
    "replica.fetch.max.bytes": str(MESSAGE_BYTES_MAX),
    "delete.topic.enable": "true",
}


class LocalKafka:
    """One broker in one folder. `folder` is made; what is in it is used, so that a start after a stop goes on.

    `users` (name to password) exist for PLAIN and both SCRAMs where `security` has SASL. With `acls`, nobody may do
    anything that was not granted, except the users in `admins` (connectors.local.kafka_rights grants). `settings` are
    the broker's own and overrule ours; an empty one takes ours away.
    """

    def __init__(
        self,
        folder: Path,
        *,
        security: Security = "plaintext",
        users: Mapping[str, str] | None = None,
        admins: tuple[str, ...] = (),
        acls: bool = False,
        client_certificates: bool = False,
        ports: tuple[int, int, int] | None = None,
        heap_mib: int = HEAP_MIB,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.security = security
        self.users = dict(users or {})
        self.port, self._inner_port, self._controller_port = ports or free_ports(3)
        self._admins = admins
        self._acls = acls
        self._client_certificates = client_certificates
        self._heap_mib = heap_mib
        self._extra = dict(settings or {})
        self._java = find_java()
        self._jars = find_broker_jars()
        self.authority = None if security == "plaintext" else Authority(self.folder / "tls")
        self._own = None if self.authority is None else self.authority.issue(ITSELF)
        self.child = Child("kafka", self.folder)

    @property
    def bootstrap(self) -> str:
        """Where its clients find it."""
        return f"{LOOPBACK}:{self.port}"

    def settings(self, *, prefix: str = "", username: str = "", partitions: int = 4) -> KafkaSettings:
        """Give the settings with which a client reaches it."""
        encrypted = self.security in {"ssl", "sasl_ssl"}
        assert not encrypted or self.authority is not None
        return KafkaSettings(
            bootstrap=self.bootstrap,
            prefix=prefix,
            partitions=partitions,
            security=self.security,
            ca_file=str(self.authority.ca_file) if encrypted and self.authority else "",
            username=username,
        )

    def start(self, within_s: float = START_S) -> None:
        """Start it, and wait until it serves; raises `LocalError` with its last words where it does not."""
        data = self.folder / "data"
        (self.folder / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
        written = self.folder / "server.properties"
        written.touch(0o600)  # passwords are in it
        written.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()), encoding="utf-8")
        if not (data / "meta.properties").exists():
            self._format(data)
        before = self.child.log.stat().st_size if self.child.log.exists() else 0
        self.child.start(self._words("kafka.Kafka", "server.properties"), cwd=self.folder, environment=_environment())
        self.child.await_ready(lambda: self._said_since(before) and answers(self.port), within_s)

    def _said_since(self, offset: int) -> bool:
        with self.child.log.open("rb") as log:
            log.seek(offset)
            return STARTED.encode() in log.read()

    def _format(self, data: Path) -> None:
        cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "_")
        words = ["format", "--config", "server.properties", "--cluster-id", cluster]
        words += [] if "controller.quorum.voters" in self._extra else ["--standalone"]
        for user, password in self.users.items():
            for mechanism in MECHANISMS[1:]:
                words += ["--add-scram", f'{mechanism}=[name="{user}",password="{password}"]']
        done = subprocess.run(  # noqa: S603 - our own words, no shell
            self._words("kafka.tools.StorageTool", *words),
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not (data / "meta.properties").exists():
            raise LocalError(f"Kafka's folder {data} could not be formatted:\n{done.stdout}{done.stderr}")

    def _words(self, *words: str) -> list[str]:
        return [
            str(self._java),
            f"-Xmx{self._heap_mib}m",
            f"-Xms{min(self._heap_mib, 256)}m",
            "-Dlog4j2.configurationFile=log4j2.properties",
            "-cp",
            f"{self._jars}/*",
            *words,
        ]

    def _properties(self) -> dict[str, str]:
        inner = "PLAINTEXT" if self._own is None else "SSL"
        listeners = {"CLIENTS": self.port, "INNER": self._inner_port, "CONTROLLER": self._controller_port}
        named = {name: f"{name}://{LOOPBACK}:{port}" for name, port in listeners.items()}
        properties = _SETTINGS | {
            "listeners": ",".join(named.values()),
            "advertised.listeners": ",".join(named.values()),
            "listener.security.protocol.map": f"CLIENTS:{self.security.upper()},INNER:{inner},CONTROLLER:{inner}",
            "inter.broker.listener.name": "INNER",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self._controller_port}",
            "log.dirs": str(self.folder / "data"),
        }
        if self._own is not None:
            properties |= self._tls(self._own)
        if self.security.startswith("sasl"):
            properties |= self._sasl()
        if self._acls:
            people = [f"User:{user}" for user in self._admins]
            properties |= {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "allow.everyone.if.no.acl.found": "false",
                "super.users": ";".join([f"User:CN={ITSELF}", *people]),
            }
        return {key: value for key, value in (properties | self._extra).items() if value}

    def _tls(self, own: Certificates) -> dict[str, str]:
        stores = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(own.both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(own.ca_file),
        }
        asked = "required" if self._client_certificates else "none"
        return stores | {
            "listener.name.clients.ssl.client.auth": asked,
            "listener.name.inner.ssl.client.auth": "required",
            "listener.name.controller.ssl.client.auth": "required",
        }

    def _sasl(self) -> dict[str, str]:
        security = "org.apache.kafka.common.security"
        known = " ".join(f'user_{user}="{password}"' for user, password in self.users.items())
        scram = f"{security}.scram.ScramLoginModule required;"
        return {
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            "listener.name.clients.plain.sasl.jaas.config": f"{security}.plain.PlainLoginModule required {known};",
            "listener.name.clients.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.clients.scram-sha-512.sasl.jaas.config": scram,
        }

    def stop(self) -> None:
        """Stop it in order; by force where it hangs."""
        self.child.stop(STOP_S)

    def kill(self) -> None:
        """Kill it: `start` begins again on the same folder and ports."""
        self.child.kill()

    def freeze(self) -> None:
        """Let it hang (SIGSTOP)."""
        self.child.freeze()

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self.child.thaw()


def _environment() -> dict[str, str]:
    """Give the environment without what would change how a broker runs, or tell it a secret of ours."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "WARDSTREAM_", "JAVA_TOOL"))
    }
