"""How one machine secures MLLP: the `[mllp]` table of `wardstream.toml`.

Owns the shape and the contradictions that are refused. Must not know a socket. Nothing here changes what is decided, so
none of it enters the log. Keys are files: none stands in the configuration.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class MllpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """TLS of the ports that listen for HL7 v2; without a certificate there is none.

    >>> MllpSettings().encrypted, MllpSettings(tls_certificate="c.pem", tls_key="k.pem").encrypted
    (False, True)
    >>> MllpSettings(tls_client_ca="ca.pem")
    Traceback (most recent call last):
    ValueError: tls_client_ca: set without tls_certificate and tls_key, which say that there is TLS
    """

    tls_certificate: str = ""
    """PEM file: our certificate, with those between it and the authority's behind it. All MLLP ports speak TLS then."""
    tls_key: str = ""
    """PEM file: its private key, without a password; readable by the service's user alone."""
    tls_client_ca: str = ""
    """PEM file: the authorities of the senders' certificates. A sender without one of theirs is not let in."""
    plain_ports: tuple[Port, ...] = ()
    """Ports that speak no TLS all the same, while senders move over one by one."""

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            lacking = "tls_key" if self.tls_certificate else "tls_certificate"
            raise ValueError(f"{lacking}: empty; expected a PEM file, for a certificate needs its key")
        for name in ("tls_client_ca", "plain_ports"):
            if getattr(self, name) and not self.encrypted:
                raise ValueError(f"{name}: set without tls_certificate and tls_key, which say that there is TLS")

    @property
    def encrypted(self) -> bool:
        """Whether there is TLS at all."""
        return bool(self.tls_certificate)
