"""Opening the connection to Redis, and saying what is wrong where that fails.

Owns the client's options, and the operator's errors. Must not know keys. The password is an argument and is in no text.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionLost,
)
from redis.exceptions import (
    TimeoutError as RedisTimeout,
)
from redis.retry import Retry

from connectors.redis.layout import Client
from connectors.redis.settings import PASSWORD_VARIABLE, RedisSettings

RETRIES_MAX = 3
"""Of one call whose connection broke: over about a second, as long as a restart of Redis takes."""
RETRY_BASE_S = 0.1
RETRY_CAP_S = 0.5
HEALTH_CHECK_S = 15
"""A connection that was idle for so long is tried before it is used: firewalls drop idle ones silently."""
CONNECTIONS_MAX = 16
"""Of one process; its threads take turns."""
REDIS_MAJOR_MIN = 7
"""Scripts that are refused whole where memory is full (`#!lua`) came with Redis 7."""


class RedisConnectionError(Exception):
    """Redis cannot be used as it is configured: the operator's to mend. The text says how, and holds no password."""


def connect(settings: RedisSettings, password: str = "") -> Client:
    """Open a client and try it; raises `RedisConnectionError`.

    Lost connections are tried again a few times (every call of ours may be repeated); a time-out is not, for it has
    taken its time already. Except in a cluster, whose client looks for the node anew after a time-out too.
    """
    with _explained(settings):
        client = _open(settings, password)
        try:
            _check(client, settings)
        except BaseException:
            client.close()
            raise
    return client


def _open(settings: RedisSettings, password: str) -> Client:
    options: dict[str, Any] = {
        "username": settings.username or None,
        "password": password or None,
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "health_check_interval": HEALTH_CHECK_S,
        "max_connections": CONNECTIONS_MAX,
        "client_name": "wardstream",
        "protocol": 2,
    }
    if settings.tls:
        for name in ("ca_file", "cert_file", "key_file"):
            path = getattr(settings, name)
            if path and not Path(path).is_file():
                raise RedisConnectionError(f"[redis] {name}: there is no file {path}")
        options |= {
            "ssl": True,
            "ssl_ca_certs": settings.ca_file or None,
            "ssl_certfile": settings.cert_file or None,
            "ssl_keyfile": settings.key_file or None,
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        }
    backoff = ExponentialWithJitterBackoff(base=RETRY_BASE_S, cap=RETRY_CAP_S)
    retry = Retry(backoff, RETRIES_MAX, supported_errors=(RedisConnectionLost,))
    if settings.cluster:
        return redis.RedisCluster(host=settings.host, port=settings.port, retry=retry, **options)
    return redis.Redis(host=settings.host, port=settings.port, retry=retry, **options)


def _check(client: Client, settings: RedisSettings) -> None:
    """Ask the server who it is: the first call that needs the connection, the user and the password to be right."""
    asked: Any = client  # redis-py leaves these two methods untyped
    target = {"target_nodes": asked.get_default_node()} if settings.cluster else {}
    flat = asked.execute_command("HELLO", **target)
    told = {_text(name): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    version, mode = _text(told.get("version", "")), _text(told.get("mode", ""))
    if _text(told.get("server", "")) == "redis" and int(version.partition(".")[0]) < REDIS_MAJOR_MIN:
        raise RedisConnectionError(f"Redis {version} is too old: Wardstream needs {REDIS_MAJOR_MIN}.0 or later")
    if mode == "cluster" and not settings.cluster:
        raise RedisConnectionError(f"{_where(settings)} is a Redis Cluster: set [redis] cluster = true")
    if mode == "sentinel":
        raise RedisConnectionError(f"{_where(settings)} is a Sentinel: give the address of the Redis it watches")


@contextmanager
def _explained(settings: RedisSettings) -> Iterator[None]:
    """Turn what Redis's client raises into what the operator is to do."""
    try:
        yield
    except (RedisError, RedisClusterException) as error:
        raise RedisConnectionError(_advice(error, settings)) from error


def _advice(error: Exception, settings: RedisSettings) -> str:
    """Say what is wrong and what to do: the first line that fits."""
    where, said = _where(settings), _innermost(error)
    user = settings.username or "default"
    tls_hint = "" if settings.tls else "; if it closes the connection at once, it may want TLS ([redis] tls = true)"
    lines = (
        (
            isinstance(error, AuthenticationError) or "NOAUTH" in said or "WRONGPASS" in said,
            f"{where} does not accept user {user!r} with this password: check [redis] username and {PASSWORD_VARIABLE}",
        ),
        (
            isinstance(error, NoPermissionError) or "NOPERM" in said or "no permissions" in said,
            f"{where} lets user {user!r} in, but not do what is needed: docs/redis.md has the ACL rules",
        ),
        (
            isinstance(error, BusyLoadingError),
            f"{where} is still reading its data from disk: try again when it has",
        ),
        (
            "CERTIFICATE_VERIFY_FAILED" in said,
            f"the certificate of {where} is not trusted for this name: check [redis] ca_file and host ({said})",
        ),
        (
            settings.tls and "ssl" in said.lower(),
            f"{where} does not speak TLS as we do: check [redis] tls, port, cert_file and key_file ({said})",
        ),
        (
            "Cluster mode is not enabled" in said,
            f"{where} is no Redis Cluster: set [redis] cluster = false",
        ),
        (
            isinstance(error, RedisTimeout),
            f"{where} did not answer within {settings.timeout_s:g} s: check the address, the firewall and its load",
        ),
        (
            isinstance(error, RedisConnectionLost | RedisClusterException),
            f"{where} cannot be reached: check that Redis runs there, and [redis] host and port{tls_hint} ({said})",
        ),
    )
    return next((advice for fits, advice in lines if fits), f"{where} cannot be used ({type(error).__name__})")


def _innermost(error: BaseException) -> str:
    """Give the text of an error and of what it came of; no password is in any of them."""
    texts, seen = [str(error)], error
    while (cause := seen.__cause__ or seen.__context__) is not None and len(texts) < 4:
        texts.append(str(cause))
        seen = cause
    return "; ".join(dict.fromkeys(texts))


def _where(settings: RedisSettings) -> str:
    return f"Redis at {settings.host}:{settings.port}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
