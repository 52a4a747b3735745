"""A simulated hospital's messages, rendered ahead by a process of their own.

Owns the process, the pipe and what goes over it. Must not know where messages go, nor when.

Rendering takes a CPU. In the sender's process it would hold up the sending, and the sender would measure itself; in
another one it runs ahead until the pipe is full, which is the bounded buffer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec

from connectors.hospital import Hospital, as_fhir, as_hl7
from events import Millis
from stream.simulation import Wire

BATCH_MESSAGES = 32
"""A batch is one read: some 30 KB, below the 64 KB of a pipe."""
BUFFER_BYTES_MAX = 256 * 1024
"""asyncio pauses the pipe at twice this: with the pipe itself, some 500 messages are ready ahead."""
STOP_TIMEOUT_S = 2.0
"""The process has nothing to save; one that does not end at SIGTERM is killed."""

_LENGTH = struct.Struct(">I")


class TrafficError(Exception):
    """The rendering process broke off. Ours, or the machine's (out of memory)."""


class Traffic(msgspec.Struct, frozen=True):
    """Which hospital, from which message on, in which format. The same gives the same messages."""

    seed: int
    beds: int
    hours: float
    start_time: Millis
    wire: Wire
    skip: int = 0
    """Messages at the beginning that are not wanted."""


class Rendered(msgspec.Struct, frozen=True, array_like=True):
    """One message."""

    number: int
    """Its place in the hospital's traffic, from 0."""
    sent_time: Millis
    patient: int
    """A stable number of the patient, to deal messages to connections by."""
    alone: bool
    """A merge joins two patients: what is before it must have arrived, and nothing after it may overtake it."""
    data: bytes


def render_traffic(traffic: Traffic) -> Iterator[Rendered]:
    """Render in this process.

    >>> all_of_it = list(render_traffic(Traffic(1, 2, 2.0, 0, "hl7v2")))
    >>> list(render_traffic(Traffic(1, 2, 2.0, 0, "hl7v2", skip=3))) == all_of_it[3:]
    True
    """
    render = as_hl7 if traffic.wire == "hl7v2" else as_fhir
    number = 0
    for story in Hospital(traffic.seed, traffic.beds, traffic.hours, traffic.start_time):
        if story.kind == "outcome":  # which no message tells
            continue
        if number >= traffic.skip:
            data = render(story)
            assert data is not None
            patient = zlib.crc32(f"{story.patient.authority}|{story.patient.value}".encode())
            yield Rendered(number, story.sent_time, patient, story.retired is not None, data)
        number += 1


@asynccontextmanager
async def rendered_ahead(traffic: Traffic) -> AsyncIterator[AsyncIterator[Rendered]]:
    """Render in a process of its own, which lives as long as the block; gives the messages. Raises `TrafficError`."""
    process = await asyncio.create_subprocess_exec(
        # -P: a folder called stream where the user happens to stand is not ours.
        sys.executable, "-P", "-m", "stream.traffic", msgspec.json.encode(traffic).decode(),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, limit=BUFFER_BYTES_MAX,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield _read(process.stdout)
    finally:
        await _end(process)


async def _read(pipe: asyncio.StreamReader) -> AsyncIterator[Rendered]:
    decode = msgspec.msgpack.Decoder(list[Rendered]).decode
    while True:
        try:
            (length,) = _LENGTH.unpack(await pipe.readexactly(_LENGTH.size))
            batch = decode(await pipe.readexactly(length))
        except asyncio.IncompleteReadError:
            raise TrafficError("the process that renders the hospital ended too early") from None
        if not batch:
            return
        for rendered in batch:
            yield rendered


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    try:
        process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except ProcessLookupError:
        await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _write(traffic: Traffic) -> None:
    """Render to standard output, in batches; an empty one is the end. A reader who is gone ends it."""
    encode = msgspec.msgpack.Encoder().encode
    batch: list[Rendered] = []
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0) as pipe:

        def put(batch: list[Rendered]) -> None:
            data = encode(batch)
            view = memoryview(_LENGTH.pack(len(data)) + data)
            while view:
                view = view[pipe.write(view) :]

        for rendered in render_traffic(traffic):
            batch.append(rendered)
            if len(batch) == BATCH_MESSAGES:
                put(batch)
                batch = []
        if batch:
            put(batch)
        put([])


if __name__ == "__main__":
    # Ctrl-C reaches the whole group; the sender decides when we end. SIGPIPE: it was killed, and so we go quietly.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _write(msgspec.json.decode(sys.argv[1], type=Traffic))
