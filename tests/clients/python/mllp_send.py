"""python-hl7's command `mllp_send` sends a file of MLLP-framed messages; this reads the answers that it prints.

Run: `python mllp_send.py HOST PORT FILE`. The last line printed is JSON: sent, acks by code, seconds, matched. The
command waits for an answer to each message and prints it as it came, so the n-th answer printed is the n-th message's.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from itertools import zip_longest
from pathlib import Path

COMMAND = Path(sys.executable).with_name("mllp_send")
COMMAND_TIMEOUT_S = 300
"""For the whole file; it has no time limit an answer of its own."""
ANSWER = re.compile(rb"\x0b(?:[^\x1c]*\r)?MSA\|([^|\r]*)\|([^|\r\x1c]*)[^\x1c]*\x1c\r")


def main(host: str, port: str, file: str) -> None:
    """Run the command, read what it printed, print the tally."""
    messages = [framed for framed in Path(file).read_bytes().split(b"\x1c\r") if framed.startswith(b"\x0b")]
    began = time.perf_counter()
    printed = subprocess.run(
        [COMMAND, "--port", port, "--file", file, host], stdout=subprocess.PIPE, timeout=COMMAND_TIMEOUT_S, check=True
    ).stdout
    seconds = round(time.perf_counter() - began, 3)
    answers = ANSWER.findall(printed)
    acks = Counter(code.decode() for code, _ in answers)
    asked = (message.split(b"|", 10)[9] for message in messages)
    matched = sum(sent == told for sent, told in zip_longest(asked, (told for _, told in answers)))
    print(json.dumps({"sent": len(messages), "acks": acks, "seconds": seconds, "matched": matched}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
