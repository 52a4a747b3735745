"""Claims about files of messages: each message is offered and accounted for, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from connectors.batches.inbox import LOCK_FILE, RESULTS_SUFFIX, Inbox, InboxError, read_plain
from connectors.batches.settings import BatchSettings
from connectors.batches.taking import OFFERED_AT_ONCE_MAX, FileTold, FolderWatch
from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import Receipt
from connectors.sources.arrival import Arrival
from tests.connectors.mllp.conftest import MemoryIntake, render

HEAD = b"FHS|^~\\&|LAB|MAIN\rBHS|^~\\&|LAB|MAIN\r"
WITHIN_S = 30


class Watched:
    """A watched folder with a clock of its own; looked at when the test says so."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.intake = MemoryIntake()
        self.told: list[FileTold] = []
        self.warnings: list[str] = []
        self.now = 0.0
        self.inbox = Inbox(folder)
        assert self.inbox.open()
        self.watch = FolderWatch(
            BatchSettings(folder=str(folder), **settings),
            self.inbox,
            self.intake,
            Hl7Settings(message_bytes_max=settings.get("message_bytes_max", 100_000)),
            report=self.told.append,
            warn=self.warnings.append,
            elapsed_s=lambda: self.now,
            retry_s=0.01,
        )

    def put(self, name: str, data: bytes) -> None:
        """Put a file into the folder."""
        (self.folder / name).write_bytes(data)

    async def look(self, after_s: float = 10.0) -> None:
        """Look, let time pass, and look again."""
        await self.watch.look()
        self.now += after_s
        async with asyncio.timeout(WITHIN_S):
            await self.watch.look()

    def results(self, name: str) -> list[dict[str, Any]]:
        """Give the lines of a file's results but for the summary."""
        (path,) = self.folder.rglob(f"{name}{RESULTS_SUFFIX}")
        return [json.loads(line) for line in path.read_text().splitlines()][:-1]


@pytest_asyncio.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """A watched folder."""
    made = Watched(tmp_path / "in")
    yield made
    await made.watch.stop(1)


def batch(*messages: bytes, counted: int | None = None) -> bytes:
    """Wrap messages."""
    return HEAD + b"".join(messages) + b"BTS|%d\rFTS|1\r" % (len(messages) if counted is None else counted)


@pytest.mark.asyncio
async def test_a_file_is_taken_in_whole_and_moved(watched: Watched) -> None:
    """Each message is offered in order, in portions; the file goes to done, with a line of results a message."""
    count = OFFERED_AT_ONCE_MAX + 10
    watched.put("day.hl7", batch(*(render(number) for number in range(count))))
    await watched.look()
    assert [one.decoded.message_id for one in watched.intake.arrivals] == [f"M{number}" for number in range(count)]
    assert watched.intake.offers == [OFFERED_AT_ONCE_MAX, 10]
    assert [(one.where, one.messages, one.outcomes) for one in watched.told] == [("done", count, {"accepted": count})]
    assert (watched.folder / "done" / "day.hl7").exists()
    lines = watched.results("day.hl7")
    assert [line["outcome"] for line in lines] == ["accepted"] * count
    assert lines[0]["position"] == watched.intake.arrivals[0].position
    assert "day" not in lines[0]["position"], "a file's name may name a patient"


@pytest.mark.asyncio
async def test_all_members_of_a_gzip_file_are_taken(watched: Watched) -> None:
    """Archives that were put one behind the other (RFC 1952) are one file: none of their messages is left out."""
    watched.put("day.hl7.gz", gzip.compress(render(1)) + gzip.compress(render(2)) + gzip.compress(render(3)))
    await watched.look()
    assert [one.decoded.message_id for one in watched.intake.arrivals] == ["M1", "M2", "M3"]
    assert [(one.where, one.outcomes) for one in watched.told] == [("done", {"accepted": 3})]


