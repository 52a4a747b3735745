"""python-hl7's MLLP server doing nothing but acknowledge: a peer for `mllp.py`.

Owns the handler that python-hl7's own documentation shows: read a message, write its ACK. Must not know our packages.
Two defaults are raised, for either would end a connection: 64 KiB a message, and ASCII.

Run: `python benchmarks/peers/python_hl7_server.py`; it prints `{"event":"listening","mllp":"127.0.0.1:PORT"}`.
"""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio import IncompleteReadError

from hl7.mllp import HL7StreamReader, HL7StreamWriter, start_hl7_server

MESSAGE_BYTES_MAX = 1024 * 1024
"""As long as any message of a test."""


async def acknowledge(reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
    """Answer each message with AA until the sender hangs up."""
    try:
        while True:
            message = await reader.readmessage()
            writer.writemessage(message.create_ack())
            await writer.drain()
    except (IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Listen on a free port of this machine until told to stop."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await start_hl7_server(acknowledge, "127.0.0.1", 0, limit=MESSAGE_BYTES_MAX, encoding="utf-8")
    host, port = server.sockets[0].getsockname()
    print(json.dumps({"event": "listening", "mllp": f"{host}:{port}"}), flush=True)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
