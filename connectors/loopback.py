"""Which addresses are this machine's alone.

Owns the question. Must not know who asks it, nor look a name up: what DNS says is not ours to trust.
"""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Say whether a host, as an address or by name, is this machine's alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("localhost"), is_loopback("")
    (True, True, False, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