@pytest.mark.asyncio
async def test_what_is_refused_is_named_and_the_rest_is_taken(watched: Watched) -> None:
    """A message that cannot be used is offered too, for it is kept; its line says where and why; the file fails."""
    faulty = render(2).replace(b"PID|1||42", b"PID|1||")
    watched.put("a.hl7", batch(render(1), faulty, render(3)))
    await watched.look()
    (told,) = watched.told
    assert (told.where, told.outcomes, told.problems) == ("failed", {"accepted": 2, "refused": 1}, ())
    line = watched.results("a.hl7")[1]
    assert (line["message_id"], line["reason"], line["fault"]) == ("M2", "missing_identifier", "PID-3")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (batch(render(1), counted=2), "batch 1: BTS-1 counts 2, there is 1 message"),
        (b"", "there is no message in it"),
        (gzip.compress(batch(render(1)))[:-9], "damaged: the gzip file breaks off"),
        (b"\x1f\x8bnothing of it", "damaged: it is no whole gzip file"),
    ],
)
async def test_a_file_that_is_not_in_order_fails(watched: Watched, data: bytes, problem: str) -> None:
    """A wrong count, no message and a damaged archive are said, and the file goes to failed."""
    watched.put("a.hl7", data)
    await watched.look()
    (told,) = watched.told
    assert (told.where, told.problems) == ("failed", (problem,))


@pytest.mark.asyncio
async def test_a_long_file_fails_unread(tmp_path: Path) -> None:
    """A file, or what it unpacks to, past the limit is not taken into memory."""
    watched = Watched(tmp_path / "in", file_bytes_max=10_000)
    watched.put("a.hl7", b"x" * 10_001)
    watched.put("b.hl7.gz", gzip.compress(b"\r" * 1_000_000))
    await watched.look()
    assert [one.problems for one in watched.told] == [
        ("longer than batch.file_bytes_max (10000)",),
        ("unpacked, longer than batch.file_bytes_max (10000)",),
    ]
    assert watched.intake.arrivals == []
    await watched.watch.stop(1)


