"""Files, links and archives that are not what they should be: told by name, and never the end of a reading."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from connectors.decoded import Decoded, Refusal
from connectors.sources import SourceError, files, open_source
from connectors.sources.files import FileSet


def adt(number: int) -> bytes:
    time = f"197001010000{number:02d}+0000"
    text = f"MSH|^~\\&|A|B|||{time}||ADT^A01|{number}|P|2.5\rEVN|A01|{time}\rPID|1||7^^^H^MR\rPV1|1|I|W\r"
    return text.encode()


def results(source: Path) -> list[tuple[str, str]]:
    """Give each arrival's file and what became of it."""
    found = []
    for arrival in open_source(str(source)):
        refused = isinstance(arrival.decoded, Refusal)
        found.append((arrival.position, arrival.decoded.reason.value if refused else "decoded"))
    return sorted(found)


def archived(mode: str, members: int, size: int = 0) -> bytes:
    """Pack members of one message each; `size` pads them with segments that do not compress."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for number in range(members):
            data = adt(number) + b"".join(b"ZZZ|%s\r" % os.urandom(30).hex().encode() for _ in range(size // 60))
            member = tarfile.TarInfo(f"m{number}.hl7")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.97])
def test_an_archive_that_is_cut_gives_what_it_holds(tmp_path: Path, mode: str, share: float) -> None:
    """Members before the cut are read, the cut is one refusal, and the other files of the folder are read too."""
    packed = archived(mode, 12, size=20_000)
    (tmp_path / "a.tar").write_bytes(packed[: int(len(packed) * share)])
    (tmp_path / "b.hl7").write_bytes(adt(30))
    found = results(tmp_path)
    assert ("b.hl7#1", "decoded") in found
    assert [reason for _, reason in found if reason != "decoded"] == ["truncated"]
    assert len(found) > 12 * share * 0.5


@pytest.mark.parametrize("at", [0, 512, 1024, 1536])
def test_an_archive_may_be_cut_anywhere(tmp_path: Path, at: int) -> None:
    """Cut between members or within a header, where tarfile takes it for the end, it is told all the same."""
    packed = archived("w", 3)
    (tmp_path / "a.tar").write_bytes(packed[: 1024 + at])
    reasons = [reason for _, reason in results(tmp_path)]
    assert reasons.count("truncated") == 1
    assert set(reasons) == {"decoded", "truncated"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_whole_archive_has_no_fault(tmp_path: Path, mode: str) -> None:
    """An archive that ends as it should gives its members and nothing more."""
    (tmp_path / "a.tar").write_bytes(archived(mode, 3))
    assert [reason for _, reason in results(tmp_path)] == ["decoded"] * 3


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    """A header that was changed ends the archive, and says so."""
    packed = bytearray(archived("w", 3))
    packed[1024 + 100] ^= 255
    (tmp_path / "a.tar").write_bytes(packed)
    assert results(tmp_path) == [("a.tar#1", "truncated"), ("a.tar/m0.hl7#1", "decoded")]


def test_no_archive_among_other_files_is_a_refusal(tmp_path: Path) -> None:
    """What is no archive is the operator's error by itself, and one dead letter beside other files."""
    (tmp_path / "a.tar.xz").write_bytes(b"no archive")
    with pytest.raises(SourceError, match="not a readable tar archive"):
        list(open_source(str(tmp_path)))
    (tmp_path / "b.hl7").write_bytes(adt(1))
    assert results(tmp_path) == [("a.tar.xz#1", "garbage"), ("b.hl7#1", "decoded")]


def test_a_bad_checksum_costs_no_message(tmp_path: Path) -> None:
    """All messages of a gzip file whose checksum is wrong are given, and one refusal."""
    packed = bytearray(gzip.compress(b"".join(adt(number) for number in range(50)), mtime=0))
    packed[-6] ^= 255
    (tmp_path / "a.hl7.gz").write_bytes(packed)
    reasons = [reason for _, reason in results(tmp_path / "a.hl7.gz")]
    assert (reasons.count("decoded"), reasons.count("garbage")) == (50, 1)


