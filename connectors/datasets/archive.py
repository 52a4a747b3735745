"""The files of a data set, wherever they lie: a folder, a tar archive, or a folder that holds the archive.

Owns the finding and the reading of stay files in order of their names, in bounded memory: an archive, whose members
come in any order, is copied once to a temporary file and then read by offset. Must not know what is in the files.
"""

from __future__ import annotations

import lzma
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

STAY_BYTES_MAX = 4 * 1024 * 1024
"""A longer stay file is no stay: the longest of the public sets is below 100 KB."""
FILES_MAX = 500_000
"""Bounds the index of names: ten times the largest public set."""

_ARCHIVE_SUFFIXES = (".tar", ".tar.xz", ".tar.gz", ".tgz", ".tar.bz2")


class DatasetError(ValueError):
    """The operator's: what was named is not this data set. The text says what was sought and what to do."""


class Progress:
    """How far a reading has come, in bytes of unpacked files; `bytes_total` is 0 until it is known."""

    bytes_total: int = 0
    bytes_read: int = 0


def read_files(path: Path, wanted: re.Pattern[str], progress: Progress | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, content) of each file whose name matches `wanted`, in order of name; keep `progress` current.

    Raises `DatasetError` where there is no such file, or one is too long to be what it should be.
    """
    progress = progress or Progress()
    found = False
    for name, data in _read_from(path, wanted, progress):
        found = True
        progress.bytes_read += len(data)
        yield name, data
    if not found:
        raise DatasetError(
            f"{path}: no file named like {wanted.pattern} in it. Give the folder of the unpacked files, "
            "the .tar.xz archive itself, or the folder that holds the archive"
        )


def _read_from(path: Path, wanted: re.Pattern[str], progress: Progress) -> Iterator[tuple[str, bytes]]:
    if not path.exists():
        raise DatasetError(f"{path}: there is no such file or folder")
    if path.is_file():
        yield from _read_archives([path], wanted, progress)
        return
    files = sorted((file for file in path.rglob("*") if wanted.fullmatch(file.name)), key=lambda file: file.name)
    if files:
        progress.bytes_total = sum(file.stat().st_size for file in files)
        for file in files:
            if file.stat().st_size > STAY_BYTES_MAX:
                raise DatasetError(f"{file}: longer than {STAY_BYTES_MAX} bytes, so not a stay")
            yield file.name, file.read_bytes()
        return
    yield from _read_archives(sorted(file for file in path.iterdir() if is_archive(file)), wanted, progress)


def is_archive(path: Path) -> bool:
    """Say by its name whether a file is a tar archive.

    >>> is_archive(Path("set-a.tar.xz")), is_archive(Path("set-a.txt"))
    (True, False)
    """
    return path.name.endswith(_ARCHIVE_SUFFIXES)


def _read_archives(paths: list[Path], wanted: re.Pattern[str], progress: Progress) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryFile(prefix="wardstream-dataset-") as spool:
        index: list[tuple[str, int, int]] = []
        for path in paths:
            try:
                with tarfile.open(path) as archive:
                    for member in archive:
                        name = Path(member.name).name
                        if not member.isfile() or not wanted.fullmatch(name):
                            continue
                        if member.size > STAY_BYTES_MAX or len(index) >= FILES_MAX:
                            raise DatasetError(f"{path}: {name} is longer than {STAY_BYTES_MAX} bytes or one too many")
                        content = archive.extractfile(member)
                        data = content.read() if content is not None else b""
                        index.append((name, spool.tell(), spool.write(data)))
            except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
                raise DatasetError(f"{path}: not a readable tar archive ({type(error).__name__})") from None
        progress.bytes_total = spool.tell()
        for name, offset, length in sorted(index):
            spool.seek(offset)
            yield name, spool.read(length)
