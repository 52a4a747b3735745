"""kill -9 of the whole command, again and again: the end is that of a run nobody touched."""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

KILLS = 5
SEED = 20260101
FIRST, LAST = 0.3, 0.9
"""Parts of an undisturbed run's time: from before its first message to about its last."""
DONE_WITHIN_S = 180


def demo(folder: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "stream.cli", "demo", "--once", "--hours", "24", "--beds", "240"),
        *("--data-dir", str(folder)),
    ]


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=DONE_WITHIN_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def digest_in(text: str) -> str:
    [found] = re.findall(r"\b[0-9a-f]{64}\b", text)
    return found


def kill_after(command: list[str], seconds: float) -> bool:
    """Kill a command with SIGKILL after so long; say whether it was still running then."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.wait()
        return True
    return False


def records_in(folder: Path) -> int:
    """Count the log's records as they lie."""
    if not (folder / "journal.db").exists():
        return 0
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        tables = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'events'").fetchone()[0]
        return int(database.execute("SELECT count(*) FROM events").fetchone()[0]) if tables else 0


def test_a_demo_killed_at_any_moments_ends_as_one_that_ran_through(tmp_path):
    """Killed five times at seeded moments and started again until done, the demo ends with the same digest, and the
    replay of its journal too.
    """
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    began = time.monotonic()
    expected = digest_in(run(demo(whole)))
    whole_s = time.monotonic() - began
    moments = random.Random(SEED)  # noqa: S311 - chooses moments, keeps no secret
    interrupted, stored = 0, [0]
    for _ in range(KILLS):
        interrupted += kill_after(demo(killed), moments.uniform(FIRST, LAST) * whole_s)
        stored.append(records_in(killed))
    assert interrupted, "no kill came before an end: nothing was tested"
    assert stored == sorted(stored), "a kill took records back"
    assert digest_in(run(demo(killed))) == expected
    assert records_in(killed) == records_in(whole)
    replay = [sys.executable, "-m", "stream.cli", "replay", f"journal:{killed}", "--quiet"]
    run([*replay, "--out", str(tmp_path / "again")])
    assert (tmp_path / "again" / "digest.txt").read_text().strip() == expected
