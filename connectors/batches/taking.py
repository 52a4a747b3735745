"""The folder watch: each file that is ready is offered message by message, and moved when all of it is durable.

Owns the loop, the order and the retry. Must not know who stores. What cannot be stored just now is offered again until
it can: a file has nobody else to send it. Stopped or killed within a file, the file stays and is taken again from its
beginning; the messages that were stored are known by their content.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b

import msgspec

from connectors.batches.inbox import DONE, FAILED, Candidate, Inbox, InboxError, Where, read_plain
from connectors.batches.settings import BatchSettings
from connectors.hl7v2.batch import BatchAccount, account
from connectors.hl7v2.codec import decode_piece
from connectors.hl7v2.framing import Framed, split
from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import Intake, NotStoredError, Receipt
from connectors.sources.arrival import Arrival

OFFERED_AT_ONCE_MAX = 256
"""Messages offered together: a group commit's worth, so that a large file lets the others in."""
RETRY_S = 5.0
"""After messages could not be stored: how long until they are offered again."""
GZIP = b"\x1f\x8b"


class FileTold(msgspec.Struct, frozen=True):
    """What became of one file. It names no file: a file's name may name a patient."""

    file: str
    """The hash of its name, as it stands in positions (`batch/HASH#12`)."""
    where: Where
    messages: int
    outcomes: dict[str, int]
    """How many were `accepted`, `duplicate` (taken in before) and `refused`."""
    problems: tuple[str, ...] = ()


