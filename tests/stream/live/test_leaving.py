"""A process that has to end: it does, whatever threads of its libraries go on."""

from __future__ import annotations

import subprocess
import sys

HELD = """
import asyncio, threading
from stream.live.running import leave_at_last

async def run():
    threading.Thread(target=threading.Event().wait).start()
    leave_at_last(0.2, 3)
    return 3

raise SystemExit(asyncio.run(run()))
"""
WITHIN_S = 60.0


def test_a_process_whose_threads_never_stop_ends_all_the_same() -> None:
    """A thread that is waited for without end, as Faust's are, holds a process only until its grace is over."""
    assert subprocess.run([sys.executable, "-c", HELD], timeout=WITHIN_S, check=False).returncode == 3
