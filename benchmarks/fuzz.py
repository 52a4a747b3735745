"""Ten million mutated messages over all codecs: no exception, no hang, bounded memory.

Owns the run: its parts, its state, its progress and its report. Must not know how a message is mutated
(`fuzz_mutants.py`) or what must hold of it (`fuzz_checks.py`). A run is stopped with Ctrl-C at any time and goes on
where it was; the same seed gives the same messages. What breaks a law is written to the folder with its number, and
`--only NUMBER` runs it again. Run: `make fuzz`, or `.venv/bin/python benchmarks/fuzz.py --messages 100000`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from fuzz_checks import READERS, check
from fuzz_mutants import mutant
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parents[1]
CHUNK = 10_000
"""Messages between two writings of the state: some seconds."""
MESSAGES = 10_000_000
GROWTH_MIB_MAX = 64
"""As much more than after its warm-up may a process have at its end: every memory of the codecs is bounded."""
FAILURES_MAX = 20
"""A run with more ends: the first ones are enough to begin with."""
SHOWN_CHARS = 300


def run_chunk(seed: int, chunk: int) -> dict[str, Any]:
    """Run one chunk; give what came of it."""
    counts: Counter[str] = Counter()
    slowest, slowest_at = 0.0, 0
    failures: list[dict[str, Any]] = []
    for number in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        one = mutant(seed, number)
        counts[one.reader] += 1
        counts["bytes"] += len(one.data)
        try:
            took = check(one)
        except Exception as error:  # noqa: BLE001 - whatever a codec raises is what is looked for
            failures.append({"number": number, "reader": one.reader, "error": f"{type(error).__name__}: {error}"})
        else:
            if took > slowest:
                slowest, slowest_at = took, number
    return {
        "chunk": chunk,
        "counts": dict(counts),
        "slowest_ms": slowest * 1e3,
        "slowest_at": slowest_at,
        "failures": failures,
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "pid": os.getpid(),
    }


class Run:
    """A run and its state, in a file."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.path = folder / f"seed-{seed}.json"
        self.seed = seed
        self.state: dict[str, Any] = {
            "seed": seed, "done": [], "counts": {}, "slowest_ms": 0.0, "slowest_at": 0, "failures": [], "resident": {},
            "seconds": 0.0,
        }  # fmt: skip
        if self.path.exists():
            self.state = json.loads(self.path.read_text())
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def messages(self) -> int:
        """How many messages have been run."""
        return len(self.state["done"]) * CHUNK

    def left(self, messages: int) -> Iterator[int]:
        """Give the chunks that are to be run still."""
        done = set(self.state["done"])
        yield from (chunk for chunk in range(-(-messages // CHUNK)) if chunk not in done)

    def add(self, result: dict[str, Any], seconds: float) -> None:
        """Take the result of a chunk in, and write the state."""
        state = self.state
        state["done"].append(result["chunk"])
        state["seconds"] += seconds
        for name, count in result["counts"].items():
            state["counts"][name] = state["counts"].get(name, 0) + count
        if result["slowest_ms"] > state["slowest_ms"]:
            state["slowest_ms"], state["slowest_at"] = result["slowest_ms"], result["slowest_at"]
        first, _last = state["resident"].get(str(result["pid"]), (result["resident_mib"], 0.0))
        state["resident"][str(result["pid"])] = (first, result["resident_mib"])
        for failure in result["failures"]:
            state["failures"].append(failure)
            one = mutant(self.seed, failure["number"])
            (self.folder / f"{one.reader}-{self.seed}-{failure['number']}.bin").write_bytes(one.data)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(state))
        part.rename(self.path)

    @property
    def growth_mib(self) -> float:
        """How much any process has grown since its first chunk."""
        return max((last - first for first, last in self.state["resident"].values()), default=0.0)

    def report(self) -> str:
        """Say what came of all so far."""
        state = self.state
        by_reader = ", ".join(f"{state['counts'].get(name, 0):,} {name}" for name in READERS)
        lines = [
            f"{self.messages:,} mutated messages of seed {self.seed}, {state['counts'].get('bytes', 0) / 1e9:.1f} GB, "
            f"in {state['seconds'] / 60:.0f} minutes of work: {by_reader}",
            f"failures: {len(state['failures'])}",
            f"slowest for a megabyte or less: {state['slowest_ms']:.1f} ms of CPU (message {state['slowest_at']:,})",
            f"memory: a process grew by at most {self.growth_mib:.0f} MiB after its first {CHUNK:,} messages",
        ]
        lines += [f"  {one['number']}: {one['reader']}: {one['error'][:SHOWN_CHARS]}" for one in state["failures"]]
        return "\n".join(lines)


def work(run: Run, messages: int, processes: int) -> None:
    """Run what is left, in so many processes, with a bar."""
    chunks = list(run.left(messages))
    columns = (TextColumn("fuzz"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with (
        ProcessPoolExecutor(processes) as pool,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("fuzz", total=messages, completed=run.messages)
        waiting = {}
        queue = iter(chunks)
        for chunk in queue:
            waiting[pool.submit(run_chunk, run.seed, chunk)] = time.monotonic()
            if len(waiting) < processes:
                continue
            _collect(run, waiting)
            progress.update(task, completed=run.messages)
            if len(run.state["failures"]) > FAILURES_MAX:
                break
        while waiting:
            _collect(run, waiting)
            progress.update(task, completed=run.messages)


def _collect(run: Run, waiting: dict[Any, float]) -> None:
    done, _rest = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        began = waiting.pop(future)
        run.add(future.result(), time.monotonic() - began)


def main() -> int:
    """Run, report; end with 1 where a law was broken."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--messages", type=int, default=MESSAGES, help="in all, those of before among them")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--processes", type=int, default=1)
    arguments.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    arguments.add_argument("--only", type=int, metavar="NUMBER", help="one message again, with its traceback")
    chosen = arguments.parse_args()
    if chosen.only is not None:
        one = mutant(chosen.seed, chosen.only)
        print(one.reader, one.data[:SHOWN_CHARS], f"{check(one) * 1e3:.2f} ms")
        return 0
    run = Run(chosen.folder, chosen.seed)
    try:
        work(run, chosen.messages, chosen.processes)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
    print(run.report())
    return 1 if run.state["failures"] or run.growth_mib > GROWTH_MIB_MAX else 0


if __name__ == "__main__":
    raise SystemExit(main())
