"""The files behind a SOURCE: one file, a folder of them, or a tar archive, each unpacked as it is read.

Owns the walk, the endings of names, and the counting of bytes for a progress bar. Must not know messages. Nothing is
passed over in silence: what is no plain file of a known kind is listed as skipped, and a file or an archive that cannot
be read to its end gives a stream whose fault says so, in its place.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from connectors.sources.arrival import SourceError
from connectors.sources.unpacking import BREAKS_OFF, CANNOT_BE_READ, DAMAGE, IS_DAMAGED, Guarded, Unpacking

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
        self._path = _shown(str(path))
        if not path.exists():
            raise SourceError(f"{self._path}: there is no such file or folder")
        if not path.is_dir() and not path.is_file():
            raise SourceError(f"{self._path}: neither a file nor a folder; give a file that can be read twice")
        self.skipped: list[str] = []
        self.bytes_total = 0
        self.bytes_read = 0
        self._root = path if path.is_dir() else path.parent
        self._files: list[Path] = []
        self._unknown: list[str] = []
        for file in sorted(_walk(path)) if path.is_dir() else [path]:
            known_kind = kind_of(file.name) is not None or _is_archive(file.name)
            if known_kind and _is_plain(file):
                self._files.append(file)
            else:
                self._unknown.append(self._name(file))
        if not self._files:
            known = ", ".join([*KINDS, *ARCHIVE_SUFFIXES])
            raise SourceError(
                f"{self._path}: no message file in it. Messages are in files that end in {known} (or .gz of it)"
            )
        self.bytes_total = sum(_size(file) for file in self._files)

    def read(self) -> Iterator[tuple[str, Kind, IO[bytes]]]:
        """Yield (name below the SOURCE, kind, unpacked stream); a stream is good until the next one is asked for."""
        self.skipped = list(self._unknown)
        done = 0
        self.bytes_read = 0
        for file in self._files:
            try:
                raw = file.open("rb")
            except OSError:
                yield self._name(file), "hl7", _broken(CANNOT_BE_READ)
                continue
            with raw:
                if _is_archive(file.name):
                    yield from self._read_archive(file, raw, done)
                else:
                    kind = kind_of(file.name)
                    assert kind is not None, "only such files were taken"
                    with _unpacked(file.name, raw) as stream:
                        self.bytes_read = done
                        yield self._name(file), kind, stream
            done += _size(file)
            self.bytes_read = done

    def _read_archive(self, file: Path, raw: IO[bytes], done: int) -> Iterator[tuple[str, Kind, IO[bytes]]]:
        """Give an archive's members as far as it goes; then its fault, as one empty file of the archive's name."""
        name = self._name(file)
        begun = False
        fault = ""
        try:
            with tarfile.open(fileobj=raw, mode="r|*", tarinfo=_Member) as archive:
                begun = True
                for number, member in enumerate(archive):
                    if number >= ARCHIVE_MEMBERS_MAX:
                        raise SourceError(f"{self._path}: {name}: more than {ARCHIVE_MEMBERS_MAX} files in it")
                    inner = f"{name}/{_shown(member.name)}"
                    kind = kind_of(member.name)
                    content = archive.extractfile(member) if member.isfile() else None
                    if content is None or kind is None:
                        if not member.isdir():
                            self.skipped.append(inner)
                        continue
                    with _unpacked(member.name, content) as stream:
                        yield inner, kind, stream
                        if _torn(stream):
                            return
                    self.bytes_read = done + raw.tell()
                fault = "" if _Member.ended_well(archive) else BREAKS_OFF
        except DAMAGE as error:
            if not begun and len(self._files) == 1:
                raise SourceError(
                    f"{self._path}: not a readable tar archive ({type(error).__name__}); give one that tar can list"
                ) from None
            fault = BREAKS_OFF if begun else IS_DAMAGED
        except OSError:
            fault = CANNOT_BE_READ
        if fault:
            yield name, "hl7", _broken(fault)

    def _name(self, file: Path) -> str:
        return _shown(file.relative_to(self._root).as_posix())


class _Member(tarfile.TarInfo):
    """A member's header. `tarfile` takes a header that is damaged or missing for the end of the archive; this keeps
    what it really was.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        """Read the next header, as `tarfile` asks."""
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            archive.__dict__["ending"] = type(error).__name__
            raise

    @staticmethod
    def ended_well(archive: tarfile.TarFile) -> bool:
        """Whether the archive ended with the block of zeros that marks its end."""
        return archive.__dict__.get("ending") == "EOFHeaderError"


def _walk(folder: Path) -> Iterator[Path]:
    """Give all that lies in a folder but folders: links to folders and folders that cannot be read stand for
    themselves.
    """
    refused: list[Path] = []
    for where, folders, files in os.walk(folder, onerror=lambda error: refused.append(Path(error.filename))):
        for name in folders:
            if os.path.islink(os.path.join(where, name)):  # noqa: PTH114, PTH118 - a Path for each costs more than the walk
                yield Path(where, name)
        for name in files:
            yield Path(where, name)
    yield from refused


def _is_plain(file: Path) -> bool:
    """Whether it is a file, or a link to one: a pipe would be waited on for ever, a dangling link is none."""
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return False


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # gone since the walk: opening it says so
        return 0


def _shown(name: str) -> str:
    r"""Write a file's name as text, whatever bytes it is made of.

    >>> _shown("ward\udcff.hl7")
    'ward\\udcff.hl7'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def _broken(fault: str) -> IO[bytes]:
    return io.BufferedReader(Guarded(None, fault))


def _torn(stream: IO[bytes]) -> bool:
    """Whether a member's own bytes, not what is packed in it, broke off: then the archive has no more to give."""
    raw = getattr(stream, "raw", None)
    packed = raw.packed if isinstance(raw, Unpacking) else raw
    return isinstance(packed, Guarded) and bool(packed.fault)


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVE_SUFFIXES)


@contextmanager
def _unpacked(name: str, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    guarded = Guarded(raw)
    inner = Unpacking(guarded) if name.lower().endswith(".gz") else guarded
    with io.BufferedReader(inner, BUFFER_BYTES) as stream:
        yield stream
