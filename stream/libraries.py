"""Which libraries this process runs with, named by one digest: part of where a version comes from.

Owns what counts as a library of ours (what the release requires, and what that requires, as installed) and the digest.
Must not know what is learned with them.
"""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution

RELEASE = "wardstream"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SEPARATORS = re.compile(r"[-_.]+")


def libraries(release: str = RELEASE) -> dict[str, str]:
    """Give the version of each library that a release requires and that is installed, by canonical name, sorted.

    What only an extra asks for is not among them, nor the release itself.

    >>> "numpy" in libraries(), "wardstream" in libraries(), "pytest" in libraries()
    (True, False, False)
    """
    found: dict[str, str] = {}
    wanted = [release]
    while wanted:
        name = wanted.pop()
        installed = _installed(name)
        if installed is None or _canonical(name) in found:
            continue
        found[_canonical(name)] = installed.version
        wanted += _required(installed)
    found.pop(_canonical(release), None)
    return dict(sorted(found.items()))


def libraries_digest(release: str = RELEASE) -> str:
    """Name them: SHA-256, in hexadecimal, over one `name==version` a line.

    >>> len(libraries_digest())
    64
    """
    lines = "".join(f"{name}=={version}\n" for name, version in libraries(release).items())
    return sha256(lines.encode()).hexdigest()


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _required(installed: Distribution) -> list[str]:
    names = []
    for requirement in installed.requires or ():
        wanted, _, marker = requirement.partition(";")
        name = _NAME.match(wanted.strip())
        if name is not None and "extra" not in marker:
            names.append(name.group())
    return names


def _canonical(name: str) -> str:
    """Spell a name as PEP 503 does."""
    return _SEPARATORS.sub("-", name).lower()
