"""The socket in a data folder: one line in, one line out, for whoever may write there."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from connectors.folder_socket import OPEN_MAX, SOCKET_FILE, FolderSocket, ask

TIMEOUT_S = 10.0


async def echo(line: bytes) -> bytes:
    """Answer with what was asked."""
    return b"heard " + line


async def asked(folder: Path, line: bytes) -> bytes:
    return await asyncio.to_thread(ask, folder, line, TIMEOUT_S)


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [10, 200])
async def test_a_line_is_answered_however_long_the_path(tmp_path: Path, length: int) -> None:
    """A folder's path may be longer than the kernel takes of a socket's."""
    folder = tmp_path / ("d" * length)
    folder.mkdir()
    server = FolderSocket(folder, echo)
    await server.start()
    try:
        assert await asyncio.gather(*(asked(folder, b"%d" % number) for number in range(OPEN_MAX // 2))) == [
            b"heard %d" % number for number in range(OPEN_MAX // 2)
        ]
    finally:
        await server.stop()
    with pytest.raises(FileNotFoundError):
        ask(folder, b"late", TIMEOUT_S)


@pytest.mark.asyncio
async def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    """A socket that nobody listens on refuses who asks, and the next service makes it anew."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET_FILE))
    with pytest.raises(ConnectionRefusedError):
        ask(tmp_path, b"anybody", TIMEOUT_S)
    server = FolderSocket(tmp_path, echo)
    await server.start()
    try:
        assert await asked(tmp_path, b"again") == b"heard again"
    finally:
        await server.stop()


@pytest.mark.asyncio
async def test_who_is_being_answered_is_answered_before_it_stops(tmp_path: Path) -> None:
    """A decision that is on its way in is not cut off by the end of the service."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(line: bytes) -> bytes:
        begun.set()
        await go_on.wait()
        return line

    server = FolderSocket(tmp_path, slowly)
    await server.start()
    waiting = asyncio.create_task(asked(tmp_path, b"decided"))
    await begun.wait()
    stopping = asyncio.create_task(server.stop())
    ended, _waits = await asyncio.wait([stopping], timeout=0.05)
    assert not ended
    go_on.set()
    await stopping
    assert await waiting == b"decided"


@pytest.mark.asyncio
async def test_who_goes_away_before_he_has_asked_harms_nobody(tmp_path: Path) -> None:
    """A connection that says nothing, or half a line, is let go; the next one is answered."""
    server = FolderSocket(tmp_path, echo)
    await server.start()
    try:
        for half in (b"", b"half"):
            _reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_FILE))
            writer.write(half)
            writer.close()
        assert await asked(tmp_path, b"whole") == b"heard whole"
    finally:
        await server.stop()
