"""Threads find every record's type known."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import threading
import stream.live.worker, stream.engine
from stream.record_types import settle_types
print(settle_types())
"""


def test_every_record_of_a_worker_is_settled_in_a_fresh_process() -> None:
    """A worker's and an engine's imports alone bring some two hundred types, and each can be built beforehand."""
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
    assert int(told) > 100
