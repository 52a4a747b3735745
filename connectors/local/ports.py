"""Ports of this machine that are free, for servers that will want the same one again after a restart.

Owns the choice. Must not know who listens. A port from the range that the system gives to outgoing connections could be
taken while its server is down; these lie below it.
"""

from __future__ import annotations

import secrets
import socket

LOOPBACK = "127.0.0.1"
PORT_FIRST = 20_000
PORT_LAST = 32_000
"""Below Linux' range for outgoing connections, which begins at 32,768; above what distributions give to services."""
TRIES_MAX = 1_000


def is_free(port: int) -> bool:
    """Tell whether a port can be listened on now."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Give different ports that are free now.

    >>> len(set(free_ports(3)))
    3
    """
    found: list[int] = []
    for _ in range(TRIES_MAX):
        port = PORT_FIRST + secrets.randbelow(PORT_LAST - PORT_FIRST)
        if port not in found and is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports between {PORT_FIRST} and {PORT_LAST}")


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Tell whether something listens on a port of this machine."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True