def test_a_changed_byte_costs_only_what_follows_it(tmp_path: Path) -> None:
    """What was unpacked before the fault is given, though it lay in the same block."""
    packed = bytearray(gzip.compress(b"".join(adt(number) for number in range(50)) + os.urandom(30_000), mtime=0))
    cut = packed[:-10_000]
    for at in range(len(cut) - 200, len(cut)):
        cut[at] = 255
    (tmp_path / "a.hl7.gz").write_bytes(cut)
    reasons = [reason for _, reason in results(tmp_path / "a.hl7.gz")]
    assert reasons.count("decoded") >= 49


def test_a_file_that_is_no_gzip_is_one_refusal(tmp_path: Path) -> None:
    """Nothing of it can be read, and that is told once, whatever it should have held."""
    (tmp_path / "a.json.gz").write_bytes(b"{}")
    assert results(tmp_path) == [("a.json.gz#1", "garbage")]


def test_a_file_name_of_any_bytes_is_text(tmp_path: Path) -> None:
    """A name that is no UTF-8 is written with escapes, so that it can be put out."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.hl7")).write_bytes(adt(1))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfe.txt")).write_bytes(b"")
    assert results(tmp_path) == [("\\udcff.hl7#1", "decoded")]
    source = open_source(str(tmp_path))
    assert list(source)
    assert source.skipped == ("\\udcfe.txt",)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be opened, or breaks while it is read, is one dead letter under its name; the rest is read."""
    for name in ("a.hl7", "b.hl7"):
        (tmp_path / name).write_bytes(adt(1))
    (tmp_path / "c.hl7").symlink_to("/proc/self/mem")
    opened = Path.open

    def refuse(path: Path, *rest: str) -> object:
        if path.name == "a.hl7":
            raise PermissionError(13, "not yours")
        return opened(path, *rest)

    monkeypatch.setattr(files.Path, "open", refuse)
    assert results(tmp_path) == [("a.hl7#1", "garbage"), ("b.hl7#1", "decoded"), ("c.hl7#1", "garbage")]


def test_links_and_pipes_are_listed(tmp_path: Path) -> None:
    """Links to folders, dangling links and pipes are skipped by name; a link to a file is read."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.hl7").write_bytes(adt(1))
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (inside / "deep" / "file.hl7").symlink_to(outside / "x.hl7")
    (inside / "folder").symlink_to(outside)
    (inside / "folder.hl7").symlink_to(outside)
    (inside / "gone.hl7").symlink_to(outside / "gone")
    (inside / "round.hl7").symlink_to(inside / "round.hl7")
    os.mkfifo(inside / "pipe.hl7")
    source = open_source(str(inside))
    assert [arrival.position for arrival in source if isinstance(arrival.decoded, Decoded)] == ["deep/file.hl7#1"]
    assert sorted(source.skipped) == ["folder", "folder.hl7", "gone.hl7", "pipe.hl7", "round.hl7"]
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        open_source(str(inside / "pipe.hl7"))


def test_the_walk_costs_as_much_as_there_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is looked at a fixed number of times, however many there are."""
    looked = 0
    counted = files._is_plain

    def count(file: Path) -> bool:
        nonlocal looked
        looked += 1
        return counted(file)

    for number in range(300):
        (tmp_path / f"{number}.hl7").write_bytes(b"")
        (tmp_path / f"{number}.txt").write_bytes(b"")
    monkeypatch.setattr(files, "_is_plain", count)
    compared = 0
    equal = Path.__eq__

    def compare(one: Path, other: object) -> bool:
        nonlocal compared
        compared += 1
        return equal(one, other)

    monkeypatch.setattr(Path, "__eq__", compare)
    assert len(list(FileSet(tmp_path).read())) == looked == 300
    assert compared < 6_000
