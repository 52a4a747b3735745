"""Which model versions this installation has: the ones that ship, and those of a folder.

Owns finding and loading them by content hash, and, where a site trusts keys, refusing what none of them signed. Must
not know what a version says. A file that does not load is reported by name and left out; nothing is unpickled.

Without trusted keys who may write in the folder decides what may be promoted; with them a version of the folder needs
its signature beside it (`FILE.sig`), in shadow too. Those that ship came with the signed release and need none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from models.version import VERSION_BYTES_MAX, ModelVersion, VersionError, dump, load

if TYPE_CHECKING:
    from connectors.signing import Signature

SIGNATURE_SUFFIX = ".sig"
SIGNATURE_FILE_BYTES_MAX = 4096


class StoredSignature(msgspec.Struct, frozen=True):
    """What a `.sig` file says."""

    version: str
    key_id: str
    signature: str


class Versions(dict[str, ModelVersion]):
    """The versions at hand, by id, and why others of the folder are not."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.refused: dict[str, str] = {}
        """By id: those that would load, and that no trusted key has signed as they are."""


class NoSuchVersionError(LookupError):
    """No version of that name: the operator's to mend; the text lists those there are."""


def load_versions(folder: Path | None = None, trusted: Collection[str] = ()) -> tuple[Versions, list[str]]:
    """Load the versions that ship and those in `folder`; give them by id, and what was wrong with the others.

    `trusted` are public keys in hexadecimal. Where there are any, a version of the folder that none of them signed is
    refused.
    """
    found = Versions()
    wrong: list[str] = []
    for name, text in _shipped():
        _load_one(found, wrong, name, text)
    for path in sorted(folder.glob("*.json")) if folder is not None else ():
        if not path.is_file():  # a pipe would be waited on for ever
            wrong.append(f"{path.name}: no file")
            continue
        try:
            with path.open("rb") as file:
                text = file.read(VERSION_BYTES_MAX + 1)
        except OSError as fault:
            wrong.append(f"{path.name}: cannot be read ({type(fault).__name__})")
            continue
        if len(text) > VERSION_BYTES_MAX:
            wrong.append(f"{path.name}: longer than {VERSION_BYTES_MAX} bytes")
        else:
            _load_one(found, wrong, path.name, text, path if trusted else None, trusted)
    return found, wrong


def _load_one(
    found: Versions, wrong: list[str], name: str, text: bytes, signed: Path | None = None, trusted: Collection[str] = ()
) -> None:
    try:
        version = load(text)
    except VersionError as error:
        wrong.append(f"{name}: {error}")
        return
    known = found.get(version.version)
    if known is not None and known.digest != version.digest:
        # An id is twelve digits of the hash: it can be hit on purpose, and the one that is at hand stays.
        wrong.append(f"{name}: another version has the id {version.version} already")
        return
    fault = "" if signed is None or known is not None else _fault_of(version, signed, trusted)
    if fault:
        found.refused[version.version] = fault
        wrong.append(f"{name}: {fault}")
    else:
        found[version.version] = version


def _fault_of(version: ModelVersion, file: Path, trusted: Collection[str]) -> str:
    """Say why a version is not trusted; nothing where a trusted key signed it as it is."""
    from connectors.signing import SignatureError, verify

    try:
        verify(trusted, dump(version), read_signature(file, version.version))
    except SignatureError as error:
        return str(error)
    return ""


def read_signature(file: Path, version: str) -> Signature | None:
    """Give the signature beside a version's file; None where there is none that is of this version."""
    from connectors.signing import Signature

    path = file.with_name(file.name + SIGNATURE_SUFFIX)
    try:
        with path.open("rb") as stream:
            stored = msgspec.json.decode(stream.read(SIGNATURE_FILE_BYTES_MAX), type=StoredSignature)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Signature(stored.key_id, stored.signature) if stored.version == version else None


def shipped_version(versions: Mapping[str, ModelVersion]) -> str:
    """Give the id of the version that ships, or nothing where it did not load: then NEWS2 runs alone."""
    names = [name.removesuffix(".json") for name, _text in _shipped()]
    return next((name for name in names if name in versions), "")


def _shipped() -> list[tuple[str, bytes]]:
    folder = resources.files("models") / "shipped"
    files = list(folder.iterdir()) if folder.is_dir() else []
    return sorted((file.name, file.read_bytes()) for file in files if file.name.endswith(".json"))


def choose_version(name: str, versions: Mapping[str, ModelVersion]) -> str:
    """Give the full id for an unambiguous beginning of one (or the only one for `""`); raises `NoSuchVersionError`."""
    if name == "none":
        return ""
    matches = _matching(name, versions)
    if len(matches) != 1:
        refused = versions.refused if isinstance(versions, Versions) else {}
        if not matches and (fault := next((refused[one] for one in _matching(name, refused)), "")):
            raise NoSuchVersionError(f"version {name} is refused: {fault}; sign it with `wardstream models sign`")
        known = ", ".join(sorted(versions)) or "none"
        raise NoSuchVersionError(f"{len(matches)} versions match {name!r}; known: {known}")
    return matches[0]


def _matching(name: str, known: Collection[str]) -> list[str]:
    return sorted(one for one in known if one.startswith(name) or one.endswith(name))
