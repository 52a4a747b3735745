"""Which model versions this installation has: the ones that ship, and those of a folder.

Owns finding and loading them by content hash. Must not know what a version says. A file that does not load is reported
by name and left out; nothing is unpickled.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from models.version import VERSION_BYTES_MAX, ModelVersion, VersionError, load


class NoSuchVersionError(LookupError):
    """No version of that name: the operator's to mend; the text lists those there are."""


def load_versions(folder: Path | None = None) -> tuple[dict[str, ModelVersion], list[str]]:
    """Load the versions that ship and those in `folder`; give them by id, and what was wrong with the others."""
    found: dict[str, ModelVersion] = {}
    wrong: list[str] = []
    texts = _shipped()
    if folder is not None:
        for path in sorted(folder.glob("*.json")):
            if path.stat().st_size > VERSION_BYTES_MAX:
                wrong.append(f"{path.name}: longer than {VERSION_BYTES_MAX} bytes")
            else:
                texts.append((path.name, path.read_bytes()))
    for name, text in texts:
        try:
            version = load(text)
        except VersionError as error:
            wrong.append(f"{name}: {error}")
        else:
            found[version.version] = version
    return found, wrong


def shipped_version(versions: dict[str, ModelVersion]) -> str:
    """Give the id of the version that ships, or nothing where it did not load: then NEWS2 runs alone."""
    names = [name.removesuffix(".json") for name, _text in _shipped()]
    return next((name for name in names if name in versions), "")


def _shipped() -> list[tuple[str, bytes]]:
    folder = resources.files("models") / "shipped"
    files = list(folder.iterdir()) if folder.is_dir() else []
    return sorted((file.name, file.read_bytes()) for file in files if file.name.endswith(".json"))


def choose_version(name: str, versions: dict[str, ModelVersion]) -> str:
    """Give the full id for an unambiguous beginning of one (or the only one for `""`); raises `NoSuchVersionError`."""
    if name == "none":
        return ""
    matches = sorted(version for version in versions if version.startswith(name) or version.endswith(name))
    if len(matches) != 1:
        known = ", ".join(sorted(versions)) or "none"
        raise NoSuchVersionError(f"{len(matches)} versions match {name!r}; known: {known}")
    return matches[0]
