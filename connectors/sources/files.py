"""The files behind a SOURCE: one file, a folder of them, or a tar archive, each unpacked as it is read.

Owns the walk, the endings of names, and the counting of bytes for a progress bar. Must not know messages.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from connectors.sources.arrival import SourceError
from connectors.sources.unpacking import Unpacking

Kind = Literal["hl7", "json", "ndjson"]

KINDS: dict[str, Kind] = {".hl7": "hl7", ".ndhl7": "hl7", ".json": "json", ".ndjson": "ndjson"}
"""By ending, each with or without `.gz`. `.ndhl7` is ER7 too: messages begin at MSH there as anywhere."""
ARCHIVE_SUFFIXES = (".tar", ".tar.xz", ".tar.gz", ".tgz")
BUFFER_BYTES = 256 * 1024
"""Unpacked at once: enough that line by line reading costs little."""
ARCHIVE_MEMBERS_MAX = 1_000_000
"""An archive of more members is not read on: a bound on what a bomb can cost."""


def kind_of(name: str) -> Kind | None:
    """Tell by its name what a file holds; None for what is no message.

    >>> kind_of("a.HL7.gz"), kind_of("b.ndjson"), kind_of("LICENSE")
    ('hl7', 'ndjson', None)
    """
    lowered = name.lower().removesuffix(".gz")
    return KINDS.get(Path(lowered).suffix)


class FileSet:
    """All files of a SOURCE, in order of their paths below it (an archive's: in the archive's order)."""

    def __init__(self, path: Path) -> None:
        """Walk `path`; raises `SourceError` where there is nothing, or nothing of a known kind."""
        if not path.exists():
            raise SourceError(f"{path}: there is no such file or folder")
        self.skipped: list[str] = []
        self.bytes_total = 0
        self.bytes_read = 0
        self._root = path if path.is_dir() else path.parent
        found = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        self._files = [file for file in found if kind_of(file.name) or _is_archive(file.name)]
        self._unknown = [self._name(file) for file in found if file not in set(self._files)]
        if not self._files:
            known = ", ".join([*KINDS, *ARCHIVE_SUFFIXES])
            raise SourceError(
                f"{path}: no message file in it. Messages are in files that end in {known} (or .gz of it)"
            )
        self.bytes_total = sum(file.stat().st_size for file in self._files)

    def read(self) -> Iterator[tuple[str, Kind, IO[bytes]]]:
        """Yield (name below the SOURCE, kind, unpacked stream); a stream is good until the next one is asked for."""
        self.skipped = list(self._unknown)
        done = 0
        self.bytes_read = 0
        for file in self._files:
            with file.open("rb") as raw:
                if _is_archive(file.name):
                    yield from self._read_archive(file, raw, done)
                else:
                    kind = kind_of(file.name)
                    assert kind is not None, "only such files were taken"
                    with _unpacked(file.name, raw) as stream:
                        self.bytes_read = done
                        yield self._name(file), kind, stream
            done += file.stat().st_size
            self.bytes_read = done

    def _read_archive(self, file: Path, raw: IO[bytes], done: int) -> Iterator[tuple[str, Kind, IO[bytes]]]:
        name = self._name(file)
        try:
            with tarfile.open(fileobj=raw, mode="r|*") as archive:
                for number, member in enumerate(archive):
                    if number >= ARCHIVE_MEMBERS_MAX:
                        raise SourceError(f"{file}: more than {ARCHIVE_MEMBERS_MAX} files in it")
                    kind = kind_of(member.name)
                    content = archive.extractfile(member) if member.isfile() else None
                    if content is None:
                        continue
                    if kind is None:
                        self.skipped.append(f"{name}/{member.name}")
                        continue
                    with _unpacked(member.name, content) as stream:
                        yield f"{name}/{member.name}", kind, stream
                    self.bytes_read = done + raw.tell()
        except (tarfile.TarError, EOFError) as error:
            raise SourceError(f"{file}: not a readable tar archive ({type(error).__name__})") from None

    def _name(self, file: Path) -> str:
        return file.relative_to(self._root).as_posix()


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVE_SUFFIXES)


@contextmanager
def _unpacked(name: str, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    if not name.lower().endswith(".gz"):
        yield raw
        return
    with io.BufferedReader(Unpacking(raw), BUFFER_BYTES) as stream:
        yield stream
