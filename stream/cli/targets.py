"""Where `simulate` writes to: a file, an MLLP receiver or a FHIR base URL.

Owns reading TARGET, and the slips that are refused. Must not know how anything is sent.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import click
import msgspec

from connectors.loopback import is_loopback
from stream.resuming import Protocol
from stream.simulation import Wire

_WIRES: dict[str, Wire] = {".hl7": "hl7v2", ".ndjson": "fhir"}


class FileTarget(msgspec.Struct, frozen=True):
    """A file, and its format by its ending."""

    path: Path
    wire: Wire


class Endpoint(msgspec.Struct, frozen=True):
    """Something that listens. `url` is as it was given."""

    protocol: Protocol
    url: str
    host: str
    port: int
    encrypted: bool = False

    @property
    def wire(self) -> Wire:
        """The format that it reads."""
        return "hl7v2" if self.protocol == "mllp" else "fhir"

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine.

        >>> Endpoint("mllp", "", "127.0.0.1", 2575).loopback, Endpoint("mllp", "", "pas.example", 2575).loopback
        (True, False)
        """
        return is_loopback(self.host)


def read_target(text: str) -> FileTarget | Endpoint:
    """Read TARGET; raises `click.UsageError` with what would be right.

    >>> read_target("mllp://127.0.0.1:2575").port, read_target("http://127.0.0.1:8080/fhir").wire
    (2575, 'fhir')
    """
    scheme, mark, _ = text.partition("://")
    if not mark:
        return _read_file(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise click.UsageError(f"{text}: no such host and port; mllp://HOST:PORT or http://HOST:PORT/fhir") from None
    if parts.username is not None or parts.password is not None:
        # Not repeated: it would put a password on the screen and into a log.
        raise click.UsageError("TARGET names a user: put a bearer token into WARDSTREAM_HTTP_TOKEN instead")
    if not parts.hostname or port == 0:
        raise click.UsageError(f"{text}: name the host and the port")
    if scheme == "mllp":
        return _read_mllp(text, parts, port)
    if scheme in {"http", "https"}:
        return _read_fhir(text, parts, port)
    raise click.UsageError(f"{text}: TARGET begins with mllp:// or http://, or is a file (.hl7 or .ndjson)")


def _read_file(text: str) -> FileTarget:
    path = Path(str(click.Path(dir_okay=False).convert(text, None, None)))
    wire = _WIRES.get(Path(path.name.removesuffix(".gz")).suffix)
    if wire is None:
        raise click.UsageError(
            f"{path.name}: end a file in .hl7 or .ndjson (.gz too), so that the format is known; "
            "or name an endpoint: mllp://HOST:PORT, http://HOST:PORT/fhir"
        )
    return FileTarget(path, wire)


def _read_mllp(text: str, parts: SplitResult, port: int | None) -> Endpoint:
    if port is None:
        raise click.UsageError(f"{text}: name the port too: mllp://{parts.hostname}:2575")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise click.UsageError(f"{text}: MLLP has no paths; mllp://{parts.hostname}:{port}")
    return Endpoint("mllp", text, parts.hostname or "", port)


def _read_fhir(text: str, parts: SplitResult, port: int | None) -> Endpoint:
    if not parts.path:
        raise click.UsageError(f"{text}: name the FHIR base, such as {text}/fhir; of a base that is the root, {text}/")
    if parts.query or parts.fragment:
        raise click.UsageError(f"{text}: a FHIR base has neither ? nor #")
    encrypted = parts.scheme == "https"
    return Endpoint("fhir", text, parts.hostname or "", port or (443 if encrypted else 80), encrypted)
