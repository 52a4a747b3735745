"""Claims about a watched folder: which files are ready, in which order, and how each is moved."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from connectors.batches.inbox import DONE, FAILED, RESULTS_SUFFIX, Inbox, InboxError, read_plain

SETTLE_S = 5.0


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    """A folder that is ours."""
    made = Inbox(tmp_path / "in")
    assert made.open()
    return made


def ready(inbox: Inbox, at_s: float) -> list[str]:
    """Give the names of the files that are ready."""
    return [candidate.path.name for candidate, _ in inbox.settled(at_s, SETTLE_S)]


def test_a_file_is_ready_when_it_has_not_changed_for_a_while(inbox: Inbox) -> None:
    """A file that grows is not read until it has stood still; one that is written anew begins again."""
    path = inbox.folder / "a.hl7"
    path.write_bytes(b"MSH")
    assert ready(inbox, 0) == []
    path.write_bytes(b"MSH|")
    assert ready(inbox, 6) == []
    assert ready(inbox, 10) == []
    assert ready(inbox, 11) == ["a.hl7"]
    os.utime(path, ns=(1, 1))
    assert ready(inbox, 12) == []
    assert ready(inbox, 17) == ["a.hl7"]


def test_the_order_is_that_of_the_names(inbox: Inbox) -> None:
    """Files are given in order of their names; what is being written by another name, and what is no file, is not."""
    for name in ("b.hl7", "a.hl7", "c.hl7.gz", "d.tmp", "e.hl7.part", ".f.hl7", "g.filepart", "~h"):
        (inbox.folder / name).write_bytes(b"x")
    (inbox.folder / "link.hl7").symlink_to(inbox.folder / "a.hl7")
    (inbox.folder / "folder.hl7").mkdir()
    ready(inbox, 0)
    assert ready(inbox, 5) == ["a.hl7", "b.hl7", "c.hl7.gz"]
    (inbox.folder / "d.tmp").rename(inbox.folder / "d.hl7")
    ready(inbox, 6)
    assert ready(inbox, 11) == ["a.hl7", "b.hl7", "c.hl7.gz", "d.hl7"]


def test_a_file_is_moved_with_its_results(inbox: Inbox) -> None:
    """Done with, a file and its results lie in the folder that says so; one of the same name before stays."""
    for number, where in ((1, DONE), (2, DONE), (3, FAILED)):
        path = inbox.folder / "a.hl7"
        path.write_bytes(b"%d" % number)
        ready(inbox, number * 10)
        ((candidate, _),) = inbox.settled(number * 10 + 5, SETTLE_S)
        inbox.finish(candidate, where, json.dumps({"number": number}).encode())
        assert not path.exists()
    found = {
        str(path.relative_to(inbox.folder)): path.read_text()
        for path in sorted(inbox.folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    assert found == {
        "done/a.hl7": "1",
        f"done/a.hl7{RESULTS_SUFFIX}": '{"number": 1}',
        "done/a.hl7.1": "2",
        f"done/a.hl7.1{RESULTS_SUFFIX}": '{"number": 2}',
        "failed/a.hl7": "3",
        f"failed/a.hl7{RESULTS_SUFFIX}": '{"number": 3}',
    }
    assert not list(inbox.folder.rglob(f".*{RESULTS_SUFFIX}"))


def test_one_process_watches_a_folder(inbox: Inbox) -> None:
    """Another cannot take the folder until it is given back."""
    other = Inbox(inbox.folder)
    assert not other.open()
    inbox.close()
    assert other.open()
    other.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A folder under a file is refused by the key of the configuration."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InboxError, match=r"^batch\.folder: "):
        Inbox(tmp_path / "file" / "in").open()


def test_what_has_taken_a_files_place_is_not_read(inbox: Inbox) -> None:
    """A link or a pipe that takes a file's name after the look is neither read nor waited for."""
    secret, path = inbox.folder.parent / "secret", inbox.folder / "a.hl7"
    secret.write_bytes(b"MSH|^~\\&|secret")
    path.symlink_to(secret)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        read_plain(path, 100)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="no plain file"):
        read_plain(path, 100)
    path.unlink()
    path.write_bytes(b"x" * 200)
    assert len(read_plain(path, 100)) == 101, "a byte more than the limit says that there is more"
