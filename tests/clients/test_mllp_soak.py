"""An hour of messages by clients of others, whose connections are cut: each acknowledged one is there once, no other.

`WARDSTREAM_MLLP_SOAK` is how many messages (`make mllp-soak`: 3,600,000, an hour of 1,000 a second); here it is some.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from connectors.sqlite.journal import SqliteJournal
from tests.clients.soaking import (
    BAD_EVERY,
    NACKS,
    Answer,
    Cutter,
    Sender,
    accounted,
    lettered,
    message,
    summary,
    untrue,
)

MESSAGES = int(os.environ.get("WARDSTREAM_MLLP_SOAK", "400"))
CLIENTS = ("hapi", "medplum", "node_hl7_client", "python_hl7")
EACH = max(1, min(4, MESSAGES // 100_000))
"""Senders of each client: most wait for every answer, so more of them fill the machine."""
SENDERS = tuple(f"{client}-{number}" for client in CLIENTS for number in range(EACH))
CUTS_MIN = 3


def sent_now() -> int:
    """Give the sender's clock, as any sender of a soak has one."""
    return int(time.time() * 1000)


def test_what_is_acknowledged_is_there_once_however_often_the_line_is_cut(
    clients_of_others: Any, serve: Callable[..., Any], tmp_path: Path
) -> None:
    """Cut within a message, before its answer, within its answer: sent again, each is stored once; what is refused
    (AE) is kept as a dead letter, and is nowhere in the log.
    """
    data = tmp_path / "data"
    server = serve(
        sys.executable, "-m", "stream.cli", "run", "--data-dir", data, "--mllp-port", "0", "--http-port", "0"
    )  # fmt: skip
    share = MESSAGES // len(SENDERS)
    cutters = {name: Cutter(server.port, Random(place), share) for place, name in enumerate(SENDERS)}  # noqa: S311
    senders = {}
    for place, name in enumerate(SENDERS):
        chosen = clients_of_others(name.partition("-")[0])
        numbers = range(place * share, (place + 1) * share)
        senders[name] = Sender(chosen.command, dict(chosen.environment), cutters[name], numbers, tmp_path, sent_now)
    threads = [threading.Thread(target=sender.send_all) for sender in senders.values()]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    for cutter in cutters.values():
        cutter.close()
    assert server.stop() == 0, (server.folder / "errors.log").read_text()[-2000:]
    print(f"\n{share * len(SENDERS):,} messages in {seconds:.0f} s\n{summary(cutters, senders)}")  # noqa: T201 - for -s
    assert [fault for sender in senders.values() for fault in sender.faults] == []
    answers: dict[int, Answer] = {}
    for cutter in cutters.values():
        answers |= cutter.answers
        assert cutter.refusals_and_acks == set()
    assert sorted(answers) == list(range(share * len(SENDERS)))
    assert sorted(n for n, one in answers.items() if one.code in NACKS) == list(range(0, len(answers), BAD_EVERY))
    assert sum(cutter.cuts for cutter in cutters.values()) >= CUTS_MIN
    journal = SqliteJournal(data, read_only=True)
    counts = accounted((envelope.message_id for _offset, envelope in journal.read()), len(answers))
    letters = lettered(data for _cause, data in journal.dead_letters() if data)
    journal.close()
    assert {what: numbers for what, numbers in untrue(answers, counts, letters).items() if numbers} == {}


def test_the_accounting_finds_what_is_wrong() -> None:
    """A lost, a doubled, a refused message that is there and one whose bytes are nowhere are each named."""
    answers = {
        0: Answer("AA", True), 1: Answer("CA", False), 2: Answer("AE", True), 3: Answer("AA", True),
        4: Answer("AE", False), 5: Answer("CE", True),
    }  # fmt: skip
    counts = accounted(iter(["S1", "S1", "S2", "S3"]), 6)
    letters = [message(number, 0) for number in (2, 5)] + [message(4, 0)[:20], b"MSH|^~\\&|", b""]
    assert list(untrue(answers, counts, lettered(letters)).values()) == [[0], [1], [2], [4]]
