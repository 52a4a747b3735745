"""How long the embedded service takes to be ready again after kill -9, with a million records in its journal.

Owns the making of such a folder and the measurement. The last records are folded by the service itself, a thousand
patients charted each minute; the earlier ones are copies of them put in front by SQL, with their messages, hashes and
outputs, for only their number matters. A process then opens the folder, stores a batch, and is killed while it folds
that batch; what is measured is from the start of `wardstream run` until it listens, the rest of the batch folded.

Run it: `python benchmarks/recovery.py [RECORDS] [FOLDER]` (a million in a temporary folder, about 4 GB).
"""

from __future__ import annotations

import importlib.util
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources import Arrival
from events import Millis
from stream.host import CHECKPOINT_RECORDS
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings

RECORDS = 1_000_000
PATIENTS = 1_000
ROUNDS = 40
"""Rounds that the service folds itself: longer series in a state change little, see benchmarks on memory."""
BATCH = 500
LEFT_UNFOLDED = CHECKPOINT_RECORDS + 1_000
"""Stored by the process that is killed, in one go: more than a checkpoint ever leaves."""
KILLS = 5
SEED = 2026
RECOVERY_S_MAX = 10.0
"""The bound we promise (issue 4)."""
RELEASE = Release(Settings(), "benchmark")
START_TIME: Millis = 1_767_600_000_000
ROUND_MS = 60_000


def load_peer_messages() -> object:
    """Give `messages` of benchmarks/peer.py, which is beside this file and in no package."""
    spec = importlib.util.spec_from_file_location("peer", Path(__file__).with_name("peer.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.messages


def arrivals(first: int, count: int) -> Iterator[Arrival]:
    """Give messages `first` to `first + count` of the monitored patients, as they arrive."""
    messages = load_peer_messages()(PATIENTS, first + count, SEED)  # type: ignore[operator]
    for number, data in enumerate(islice(messages, first, None), first):
        received = START_TIME + number // PATIENTS * ROUND_MS
        yield Arrival(f"b#{number}", received, data, "hl7v2", decode(data, Hl7Settings()))


def build(folder: Path, records: int) -> None:
    """Make a data folder of so many records."""
    real = min(PATIENTS * ROUNDS, records)
    service = EmbeddedService(folder, RELEASE, {})
    stream = arrivals(0, real)
    while batch := list(islice(stream, BATCH)):
        service.accept(batch)
    service.close()
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as journal:
        (own,) = journal.execute("SELECT max(offset) FROM events").fetchone()
    copies = max(0, -(-(records - own) // own))
    _put_in_front(folder, own, copies)


def _put_in_front(folder: Path, own: int, copies: int) -> None:
    """Move the records on by `copies` times their number, and fill what is free with copies."""
    shift = own * copies
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("BEGIN")
        for table in ("events", "messages", "hashes"):
            db.execute(f"UPDATE {table} SET offset = -offset - {shift}")  # noqa: S608 - our own numbers
            db.execute(f"UPDATE {table} SET offset = -offset")  # noqa: S608 - as above
        for copy in range(copies):
            at = f"offset - {shift} + {own * copy}"
            source = f"WHERE offset > {shift}"
            db.execute(f"INSERT INTO events SELECT {at}, id || '-{copy}', received_time, envelope FROM events {source}")  # noqa: S608
            db.execute(f"INSERT INTO messages SELECT {at}, bytes FROM messages {source}")  # noqa: S608
            db.execute(f"INSERT INTO hashes SELECT randomblob(32), {at} FROM hashes {source}")  # noqa: S608
        db.execute("COMMIT")
    with closing(sqlite3.connect(folder / "outputs.db", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("BEGIN")
        db.execute(f"UPDATE outputs SET offset = offset + {shift}")  # noqa: S608 - our own numbers
        for copy in range(copies):
            db.execute(
                "INSERT INTO outputs (kind, id, patient, offset, content)"  # noqa: S608 - as above
                f" SELECT kind, id || '-{copy}', patient, offset - {shift} + {own * copy}, content"
                f" FROM outputs WHERE offset > {shift}"
            )
        db.execute("COMMIT")
    with closing(sqlite3.connect(folder / "state.db", isolation_level=None)) as db:
        db.execute("UPDATE state_log SET watermark = watermark + ?", (shift,))


def run_until_killed(folder: Path, number: int) -> None:
    """Open the folder, store a batch, say so, and fold it slowly enough to be killed in the middle; never returns."""
    service = EmbeddedService(folder, RELEASE, {})
    service.store(list(arrivals(PATIENTS * ROUNDS + number * LEFT_UNFOLDED, LEFT_UNFOLDED)))
    sys.stdout.write("stored\n")
    sys.stdout.flush()
    while True:
        service.fold(10)


def start_and_kill(folder: Path) -> float:
    """Start `wardstream run` on the folder; give the seconds until it listens. It is killed then, storing nothing."""
    began = perf_counter()
    command = [
        *(sys.executable, "-m", "stream.cli", "run", "--data-dir", str(folder), "--model", "none"),
        *("--mllp-port", "0", "--http-port", "0"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:  # noqa: S603
        assert service.stdout is not None
        assert "listening" in service.stdout.readline()
        took_s = perf_counter() - began
        service.send_signal(signal.SIGKILL)
    return took_s


def measure(folder: Path) -> list[tuple[float, int]]:
    """Kill and start again, several times; give (seconds from the process's start until it listens, records)."""
    moments = random.Random(SEED)  # noqa: S311 - chooses moments, keeps no secret
    found = []
    for number in range(KILLS):
        command = [sys.executable, __file__, "--child", str(folder), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 - this very file
            assert child.stdout is not None
            assert child.stdout.readline() == "stored\n"
            try:
                child.wait(timeout=moments.uniform(0.0, 0.3))
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
        took_s = start_and_kill(folder)
        with closing(sqlite3.connect(folder / "journal.db")) as journal:
            (end,) = journal.execute("SELECT max(offset) FROM events").fetchone()
        found.append((took_s, int(end)))
    return found


def main(records: int, folder: Path) -> int:
    """Build, measure, print; give the exit code: 1 where the promise is broken."""
    began = perf_counter()
    if not (folder / "journal.db").exists():
        build(folder, records)
    size = sum(path.stat().st_size for path in folder.rglob("*.db"))
    print(f"made in {perf_counter() - began:.0f} s: {size / 1e9:.2f} GB, {PATIENTS} patients with states")
    found = measure(folder)
    for took_s, end in found:
        print(f"  {end:,} records: `wardstream run` listens {took_s:.2f} s after its start")
    worst = max(took_s for took_s, _end in found)
    middle = median(took_s for took_s, _end in found)
    print(
        f"recovery after kill -9: median {middle:.2f} s, worst {worst:.2f} s of {KILLS}, bound {RECOVERY_S_MAX:.0f} s"
        f" ({LEFT_UNFOLDED} records stored in the batch it died in; states at most {CHECKPOINT_RECORDS} behind)"
    )
    return 0 if worst <= RECOVERY_S_MAX else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_until_killed(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        wanted = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
        with tempfile.TemporaryDirectory(prefix="wardstream-recovery-") as scratch:
            sys.exit(main(wanted, Path(sys.argv[2] if len(sys.argv) > 2 else scratch)))