class FolderWatch:
    """Watches one folder. Made and used on the event loop; `start`, then `stop`."""

    def __init__(
        self,
        settings: BatchSettings,
        inbox: Inbox,
        intake: Intake,
        hl7: Hl7Settings,
        *,
        report: Callable[[FileTold], None],
        warn: Callable[[str], None],
        elapsed_s: Callable[[], float] = time.monotonic,
        retry_s: float = RETRY_S,
    ) -> None:
        """`report` hears of each file that is done with; `warn` of what keeps the folder from being read."""
        self._settings = settings
        self._inbox = inbox
        self._intake = intake
        self._hl7 = hl7
        self._report = report
        self._warn = warn
        self._elapsed_s = elapsed_s
        self._retry_s = retry_s
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._fault = ""

    async def start(self) -> None:
        """Begin to watch; raises `InboxError` where the folder cannot be used."""
        self._inbox.open()
        self._task = asyncio.create_task(self._watch(), name="folder watch")

    async def stop(self, grace_s: float) -> None:
        """Read nothing more; the file at hand is left where it is, unless it is done within the grace."""
        self._stopping.set()
        if self._task is not None:
            _, late = await asyncio.wait((self._task,), timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._inbox.close()

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._inbox.open():
                    await self.look()
                self._fault = ""
            except OSError as error:
                self._say(str(error) if isinstance(error, InboxError) else _words(error))
            except Exception as error:  # noqa: BLE001 - a watch that ended would leave all files lying, untold
                self._say(f"batch.folder: {type(error).__name__}, a fault of ours: the files stay, and are tried again")
            await self._pause(self._settings.look_s)

    def _say(self, fault: str) -> None:
        if fault != self._fault:  # once, not with every look
            self._fault = fault
            self._warn(fault)

    async def look(self) -> None:
        """Take in all files that are ready now; raises `InboxError` after them where one of them cannot be."""
        kept: InboxError | None = None
        settings = self._settings
        for candidate, age_s in await asyncio.to_thread(self._inbox.settled, self._elapsed_s(), settings.settle_s):
            if self._stopping.is_set():
                return
            try:
                data, fault = await asyncio.to_thread(self._read, candidate)
            except FileNotFoundError:
                continue  # whoever put it there has taken it back
            except OSError as error:
                text = f"batch.folder: a file in it cannot be read ({_words(error)}): make it readable by the service"
                kept = kept or InboxError(text)
                continue
            try:
                await self._take(candidate, age_s, data, fault)
            except InboxError as error:  # of its name alone
                kept = kept or error
        if kept is not None:
            raise kept

    async def _take(self, candidate: Candidate, age_s: float, data: bytes | None, fault: str) -> None:
        name = blake2b(candidate.path.name.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
        if data is None:
            await self._finish(candidate, FileTold(name, FAILED, 0, {}, (fault,)), [])
            return
        found = await asyncio.to_thread(account, data)
        if not found.closed and age_s < self._settings.incomplete_s:
            return  # who writes it may have paused
        lines: list[dict[str, object]] = []
        pieces = split(data, message_bytes_max=self._hl7.message_bytes_max)
        while portion := await asyncio.to_thread(self._decode, pieces, name):
            receipts = await self._store(portion)
            if receipts is None:
                return
            lines += [_line(arrival, receipt) for arrival, receipt in zip(portion, receipts, strict=True)]
        await self._finish(candidate, _told(name, lines, found), lines)

    def _read(self, candidate: Candidate) -> tuple[bytes | None, str]:
        """Read a file whole; None, and why, where it cannot be ours. Raises `OSError` where it will not do now."""
        limit = self._settings.file_bytes_max
        if candidate.size > limit:
            return None, f"longer than batch.file_bytes_max ({limit})"
        data = read_plain(candidate.path, limit)
        if len(data) > limit:  # it grew between the look and here
            return None, f"longer than batch.file_bytes_max ({limit})"
        return _unpacked(data, limit) if data[:2] == GZIP else (data, "")

    def _decode(self, pieces: Iterator[Framed], name: str) -> list[Arrival]:
        portion: list[Arrival] = []
        for piece in pieces:
            decoded = decode_piece(piece, self._hl7)
            portion.append(Arrival(f"batch/{name}#{piece.number}", None, piece.data, "hl7v2", decoded))
            if len(portion) >= OFFERED_AT_ONCE_MAX:
                break
        return portion

    async def _store(self, portion: list[Arrival]) -> list[Receipt] | None:
        """Offer until all is durable; None where we are to stop before that."""
        while not self._stopping.is_set():
            try:
                return await (await self._intake.offer(portion))
            except NotStoredError:
                await self._pause(self._retry_s)
        return None

    async def _finish(self, candidate: Candidate, told: FileTold, lines: list[dict[str, object]]) -> None:
        """Move a file that is still as it was read; one that grew meanwhile is taken again."""
        summary = msgspec.structs.asdict(told)
        results = b"".join(msgspec.json.encode(line) + b"\n" for line in [*lines, {"summary": summary}])
        if await asyncio.to_thread(self._inbox.unchanged, candidate):
            await asyncio.to_thread(self._inbox.finish, candidate, told.where, results)
            self._report(told)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _unpacked(data: bytes, limit: int) -> tuple[bytes | None, str]:
    """Unpack a gzip file, which may have several members one behind the other (RFC 1952, section 2.2); or say why not.

    >>> _unpacked(gzip.compress(b"MSH|1") + gzip.compress(b"MSH|2"), 10), _unpacked(gzip.compress(b"MSH|1") + b"x", 10)
    ((b'MSH|1MSH|2', ''), (None, 'damaged: it is no whole gzip file'))
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            found = file.read(limit + 1)
    except EOFError:
        return None, "damaged: the gzip file breaks off"
    except (OSError, zlib.error):
        return None, "damaged: it is no whole gzip file"
    return (None, f"unpacked, longer than batch.file_bytes_max ({limit})") if len(found) > limit else (found, "")


def _line(arrival: Arrival, receipt: Receipt) -> dict[str, object]:
    """Say what became of one message: as an ACK would, for whoever put the file there."""
    refusal = receipt.refusal
    line: dict[str, object] = {
        "position": arrival.position,
        "message_id": arrival.decoded.message_id,
        "outcome": receipt.outcome,
    }
    if refusal is not None:
        line |= {"reason": str(refusal.reason), "fault": refusal.position, "detail": refusal.detail}
    return line


def _told(name: str, lines: list[dict[str, object]], found: BatchAccount) -> FileTold:
    outcomes = dict(sorted(Counter(str(line["outcome"]) for line in lines).items()))
    problems = found.problems or (() if lines else ("there is no message in it",))
    where: Where = FAILED if problems or outcomes.get("refused") else DONE
    return FileTold(name, where, len(lines), outcomes, problems)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
