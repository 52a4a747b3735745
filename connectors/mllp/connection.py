"""One MLLP connection: what is read of it goes to the intake, and the answers go back in the order of the messages.

Owns reading, the bounds of what is in flight, answering, and the reasons to close. Must not know how connections are
accepted, nor what a message means: the codec decides, the intake stores, and an answer is given only by its receipt.

Two tasks share a connection. One reads, decodes and offers; it waits where there is no room, and then nobody reads,
so that the sender is held back by TCP. The other waits for receipts and writes answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence

import msgspec

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.hl7v2.acknowledgement import Verdict, answers, code_of, outcome_of
from connectors.hl7v2.codec import decode_piece
from connectors.hl7v2.framing import Framed, MllpReader, frame
from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import Intake, NotStoredError, NotStoredReason, Receipt
from connectors.mllp.limits import MllpLimits
from connectors.mllp.notice import Notice, Report, Why
from connectors.mllp.room import Room
from connectors.sources.arrival import Arrival
from events import Millis

READ_BYTES = 64 * 1024
"""Read at a time: some seventy messages."""
DECODED_INLINE_BYTES_MAX = 128 * 1024
"""More is decoded beside the event loop: a message of 1 MiB can take half a second, in which nobody is answered."""
HEADER_WITHIN_BYTES = 16
"""A message has its MSH so near to its beginning: a byte order mark and some blanks may stand before it."""


class Service(msgspec.Struct, frozen=True):
    """What all connections of a server share."""

    intake: Intake
    settings: Hl7Settings
    limits: MllpLimits
    now: Callable[[], Millis]
    report: Report
    control_ids: Iterator[str]
    """MSH-10 of our answers."""
    decoders: asyncio.Semaphore
    """One such at a time: decoding is bound by the one interpreter anyway."""
    in_flight: Room
    begun: Room
    """Bytes of frames that are not complete; none of them is a message yet."""


class _Batch(msgspec.Struct, frozen=True):
    """Messages that were offered together, until they are answered."""

    messages: Sequence[bytes | None]
    """None where nobody is answered: bytes between two frames."""
    size: int
    receipts: asyncio.Future[list[Receipt]]


class Connection:
    """Serves one peer until one of the two ends it. `on_activity` is told of each read, with whether it has ever
    sent a message.
    """

    def __init__(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        service: Service,
        on_activity: Callable[[Connection], None],
        *,
        port: int = 0,
    ) -> None:
        """`port` is the one it came to, as it is configured: a route may go by it."""
        self.number = number
        self._port = port if port in service.settings.route_ports else 0
        self.has_spoken = False
        self._reader = reader
        self._writer = writer
        self._service = service
        self._on_activity = on_activity
        self._framing = MllpReader(service.settings.message_bytes_max)
        self._room = Room(service.limits.messages_in_flight_max, service.limits.bytes_in_flight_max)
        self._messages_held = 0
        self._bytes_held = 0
        self._begun_bytes = 0
        self._outside_told = 0
        self._batches: deque[_Batch] = deque()
        self._changed = asyncio.Event()
        self._all_offered = False
        self._in_read = False
        self._stopping = False
        self._why: Why | None = None
        self._task: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Serve the peer; returns when the connection is closed, and all it sent is stored or refused."""
        self._task = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._answer(), name=f"mllp {self.number} answers")
                await self._read()
                self._all_offered = True
                self._changed.set()
            await self._part()
        except Exception:
            self.end("fault")
            raise
        finally:
            self._hold_begun(0)
            self._give(self._messages_held, self._bytes_held)
            self._writer.transport.abort()
            self._service.report(Notice("closed", self.number, why=self._why or "stopping"))

    def stop(self) -> None:
        """Read no more; what was read is still offered and answered."""
        if self._stopping:
            return
        self._stopping = True
        if self._in_read and self._task is not None:
            self._task.cancel()

    def cut(self, why: Why) -> None:
        """Break the connection off; what was read is still stored, and not answered."""
        self.end(why)
        self._writer.transport.abort()

    def refuse(self, kind: str) -> None:
        """Break off a connection whose TLS handshake did not come to its end; nothing was read of it."""
        if self._why is None:
            self.end("handshake")
            self._service.report(Notice("handshake", self.number, code=kind))
        self._writer.transport.abort()
        self._service.report(Notice("closed", self.number, why=self._why))

    def end(self, why: Why) -> None:
        """Note why the connection ends: the first reason holds."""
        self._why = self._why or why

    async def _read(self) -> None:
        """Read until there is a reason not to, and offer what is complete; then what is not."""
        limits = self._service.limits
        while self._why is None:
            data = await self._next()
            if self._stopping:
                self.end("stopping")
                return  # a half-sent message is not answered, so it is sent again
            if data == b"":
                break
            pieces = self._framing.settle() if data is None else self._framing.read(data)
            self.has_spoken = self.has_spoken or any(b"MSH" in piece.data[:HEADER_WITHIN_BYTES] for piece in pieces)
            self._on_activity(self)
            self._tell_outside()
            if pieces:
                await self._offer(pieces)
            if self._framing.overrun_bytes > limits.overrun_bytes_max:
                self.end("endless_frame")
            elif self._framing.outside_bytes > limits.outside_bytes_max:
                self.end("no_frame")
            elif not self._hold_begun(self._framing.pending_bytes):
                self.end("overloaded")
        rest = self._framing.end()
        if self._why == "overloaded":
            await self._take(len(rest), 0)
            self._expect([piece.data for piece in rest], 0, _not_stored("overloaded"))
        elif rest:
            await self._offer(rest, last=True)

    async def _next(self) -> bytes | None:
        """Wait for the next bytes; empty at the end, the reason for which is noted, None where a frame may end so."""
        framing, limits = self._framing, self._service.limits
        patience_s: float | None = None
        if framing.ending:
            patience_s = limits.end_block_s
        elif framing.in_frame or framing.outside_bytes:
            patience_s = limits.frame_idle_s
        self._in_read = True
        try:
            if self._stopping:
                return b""
            data = await self._read_within(patience_s)
            if not data:
                self.end("peer")
        except TimeoutError:
            if framing.ending:
                return None
            self.end("half_sent" if framing.in_frame else "no_frame")
        except OSError:
            self.end("lost")
        except asyncio.CancelledError:
            if not self._stopping or self._task is None:
                raise
            self._task.uncancel()
        else:
            return data
        finally:
            self._in_read = False
        return b""

    async def _read_within(self, patience_s: float | None) -> bytes:
        try:
            async with asyncio.timeout(patience_s):
                return await self._reader.read(READ_BYTES)
        except TimeoutError:
            # What came in the same turn of the loop lies there: it must not be taken for silence.
            async with asyncio.timeout(0):
                return await self._reader.read(READ_BYTES)

    def _hold_begun(self, size: int) -> bool:
        """Count what is not complete among that of all connections; False where that is too much."""
        more = size - self._begun_bytes
        if more > 0 and not self._service.begun.take_now(0, more):
            return False
        if more < 0:
            self._service.begun.give(0, -more)
        self._begun_bytes = size
        return True

    def _tell_outside(self) -> None:
        count = self._framing.strays - self._outside_told
        if count:
            self._outside_told = self._framing.strays
            self._service.report(Notice("outside", self.number, count=count))

    async def _offer(self, pieces: list[Framed], *, last: bool = False) -> None:
        """Offer pieces, together as far as there is room; waits for room, and for the intake."""
        service = self._service
        for group in self._groups(pieces):
            size = sum(len(piece.data) for piece in group)
            await self._take(len(group), size)
            if size <= DECODED_INLINE_BYTES_MAX:
                arrivals = self._arrivals(group)
                await asyncio.sleep(0)  # a chunk of many small frames: others have their turn in between
            else:
                async with service.decoders:
                    arrivals = await asyncio.to_thread(self._arrivals, group)
            # Bytes between two frames are kept. Answering them would answer once more than was asked, and a sender
            # that counts answers would take the next one for another message's.
            # So would answering a frame that its sender broke off to begin another: he waits for that one's answer.
            messages = [
                None if piece.superseded or (piece.kind == "garbage" and not last) else piece.data for piece in group
            ]
            try:
                receipts = await service.intake.offer(arrivals)
            except NotStoredError as error:
                receipts = _not_stored(error.reason)
            self._expect(messages, size, receipts)

    async def _take(self, messages: int, size: int) -> None:
        await self._room.take(messages, size)
        await self._service.in_flight.take(messages, size)
        self._messages_held += messages
        self._bytes_held += size

    def _give(self, messages: int, size: int) -> None:
        self._messages_held -= messages
        self._bytes_held -= size
        self._room.give(messages, size)
        self._service.in_flight.give(messages, size)

    def _expect(self, messages: Sequence[bytes | None], size: int, receipts: asyncio.Future[list[Receipt]]) -> None:
        self._batches.append(_Batch(messages, size, receipts))
        self._changed.set()

    def _groups(self, pieces: list[Framed]) -> Iterator[list[Framed]]:
        """Part pieces so that each group finds room at once; one message is always a group."""
        limits = self._service.limits
        group: list[Framed] = []
        size = 0
        for piece in pieces:
            more = size + len(piece.data)
            if group and (len(group) >= limits.messages_in_flight_max or more > limits.bytes_in_flight_max):
                yield group
                group, more = [], len(piece.data)
            group.append(piece)
            size = more
        if group:
            yield group

    def _arrivals(self, group: list[Framed]) -> list[Arrival]:
        return [self._arrival(piece) for piece in group]

    def _arrival(self, piece: Framed) -> Arrival:
        decoded: Decoded | Refusal
        if piece.kind == "garbage":
            decoded = Refusal(RefusalReason.GARBAGE, "byte 1", "outside of any MLLP frame")
        else:
            decoded = decode_piece(piece, self._service.settings, self._port)
        return Arrival(f"mllp/{self.number}#{piece.number}", None, piece.data, "hl7v2", decoded, port=self._port)

    async def _answer(self) -> None:
        """Write the answers in order, those that are ready together in one write, until there are no more to come."""
        batches = self._batches
        while True:
            while not batches:
                if self._all_offered:
                    return
                self._changed.clear()
                await self._changed.wait()
            if not batches[0].receipts.done():
                # Unlike an await, this leaves the intake's future alone where we are cancelled.
                await asyncio.wait((batches[0].receipts,))
            ready = []
            while batches and batches[0].receipts.done():
                ready.append(batches.popleft())
            answers = [answer for batch in ready for answer in self._answers_to(batch)]
            await self._write(answers)
            for batch in ready:
                self._give(len(batch.messages), batch.size)

    def _answers_to(self, batch: _Batch) -> Iterator[bytes]:
        """Render a batch's answers, by its receipts alone."""
        service = self._service
        now = service.now()
        for data, verdict in zip(batch.messages, self._verdicts(batch), strict=True):
            if data is None:
                continue
            asked = service.settings.answers_as_asked(data, self._port)
            told = answers(data, verdict, now=now, control_id=service.control_ids.__next__, asked=asked)
            yield from told
            if verdict != "stored" and not told:
                service.report(Notice("untold", self.number, code=outcome_of(data, verdict)))

    def _verdicts(self, batch: _Batch) -> list[Verdict]:
        failed: NotStoredReason = "failed"
        count = len(batch.messages)
        if batch.receipts.cancelled():
            error: BaseException | None = asyncio.CancelledError()
        else:
            error = batch.receipts.exception()
        if error is None:
            receipts = batch.receipts.result()
            return [receipt.refusal or ("stored" if receipt.outcome != "refused" else failed) for receipt in receipts]
        if isinstance(error, NotStoredError):
            failed = error.reason
        else:
            self._service.report(Notice("fault", self.number, code=type(error).__name__))
        self._service.report(Notice("not_stored", self.number, count=count, code=failed))
        return [failed] * count

    async def _write(self, answers: list[bytes]) -> None:
        """Write answers, and wait while the peer reads none; one that goes on so is cut off."""
        if not answers:
            return
        written = False
        if not self._writer.transport.is_closing():
            try:
                self._writer.write(b"".join([frame(answer) for answer in answers]))
                async with asyncio.timeout(self._service.limits.write_s):
                    await self._writer.drain()
                written = True
            except TimeoutError:
                self.cut("slow_peer")
            except OSError:
                self.end("lost")
        if not written:
            self._service.report(Notice("unanswered", self.number, count=len(answers)))
            return
        for code, count in Counter(map(code_of, answers)).items():
            self._service.report(Notice("answered", self.number, count=count, code=code))

    async def _part(self) -> None:
        """Say good-bye so that the last answers arrive: end our side, wait for the peer to end his, then close."""
        limits = self._service.limits
        transport = self._writer.transport
        try:
            if not transport.is_closing():
                if self._writer.can_write_eof():  # TLS cannot; its own good-bye waits for the peer's
                    self._writer.write_eof()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(limits.linger_s):
                            while await self._reader.read(READ_BYTES):
                                pass
                self._writer.close()
            async with asyncio.timeout(limits.write_s):
                await self._writer.wait_closed()
        except TimeoutError:
            self.cut("slow_peer")
        except OSError:
            self.end("lost")


def _not_stored(reason: NotStoredReason) -> asyncio.Future[list[Receipt]]:
    """Give a future that has failed already, for what the intake would not take."""
    receipts: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
    receipts.set_exception(NotStoredError(reason))
    return receipts
