"""The load generator of `mllp.py`: a few MLLP connections, in closed or open loop, in a process without any server.

Owns when a message is sent, which answer is its own, and how long that took. Must not know who answers.

Closed loop: each connection keeps a fixed number of messages in flight and sends the next for each answer; this says
how many a server can do. Open loop: messages are due at a fixed rate, whether or not the server keeps up, and a latency
is counted from when its message was due. A connection sends one when the one before it is answered, as MLLP senders do;
the wait for that is part of the latency, so no slow answer hides the ones behind it (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import gc
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

CONNECTIONS = 16
"""As many senders as a mid-sized hospital's engine has links; figures of before 2026-11-29 are of 8."""
DRAIN_S_MAX = 15.0
"""Until answers still owed are given up, and counted as lost."""
ANSWER = re.compile(rb"\x0b[^\x1c]*?\rMSA\|([^|\r]*)\|([^|\r\x1c]*)[^\x1c]*\x1c\r?")


class Frame(NamedTuple):
    """One message, rendered before the clock starts: its MSH-10 and its frame."""

    control_id: bytes
    data: bytes


@dataclass
class Phase:
    """What one stretch of load came to."""

    sent: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    """Answers by MSA-1, of those that named a message that was sent."""
    unmatched: int = 0
    """Answers whose MSA-2 names no message in flight."""
    lost: int = 0
    """Messages without an answer at the end."""
    seconds: float = 0.0
    """From the first frame sent to the last answer."""
    latencies_s: list[float] = field(default_factory=list)
    lateness_s: list[float] = field(default_factory=list)
    """Open loop: how late the generator itself came to a message; a part of its latency."""
    own_cpu_s: float = 0.0
    acknowledged: list[bytes] = field(default_factory=list)
    """MSH-10 of what was answered with AA."""

    @property
    def per_s(self) -> float:
        """Give the answers a second."""
        return self.codes.total() / self.seconds if self.seconds else 0.0

    def quantile_ms(self, share: float) -> float:
        """Give a quantile of the latencies in ms, the greatest at 1; 0 where there is none."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3 if ordered else 0.0


class _Connection(asyncio.Protocol):
    """One sender. What is in flight is known by its MSH-10, for a server may answer out of turn."""

    def __init__(self, phase: Phase, answered: Callable[[_Connection, int], None]) -> None:
        self._phase = phase
        self._answered = answered
        self._buffer = b""
        self._transport: asyncio.Transport
        self.in_flight: dict[bytes, float] = {}
        self.queue: deque[tuple[Frame, float]] = deque()
        self.broken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self.broken = True
        self._answered(self, 0)

    def send(self, frames: list[Frame], due: float) -> None:
        """Send messages in one write; `due` is when they were to be sent."""
        if frames and not self.broken:
            self._phase.sent += len(frames)
            for frame in frames:
                self.in_flight[frame.control_id] = due
            self._transport.write(b"".join([frame.data for frame in frames]))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        buffer = self._buffer + data if self._buffer else data
        phase = self._phase
        end = answers = 0
        for match in ANSWER.finditer(buffer):
            end = match.end()
            answers += 1
            code, control_id = match.groups()
            due = self.in_flight.pop(control_id, None)
            if due is None:
                phase.unmatched += 1
                continue
            phase.codes[code.decode("ascii", "replace")] += 1
            phase.latencies_s.append(now - due)
            if code == b"AA":
                phase.acknowledged.append(control_id)
        self._buffer = buffer[end:]
        if answers:
            self._answered(self, answers)

    def close(self) -> None:
        self._transport.close()


async def _connect(port: int, phase: Phase, answered: Callable[[_Connection, int], None]) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(phase, answered), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    return [connection for _transport, connection in made]


async def _measure(
    phase: Phase, connections: list[_Connection], done: asyncio.Event, drive: Callable[[], object]
) -> None:
    """Run a phase: the clock, our own CPU time, and the wait for what is still owed."""
    gc.collect()
    gc.disable()
    began, began_cpu_s = time.perf_counter(), time.process_time()
    try:
        driven = drive()
        if asyncio.iscoroutine(driven):
            await driven
        await done.wait()
    finally:
        phase.seconds = time.perf_counter() - began
        phase.own_cpu_s = time.process_time() - began_cpu_s
        gc.enable()
        phase.lost = sum(len(connection.in_flight) + len(connection.queue) for connection in connections)
        for connection in connections:
            connection.close()


async def closed_loop(port: int, frames: Iterator[Frame], *, in_flight: int, seconds: float) -> Phase:
    """Keep `in_flight` messages a connection under way for so long, or until the frames run out."""
    phase = Phase()
    done = asyncio.Event()
    connections: list[_Connection] = []
    deadline = 0.0

    def take(count: int) -> list[Frame]:
        return list(islice(frames, count))

    def answered(connection: _Connection, answers: int) -> None:
        now = time.perf_counter()
        if now < deadline and not connection.broken:
            connection.send(take(answers), now)
        if not connection.in_flight and all(one.broken or not one.in_flight for one in connections):
            done.set()

    def drive() -> None:
        nonlocal deadline
        deadline = time.perf_counter() + seconds
        for connection in connections:
            connection.send(take(in_flight), time.perf_counter())
        asyncio.get_running_loop().call_later(seconds + DRAIN_S_MAX, done.set)

    connections += await _connect(port, phase, answered)
    await _measure(phase, connections, done, drive)
    return phase


async def open_loop(port: int, frames: list[Frame], *, per_s: float) -> Phase:
    """Send the frames at a fixed rate, over the connections in turn; latencies count from when each was due."""
    phase = Phase()
    done = asyncio.Event()
    connections: list[_Connection] = []
    finished = False

    def answered(connection: _Connection, _answers: int) -> None:
        if connection.queue and not connection.in_flight and not connection.broken:
            frame, due = connection.queue.popleft()
            connection.send([frame], due)
        if finished and all(one.broken or not (one.in_flight or one.queue) for one in connections):
            done.set()

    async def drive() -> None:
        nonlocal finished
        began = time.perf_counter()
        for number, frame in enumerate(frames):
            due = began + number / per_s
            if (ahead_s := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead_s)
            phase.lateness_s.append(time.perf_counter() - due)
            connection = connections[number % CONNECTIONS]
            if connection.in_flight:
                connection.queue.append((frame, due))
            else:
                connection.send([frame], due)
        finished = True
        asyncio.get_running_loop().call_later(DRAIN_S_MAX, done.set)
        answered(connections[0], 0)

    connections += await _connect(port, phase, answered)
    await _measure(phase, connections, done, drive)
    return phase
