"""A real Redis on this machine: one process on loopback, in a folder; or three of them as one Redis Cluster.

Owns their configuration, and how they are started, stopped, killed, frozen, put back to an earlier state and started
again on the same folder and ports. Must not know what is kept there.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from connectors.local.certificates import Authority
from connectors.local.parts import find_redis
from connectors.local.ports import LOOPBACK, free_ports
from connectors.local.processes import Child, LocalError, await_that
from connectors.redis.settings import RedisSettings

START_S = 60.0
"""Well under a second when empty; reading an append-only file of a bench takes some."""
STOP_S = 15.0
CALL_S = 5.0
ADMIN = "bench"
"""The user with all rights where there are users: we ask with it whether the server answers."""
CLUSTER_NODES = 3
"""Redis Cluster's smallest."""
SLOTS = 16_384
CLUSTER_S = 60.0
"""Until three nodes have told each other who they are."""


class LocalRedis:
    """One Redis in one folder. `folder` is made; what is in it is used, so that a start after a stop goes on.

    `users` gives each ACL user its rules, such as {"ward": "on >secret ~ws:* +@all -@dangerous"}; then the default
    user is off, and `admin_password` is that of `bench`. `memory_max_mib` makes a Redis that can be full. `authority`
    signs its certificate, where several must trust each other.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: bool = False,
        authority: Authority | None = None,
        client_certificates: bool = False,
        users: Mapping[str, str] | None = None,
        admin_password: str = "",
        memory_max_mib: int = 0,
        cluster: bool = False,
        ports: tuple[int, int] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        assert not users or admin_password, "who else asks whether it answers?"
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.port, self.bus_port = ports or free_ports(2)
        self.cluster = cluster
        self._users = dict(users or {})
        self._admin_password = admin_password
        self._memory_max_mib = memory_max_mib
        self._client_certificates = client_certificates
        self._extra = dict(settings or {})
        self._program = find_redis()
        self.authority = authority or Authority(self.folder / "tls") if tls else None
        self._own = self.authority.issue(self.folder.name) if self.authority else None
        self.child = Child("redis", self.folder)

    def settings(self, *, prefix: str = "ws", username: str = "") -> RedisSettings:
        """Give the settings with which a client reaches it."""
        own = self._own
        asked = own is not None and self._client_certificates
        return RedisSettings(
            host=LOOPBACK,
            port=self.port,
            prefix=prefix,
            cluster=self.cluster,
            tls=own is not None,
            ca_file=str(own.ca_file) if own else "",
            cert_file=str(own.cert_file) if own and asked else "",
            key_file=str(own.key_file) if own and asked else "",
            username=username,
        )

    def client(self) -> Redis:
        """Open a client with all rights to this very node."""
        options: dict[str, Any] = {"host": LOOPBACK, "port": self.port, "socket_timeout": CALL_S, "protocol": 2}
        if self._own is not None:
            options |= {
                "ssl": True,
                "ssl_ca_certs": str(self._own.ca_file),
                "ssl_certfile": str(self._own.cert_file),
                "ssl_keyfile": str(self._own.key_file),
            }
        if self._users:
            options |= {"username": ADMIN, "password": self._admin_password}
        return Redis(**options)

    def start(self, within_s: float = START_S) -> None:
        """Start it, and wait until it has read its data and answers; raises `LocalError` where it does not."""
        if self._users:
            rules = self.folder / "users.acl"
            rules.touch(0o600)
            everyone = {"default": "off", ADMIN: f"on #{_hashed(self._admin_password)} ~* &* +@all", **self._users}
            rules.write_text("".join(f"user {name} {rule}\n" for name, rule in everyone.items()), encoding="utf-8")
        written = self.folder / "redis.conf"
        written.write_text(
            "".join(f"{key} {value}\n" for key, value in self._configuration().items()), encoding="utf-8"
        )
        self.child.start([str(self._program), "redis.conf"], cwd=self.folder)
        with self.client() as client:
            self.child.await_ready(lambda: _answers(client), within_s)

    def _configuration(self) -> dict[str, str]:
        configuration = {
            "bind": LOOPBACK,
            "port": "0" if self._own else str(self.port),
            "dir": str(self.data),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
        }
        if self._own:
            configuration |= {
                "tls-port": str(self.port),
                "tls-cert-file": str(self._own.cert_file),
                "tls-key-file": str(self._own.key_file),
                "tls-ca-cert-file": str(self._own.ca_file),
                "tls-auth-clients": "yes" if self._client_certificates else "no",
            }
            configuration |= {"tls-cluster": "yes"} if self.cluster else {}
        if self._users:
            configuration["aclfile"] = str(self.folder / "users.acl")
        if self._memory_max_mib:
            configuration["maxmemory"] = f"{self._memory_max_mib}mb"
        if self.cluster:
            configuration |= {
                "cluster-enabled": "yes",
                "cluster-port": str(self.bus_port),
                "cluster-node-timeout": "2000",
            }
        return configuration | self._extra

    def stop(self) -> None:
        """Stop it in order."""
        self.child.stop(STOP_S)

    def kill(self) -> None:
        """Kill it: `start` begins again on the same folder and port."""
        self.child.kill()

    def freeze(self) -> None:
        """Let it hang (SIGSTOP)."""
        self.child.freeze()

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self.child.thaw()

    def snapshot(self, into: Path) -> None:
        """Copy what it holds at one instant, every answered write with it, while it runs or not."""
        running = self.child.running
        if running:
            self.freeze()
        try:
            shutil.copytree(self.data, into)
        finally:
            if running:
                self.thaw()

    def restore(self, snapshot: Path) -> None:
        """Put it back to a snapshot: it is killed where it runs, and started with what it held then."""
        self.kill()
        shutil.rmtree(self.data)
        shutil.copytree(snapshot, self.data)
        self.start()


class LocalRedisCluster:
    """Three masters that share the slots, no replicas: a Redis Cluster as small as there is."""

    def __init__(self, folder: Path, *, tls: bool = False, **options: Any) -> None:
        options |= {"tls": tls, "authority": Authority(folder / "tls") if tls else None, "cluster": True}
        self.nodes = [LocalRedis(folder / f"node-{n}", **options) for n in range(CLUSTER_NODES)]

    def settings(self, *, prefix: str = "ws", username: str = "") -> RedisSettings:
        """Give the settings with which a client reaches it, by its first node."""
        return self.nodes[0].settings(prefix=prefix, username=username)

    def start(self) -> None:
        """Start the nodes; the first time, make them a cluster. Waits until it serves every slot."""
        try:
            for node in self.nodes:
                node.start()
            if not self._holds("cluster_slots_assigned", SLOTS):
                self._join()
            self._await_all()
        except BaseException:
            self.stop()
            raise

    def _await_all(self) -> None:
        if not await_that(self._serves, CLUSTER_S):
            raise LocalError(f"the nodes of the Redis Cluster did not find each other within {CLUSTER_S:g} s")

    def _join(self) -> None:
        width = -(-SLOTS // CLUSTER_NODES)
        for n, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", n * width, min((n + 1) * width, SLOTS) - 1)
                for other in self.nodes[:n]:
                    client.execute_command("CLUSTER", "MEET", LOOPBACK, other.port, other.bus_port)

    def _holds(self, field: str, number: int) -> bool:
        return all(str(info.get(field)) == str(number) for info in self._infos())

    def _serves(self) -> bool:
        return all(info.get("cluster_state") == "ok" for info in self._infos()) and self._holds(
            "cluster_known_nodes", CLUSTER_NODES
        )

    def _infos(self) -> list[dict[str, Any]]:
        found = []
        for node in self.nodes:
            with node.client() as client:
                found.append(_pairs(client.execute_command("CLUSTER", "INFO")))
        return found

    def stop(self) -> None:
        """Stop every node in order."""
        for node in self.nodes:
            node.stop()


def _pairs(told: Any) -> dict[str, Any]:
    """Read CLUSTER INFO, which redis-py has read already where it knows the command."""
    if isinstance(told, dict):
        return told
    text = told.decode() if isinstance(told, bytes) else str(told)
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def _hashed(password: str) -> str:
    """Write a password as an ACL file holds it, whatever characters are in it."""
    return sha256(password.encode()).hexdigest()


def _answers(client: Redis) -> bool:
    with suppress(RedisError, OSError):
        return bool(client.ping())
    return False
