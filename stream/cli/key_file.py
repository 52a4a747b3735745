"""A private key in a file of its own, for whoever signs: versions, decisions, evidence, acts, a gateway.

Owns the file's making and reading. Must not know what is signed with it.
"""

from __future__ import annotations

import os
from pathlib import Path

from stream.settings import ConfigurationError

KEY_FILE_MODE = 0o600


def make_key(file: Path) -> str:
    """Write a new private key to a new file; give its public half. Raises `ConfigurationError` where it is there."""
    from connectors.signing import generate_key

    pair = generate_key()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_FILE_MODE)
    except FileExistsError:
        raise ConfigurationError(f"{file} is there already: a key is never written over; name another file") from None
    with os.fdopen(descriptor, "wb") as out:
        out.write(pair.private_pem)
    return pair.public


def read_key(path: Path) -> bytes:
    """Give a private key (PEM); raises `ConfigurationError` where it cannot be used, and quotes nothing of the file."""
    from connectors.signing import SigningKeyError, public_key

    try:
        pem = path.read_bytes()
        public_key(pem)
    except SigningKeyError as error:
        raise ConfigurationError(f"{path.name}: {error}") from None
    except OSError as fault:
        raise ConfigurationError(f"{path.name}: cannot be read ({fault.strerror})") from None
    return pem
