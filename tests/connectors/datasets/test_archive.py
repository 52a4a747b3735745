"""Data sets are found wherever they lie, and read in order of name."""

from __future__ import annotations

import io
import os
import re
import tarfile
from pathlib import Path

import pytest

from connectors.datasets.archive import DatasetError, Progress, read_files

WANTED = re.compile(r"p\d+\.psv")
FILES = {"p2.psv": b"two", "p1.psv": b"one", "LICENSE.txt": b"no stay"}


def pack(path: Path, mode: str = "w:xz") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload] # the mode is one of its own
        for name, data in FILES.items():
            member = tarfile.TarInfo(f"set/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_folder_archive_and_folder_of_the_archive_give_the_same(tmp_path: Path) -> None:
    """The unpacked folder, the archive, and a folder that holds the archive give the same files in order of name."""
    unpacked = tmp_path / "unpacked" / "set"
    unpacked.mkdir(parents=True)
    for name, data in FILES.items():
        (unpacked / name).write_bytes(data)
    packed = tmp_path / "packed"
    packed.mkdir()
    pack(packed / "set.tar.xz")
    expected = [("p1.psv", b"one"), ("p2.psv", b"two")]
    for place in (unpacked, unpacked.parent, packed, packed / "set.tar.xz"):
        assert list(read_files(place, WANTED)) == expected


def test_progress_ends_at_its_total(tmp_path: Path) -> None:
    """Bytes read equal the total once all is read."""
    pack(tmp_path / "set.tar.xz")
    progress = Progress()
    list(read_files(tmp_path, WANTED, progress))
    assert progress.bytes_read == progress.bytes_total == 6


def test_what_is_no_data_set_is_the_operators_error(tmp_path: Path) -> None:
    """An absent folder, an empty one, and a broken archive each raise an error that says what to do."""
    with pytest.raises(DatasetError, match="there is no such"):
        list(read_files(tmp_path / "absent", WANTED))
    with pytest.raises(DatasetError, match="Give the folder"):
        list(read_files(tmp_path, WANTED))
    (tmp_path / "set.tar.xz").write_bytes(b"not a tar")
    with pytest.raises(DatasetError, match="not a readable tar archive"):
        list(read_files(tmp_path, WANTED))


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_a_damaged_archive_is_the_operators_error(tmp_path: Path, mode: str) -> None:
    """An archive whose packed bytes were changed is named, whatever its packing raises."""
    path = tmp_path / "set.tar.xz"
    with tarfile.open(path, mode) as archive:
        member = tarfile.TarInfo("1.txt")
        member.size = 50_000
        archive.addfile(member, io.BytesIO(os.urandom(50_000)))
    packed = bytearray(path.read_bytes())
    packed[100:200] = bytes(100)
    path.write_bytes(packed)
    with pytest.raises(DatasetError, match="not a readable tar archive"):
        list(read_files(path, re.compile(r"\d+\.txt")))
