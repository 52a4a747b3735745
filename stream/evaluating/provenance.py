"""What an evaluation was made of, by digest: the sources' bytes, the configuration, the code and the choices.

Owns those digests and the one over all of them, which names the evaluation. Must not know what is done with the inputs.
No path and no file name is among them: where a file lay says nothing of what is in it, and its name may name a patient.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import msgspec

from connectors.sources.opening import DATASETS

PACKAGES = ("events", "features", "models", "guardrails", "alerts", "connectors", "stream")
"""Our own code, whose text a figure depends on."""
LIBRARIES = ("river", "numpy", "scipy", "matplotlib")
"""Whose numbers enter a figure, or the drawing of one."""
CHUNK_BYTES = 1 << 20


class SourceDigest(msgspec.Struct, frozen=True):
    """One source, by what it is and what is in it."""

    kind: str
    """A public data set's name, `file` or `folder`."""
    files: int
    bytes: int
    sha256: str
    """Over each file's relative name and content, in order of name; of one file over its content alone."""


class MadeOf(msgspec.Struct, frozen=True):
    """All that the figures follow from; two evaluations made of the same are the same byte for byte."""

    sources: tuple[SourceDigest, ...]
    configuration: str
    """Digest of the settings that the scores were computed with."""
    release: str
    """The service's version, with its build's name where there is one."""
    code: str
    """Digest of our own packages' text."""
    libraries: dict[str, str]
    python: str
    choices: dict[str, str]
    """What was asked for on the command line, in words."""

    def digest(self) -> str:
        """Give the digest over all of it, `sha256:` and hex: the name of the evaluation."""
        return "sha256:" + sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def digest_source(spec: str) -> SourceDigest:
    """Give a SOURCE's digest; it must be there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "Doe_John.hl7").write_bytes(b"MSH|")
    ...     one, whole = digest_source(f"{folder}/Doe_John.hl7"), digest_source(folder)
    >>> one.kind, one.files, one.bytes, whole.kind, one.sha256 == sha256(b"MSH|").hexdigest()
    ('file', 1, 4, 'folder', True)
    """
    scheme, colon, rest = spec.partition(":")
    named = bool(colon) and scheme in DATASETS
    path = Path(rest if named else spec)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    whole = sha256()
    size = 0
    for file in files:
        if not path.is_file():
            whole.update(file.relative_to(path).as_posix().encode() + b"\0")
        for chunk in _chunks(file):
            whole.update(chunk)
            size += len(chunk)
    kind = scheme if named else "file" if path.is_file() else "folder"
    return SourceDigest(kind, len(files), size, whole.hexdigest())


def digest_file(path: Path) -> str:
    """Give the SHA-256 of a file's content, in hex."""
    whole = sha256()
    for chunk in _chunks(path):
        whole.update(chunk)
    return whole.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


@cache
def code_digest() -> str:
    """Give the digest of our own packages' Python text, once a process: what was imported does not change either."""
    whole = sha256()
    root = Path(__file__).resolve().parents[2]
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            whole.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def made_of(sources: Sequence[str], configuration: str, release: str, choices: dict[str, str]) -> MadeOf:
    """Put together what an evaluation is made of; `choices` are the options, in words."""
    return MadeOf(
        sources=tuple(digest_source(spec) for spec in sources),
        configuration=configuration,
        release=release,
        code=code_digest(),
        libraries={name: metadata.version(name) for name in LIBRARIES},
        python=platform.python_version(),
        choices=choices,
    )
