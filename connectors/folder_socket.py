"""A socket in a data folder, by which a command of the folder's owner reaches the service that has the folder.

Owns the socket's place and mode, and one exchange: a line in, a line out. Must not know what is asked or answered.

Who may connect is who may write in the folder: the file's mode is the service's user's alone. No port, no password.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from connectors.sqlite.files import PRIVATE_MODE

SOCKET_FILE = "control.sock"
LINE_BYTES_MAX = 2 * 1024 * 1024
"""A whole configuration, escaped as JSON, and its frame."""
READ_S = 10.0
"""A command writes its line at once."""
OPEN_MAX = 8
"""Exchanges at a time: people decide one after another."""
PATH_BYTES_MAX = 100
"""The kernel takes 108 bytes (macOS 104) of a socket's path."""
HANDLES_FOLDER = Path("/proc/self/fd")
"""By which a folder of any length has a short path (Linux)."""

Answering = Callable[[bytes], Awaitable[bytes]]


class FolderSocket:
    """The service's end. Used on the event loop, by the process that has the folder's lock."""

    def __init__(self, folder: Path, answer: Answering) -> None:
        """`answer` gives a line's answer; neither has a line end in it."""
        self._folder = folder
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; raises `OSError`. What a process that was killed left behind is removed: the lock says it is gone."""
        path = self._folder / SOCKET_FILE
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short_path(self._folder) as short:
                listener.bind(short)
            # Nobody is let in before it listens, so nobody came by another mode.
            path.chmod(PRIVATE_MODE)
            self._server = await asyncio.start_unix_server(self._take, sock=listener, limit=LINE_BYTES_MAX)
        except OSError:
            listener.close()
            raise

    async def stop(self) -> None:
        """Listen no more; who is being answered gets his answer."""
        if self._server is None:
            return
        self._server.close()
        (self._folder / SOCKET_FILE).unlink(missing_ok=True)
        if self._open:
            await asyncio.wait(self._open, timeout=READ_S)
        self._server = None

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio serves each connection in a task"
        if len(self._open) >= OPEN_MAX:
            writer.close()
            return
        self._open.add(task)
        try:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(READ_S):
                    line = await reader.readuntil(b"\n")
                writer.write(await self._answer(line.rstrip(b"\n")) + b"\n")
                async with asyncio.timeout(READ_S):
                    await writer.drain()
        finally:
            self._open.discard(task)
            writer.close()


def ask(folder: Path, line: bytes, timeout_s: float) -> bytes:
    """Ask the service that has a folder; give its answer.

    Raises `FileNotFoundError` or `ConnectionRefusedError` where none listens, another `OSError` where none answers.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        with _short_path(folder) as short:
            client.connect(short)
        client.sendall(line + b"\n")
        with client.makefile("rb") as answers:
            answer = answers.readline(LINE_BYTES_MAX)
    if not answer.endswith(b"\n"):
        raise ConnectionResetError("it went away before it answered")
    return answer.rstrip(b"\n")


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """Give a path of the socket that the kernel takes, however long the folder's is."""
    path = str(folder / SOCKET_FILE)
    if len(os.fsencode(path)) <= PATH_BYTES_MAX or not HANDLES_FOLDER.is_dir():
        yield path
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield str(HANDLES_FOLDER / str(handle) / SOCKET_FILE)
    finally:
        os.close(handle)
