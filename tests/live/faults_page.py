"""docs/faults.md from what the tests counted: `make faults` runs them and this.

python -m tests.live.faults_page FAULTS.ndjson: prints the page.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from tests.live.verdict import FaultCount

HEAD = """# Faults, counted

Written by `make faults` from the tests' own results; do not edit. Each row is a test in `tests/live` that runs real
workers against a real Kafka and a real Redis on one machine, does the fault while messages come in at a steady pace
(before it, through it, and after it), and then reads the run's logs:

- **lost**: messages without an envelope on `events.v1`, and outputs that the replay of the run's own logs has and the
  run has not;
- **divergent**: ids with two contents, and what disagrees with the replay;
- **contradictions**: between `alerts.v1` and `alerts.state.v1`, and gaps in an alert's `seq`;
- **written again**: records that came twice, byte for byte the same, under the same id: readers drop them by it;
- **healthy after**: seconds from the end of the (last) fault until every process said on `/health/ready` that it was
  well. While a fault lasts, the processes say so there;
- **ended by itself**: workers that ended to begin anew, and were started again by a supervisor.

"""
NEVER_AGAIN = """
Records are written again where a process ends between the acknowledgement of what it wrote and the storing of its
states, or where the states are put back to older ones; by MLLP, also where an engine that heard no answer sends its
message again. A 0 says that nothing of the kind happened in that run. Under these faults it cannot:

"""
COLUMNS = (
    "times",
    "messages",
    "lost",
    "divergent",
    "contradictions",
    "written again",
    "healthy after (s)",
    "ended by itself",
    "seed",
)


def page(counts: list[FaultCount]) -> str:
    """Write the page; of a fault counted several times, the last counts."""
    newest = {count.fault: count for count in counts}
    rows = [
        f"| {one.fault} | {one.times} | {one.messages} | {one.lost} | {one.divergent} | {one.contradictions} "
        f"| {one.redelivered} | {one.healthy_s:g} | {one.deaths} | {one.seed or ''} |\n"
        for _, one in sorted(newest.items())
    ]
    reasons = [
        f"- {one.fault}: {one.never_again}.\n"
        for _, one in sorted(newest.items())
        if one.never_again and not one.redelivered
    ]
    titles = f"| fault | {' | '.join(COLUMNS)} |\n| --- |{' --: |' * len(COLUMNS)}\n"
    return HEAD + titles + "".join(rows) + NEVER_AGAIN + "".join(reasons)


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_bytes().splitlines()
    sys.stdout.write(page([msgspec.json.decode(line, type=FaultCount) for line in lines]))