@pytest.mark.asyncio
async def test_a_packed_file_is_read(watched: Watched) -> None:
    """A gzip file is unpacked, whatever its name."""
    watched.put("a.hl7.gz", gzip.compress(batch(render(1))))
    await watched.look()
    assert [one.outcomes for one in watched.told] == [{"accepted": 1}]


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_read_keeps_no_other_waiting(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another user's stays and is told; those behind it are taken."""
    for name in ("a.hl7", "b.hl7"):
        watched.put(name, render(ord(name[0])))

    def guarded(path: Path, limit: int) -> bytes:
        if path.name == "a.hl7":
            raise PermissionError(13, "Permission denied")
        return read_plain(path, limit)

    monkeypatch.setattr("connectors.batches.taking.read_plain", guarded)
    with pytest.raises(InboxError, match="Permission denied"):
        await watched.look()
    assert [one.where for one in watched.told] == ["done"]
    assert (watched.folder / "a.hl7").exists()


@pytest.mark.asyncio
async def test_a_name_that_is_used_up_keeps_no_other_waiting(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a sender who names all his files alike there may be too many; the others' files are taken all the same."""
    monkeypatch.setattr("connectors.batches.inbox.NAMES_TRIED_MAX", 1)
    watched.put("a.hl7", render(1))
    await watched.look()
    watched.put("a.hl7", render(2))
    watched.put("b.hl7", render(3))
    with pytest.raises(InboxError, match="remove old ones"):
        await watched.look()
    assert [one.where for one in watched.told] == ["done", "done"]
    assert [path.name for path in watched.folder.iterdir() if path.suffix == ".hl7"] == ["a.hl7"]


@pytest.mark.asyncio
async def test_a_name_of_the_longest_kind_is_moved(watched: Watched) -> None:
    """A name that leaves no room for that of its results is cut: else the file would be taken in for ever."""
    watched.put("a" * 255, render(1))
    watched.put("b.hl7", render(2))
    await watched.look()
    assert [(one.where, one.outcomes) for one in watched.told] == [("done", {"accepted": 1})] * 2
    assert [path.name for path in watched.folder.iterdir() if path.is_file()] == [LOCK_FILE]


@pytest.mark.asyncio
async def test_a_fault_of_the_intake_does_not_end_the_watch(tmp_path: Path) -> None:
    """What the intake does not promise to raise is told once, and the file is taken when it is over."""
    warned, told = asyncio.Event(), asyncio.Event()
    intake = MemoryIntake()
    intake.failing = RuntimeError("of ours")
    warnings: list[str] = []

    def warn(text: str) -> None:
        warnings.append(text)
        warned.set()

    folder = tmp_path / "in"
    watch = FolderWatch(
        BatchSettings(folder=str(folder), look_s=0.01, settle_s=0.01),
        Inbox(folder),
        intake,
        Hl7Settings(),
        report=lambda _told: told.set(),
        warn=warn,
    )
    await watch.start()
    (folder / "a.hl7").write_bytes(render(1))
    async with asyncio.timeout(WITHIN_S):
        await warned.wait()
        intake.failing = None
        await told.wait()
    assert ["RuntimeError" in text for text in warnings] == [True]
    await watch.stop(1)


@pytest.mark.asyncio
async def test_a_batch_that_is_not_closed_is_waited_for(watched: Watched) -> None:
    """Half a file that has stood still for a while waits for its end; without one it is taken, and fails."""
    watched.put("a.hl7", HEAD + render(1))
    await watched.look()
    assert (watched.told, watched.intake.arrivals) == ([], [])
    watched.put("a.hl7", batch(render(1), render(2)))
    await watched.look()
    assert [one.where for one in watched.told] == ["done"]
    watched.put("b.hl7", HEAD + render(3))
    await watched.look(400)
    assert [one.where for one in watched.told] == ["done", "failed"]
    assert watched.told[1].problems == ("batch 1: not closed by BTS", "the file is not closed by FTS")
    assert len(watched.intake.arrivals) == 3


@pytest.mark.asyncio
async def test_what_cannot_be_stored_is_offered_until_it_can(watched: Watched) -> None:
    """A file has nobody who sends it again: it waits, and no message of it is passed over."""
    watched.put("a.hl7", batch(render(1), render(2)))
    watched.intake.refusing = "disk_full"
    asked = asyncio.Semaphore(0)
    offer = watched.intake.offer

    async def counted(arrivals: Sequence[Arrival]) -> asyncio.Future[list[Receipt]]:
        asked.release()
        return await offer(arrivals)

    watched.intake.offer = counted  # type: ignore[method-assign]
    await watched.watch.look()
    watched.now += 10
    looking = asyncio.create_task(watched.watch.look())
    for _ in range(3):
        await asyncio.wait_for(asked.acquire(), WITHIN_S)
    assert (watched.told, looking.done()) == ([], False)
    watched.intake.refusing = None
    await asyncio.wait_for(looking, WITHIN_S)
    assert [one.outcomes for one in watched.told] == [{"accepted": 2}]


@pytest.mark.asyncio
async def test_a_file_that_was_taken_in_part_is_taken_again(tmp_path: Path) -> None:
    """Stopped within a file, it stays; taken again, what was stored is a duplicate, and the rest is new."""
    first = Watched(tmp_path / "in")
    count = OFFERED_AT_ONCE_MAX + 5
    first.put("a.hl7", batch(*(render(number) for number in range(count))))
    await first.watch.look()
    first.now += 10
    looking = asyncio.create_task(first.watch.look())
    await first.intake.until(lambda: len(first.intake.arrivals) >= OFFERED_AT_ONCE_MAX)
    first.intake.open.clear()
    first.intake.refusing = "stopping"
    await first.watch.stop(1)
    first.intake.open.set()
    await asyncio.wait_for(looking, WITHIN_S)
    taken = len(first.intake.arrivals)
    assert first.told == [] or taken == count
    second = Watched(tmp_path / "in")
    second.intake._seen = first.intake._seen
    await second.look()
    (told,) = [*first.told, *second.told]
    assert (told.where, told.messages) == ("done", count)
    assert sum(told.outcomes.values()) == count
    await second.watch.stop(1)
