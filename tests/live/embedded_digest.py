"""The embedded fold of the pre-recorded log, in a process of its own: for a run under another PYTHONHASHSEED.

python -m tests.live.embedded_digest PARTITIONS BEDS HOURS: prints the digest of scores, suppressed and alerts.
"""

from __future__ import annotations

import sys

from stream.cli.options import code_version
from tests.live.parity import embedded_outputs, hospital_log

if __name__ == "__main__":
    partitions, beds, hours = map(int, sys.argv[1:])
    log = hospital_log(partitions, beds=beds, hours=hours, code_version=code_version())
    sys.stdout.write(embedded_outputs(log).hexdigest())
