"""TLS for MLLP: from PEM files to a context, read again when the files change.

Owns the protocol versions, the reading of the files and what is said where they cannot be used. Must not know a
connection. TLS 1.2 and 1.3 alone (RFC 8996 retires what is older); with `tls_client_ca` a sender must show a
certificate that one of those authorities signed.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from connectors.mllp.settings import MllpSettings

LOOK_S = 5.0
"""How often the files are looked at, at the most: a renewed certificate counts for who connects after that."""
EXPIRES_SOON = timedelta(days=21)
"""A certificate that ends before is told: three weeks are enough for an authority that is people."""
PEM_BYTES_MAX = 1024 * 1024
"""A longer file is no certificate; a bundle of all public authorities has a quarter of it."""


class TlsFilesError(ValueError):
    """The operator's: a file that cannot be used. The text names its key, and what to do."""


class TlsFiles:
    """The files of one `[mllp]` table. Made where it starts to listen, which fails where they cannot be used.

    A file that is changed later and cannot be used is told to `warn`; what was read before stays in use.
    """

    def __init__(
        self,
        settings: MllpSettings,
        *,
        warn: Callable[[str], None] = lambda _text: None,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the files; raises `TlsFilesError`."""
        self._settings = settings
        self._warn = warn
        self._elapsed_s = elapsed_s
        # Looked at first: a file that is renewed in between is taken at the next look.
        self._state = self._look()
        self._context = make_context(settings)
        self._looked_at_s = elapsed_s()
        self.reloads = 0
        """How often changed files were taken."""

    def context(self) -> ssl.SSLContext:
        """Give the context for a connection that begins now."""
        if self._elapsed_s() - self._looked_at_s >= LOOK_S:
            self._looked_at_s = self._elapsed_s()
            self._take_changes()
        return self._context

    def expires(self) -> datetime | None:
        """Say when the certificate that lies there ends; None where it cannot be read."""
        try:
            return read_certificate(self._settings).not_valid_after_utc
        except TlsFilesError:
            return None

    def _take_changes(self) -> None:
        state = self._look()
        if state == self._state:
            return
        self._state = state
        try:
            self._context = make_context(self._settings)
        except TlsFilesError as error:
            self._warn(str(error))
        else:
            self.reloads += 1

    def _look(self) -> list[tuple[int, int, int]]:
        """Say by what each file is known to have changed."""
        settings = self._settings
        found = []
        for name in (settings.tls_certificate, settings.tls_key, settings.tls_client_ca):
            try:
                status = Path(name).stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return found


def make_context(settings: MllpSettings) -> ssl.SSLContext:
    """Make a server's context of the files; raises `TlsFilesError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    for key in ("tls_certificate", "tls_key", "tls_client_ca"):
        if getattr(settings, key):
            _read(settings, key)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=_no_password)
    except ssl.SSLError as error:
        why = error.reason or type(error).__name__
        raise TlsFilesError(f"mllp.tls_key: not the key of the certificate in mllp.tls_certificate ({why})") from None
    if settings.tls_client_ca:
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except ssl.SSLError:
            raise TlsFilesError("mllp.tls_client_ca: no certificate in PEM form") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def read_certificate(settings: MllpSettings) -> x509.Certificate:
    """Read our own certificate, the first of its file; raises `TlsFilesError`."""
    try:
        return x509.load_pem_x509_certificates(_read(settings, "tls_certificate"))[0]
    except ValueError:
        raise TlsFilesError("mllp.tls_certificate: no certificate in PEM form") from None


def problems(settings: MllpSettings, now: datetime) -> list[str]:
    """Say what is wrong with the files, or soon will be; empty where all is well or there is no TLS.

    >>> problems(MllpSettings(), datetime(2026, 1, 1))
    []
    """
    if not settings.encrypted:
        return []
    try:
        make_context(settings)
        certificate = read_certificate(settings)
    except TlsFilesError as error:
        return [str(error)]
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    found = []
    if now < begins:
        found.append(f"mllp.tls_certificate: counts from {begins:%Y-%m-%d %H:%M} UTC only: look at the machine's clock")
    if now >= ends:
        found.append(f"mllp.tls_certificate: ended on {ends:%Y-%m-%d}: no sender who looks will connect; renew it")
    elif ends - now < EXPIRES_SOON:
        found.append(f"mllp.tls_certificate: ends on {ends:%Y-%m-%d}: renew it; the new file is read without a restart")
    if Path(settings.tls_key).stat().st_mode & 0o077:
        found.append("mllp.tls_key: others may read it: chmod 600, owned by the service's user")
    return found


def _read(settings: MllpSettings, key: str) -> bytes:
    try:
        with Path(getattr(settings, key)).open("rb") as file:
            data = file.read(PEM_BYTES_MAX + 1)
    except OSError as error:
        raise TlsFilesError(f"mllp.{key}: cannot be read: {error.strerror or type(error).__name__}") from None
    if len(data) > PEM_BYTES_MAX or b"-----BEGIN " not in data:
        raise TlsFilesError(f"mllp.{key}: not in PEM form")
    return data


def _no_password() -> str:
    """Keep OpenSSL from asking for a password at the terminal."""
    raise TlsFilesError("mllp.tls_key: the key has a password; expected one without, in a file of mode 600")
