"""python-hl7's `MLLPClient` sends a file of MLLP-framed messages and waits for each answer.

Run: `python mllp_client.py HOST PORT FILE`. The last line printed is JSON: sent, acks by code, seconds, matched. The
client reads at most 4,096 bytes an answer and takes the first piece that comes for the whole.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import hl7
from hl7.client import MLLPClient

ANSWER_TIMEOUT_S = 30
"""Until an answer is given up; the service answers in milliseconds."""
PROGRESS_EVERY = 1_000


def main(host: str, port: str, file: str) -> None:
    """Send, count, print."""
    acks: Counter[str] = Counter()
    matched = sent = 0
    began = time.perf_counter()
    with MLLPClient(host, int(port)) as client:
        client.socket.settimeout(ANSWER_TIMEOUT_S)
        for framed in Path(file).read_bytes().split(b"\x1c\r"):
            if not framed.startswith(b"\x0b"):
                continue
            message = framed[1:]
            answer = hl7.parse(client.send_message(message).decode().strip("\x0b\x1c\r"))
            sent += 1
            acks[str(answer.segment("MSA")[1])] += 1
            matched += str(answer.segment("MSA")[2]) == message.split(b"|", 10)[9].decode()
            if sent % PROGRESS_EVERY == 0:
                print(f"{sent} sent", file=sys.stderr)  # noqa: T201 - a program of its own
    seconds = round(time.perf_counter() - began, 3)
    print(json.dumps({"sent": sent, "acks": acks, "seconds": seconds, "matched": matched}))  # noqa: T201 - see above


if __name__ == "__main__":
    main(*sys.argv[1:])
