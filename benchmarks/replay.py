"""Replay of the ICU data, whole: reading the files, the core, and the output files. Observations a second.

Owns the run and its report. Must not know how a replay works. The data are `physionet2019` from WARDSTREAM_DATA, else
`../shared/data`; `--every 1` takes all stays. The clock starts at the first message: reading the stays counts,
unpacking the archive does not, for a sample would pay for all of it.

Run: `.venv/bin/python benchmarks/replay.py --every 20`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from itertools import chain
from pathlib import Path

from connectors.sources import open_source
from connectors.sources.arrival import SourceSettings
from stream.cli.options import make_release
from stream.replay import Replay
from stream.settings import Settings

OBSERVATIONS_PER_S_TARGET = 20_000
EVERY = 20


def run(data: Path, every: int) -> dict[str, object]:
    """Replay each `every`-th stay into a temporary folder; give what it came to."""
    release, versions = make_release(Settings(), None, None)
    source = iter(open_source(f"physionet2019:{data / 'physionet2019'}", SourceSettings(every=every)))
    first = next(source)
    with tempfile.TemporaryDirectory() as folder:
        replay = Replay(Path(folder), release, versions)
        began = time.perf_counter()
        replay.messages(chain((first,), source))
        wall_s = time.perf_counter() - began
        result = replay.finish(wall_s)
        output_bytes = sum(file.stat().st_size for file in Path(folder).iterdir())
    observations = int(str(result.summary["observations"]))
    return {
        "messages": result.summary["messages"],
        "observations": observations,
        "wall_s": wall_s,
        "observations_per_s": observations / wall_s,
        "output_bytes": output_bytes,
        "digest": result.digest,
    }


def main() -> None:
    """Replay, print the figure beside its target and, where asked, write it as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--every", type=int, default=EVERY, help="each n-th stay")
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    result = run(Path(os.environ.get("WARDSTREAM_DATA", default)), chosen.every)
    print(
        f"{result['observations']:,} observations in {result['wall_s']:.1f} s: "
        f"{result['observations_per_s']:,.0f}/s (target {OBSERVATIONS_PER_S_TARGET:,})"
    )
    print(f"digest {result['digest']}")
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
