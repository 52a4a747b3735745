"""MLLP clients that nobody here wrote each send the whole shared stream, and are answered for each message."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from connectors.sqlite.journal import SqliteJournal

ROOT = Path(__file__).resolve().parents[2]
CONTROL_MESSAGES = 200
"""Of the stream, for the server of others: enough to see that a client counts."""
REPLAY_S_MAX = 300
NACKS = {"AE", "AR", "CE", "CR"}


class Expected(NamedTuple):
    """What a replay of the same file made of it."""

    acknowledged: int
    refused: int
    refused_ids: frozenset[str]


@pytest.fixture(scope="module")
def expected(stream: Any, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """Replay the stream by the command line."""
    folder = tmp_path_factory.mktemp("replayed")
    command = [sys.executable, "-m", "stream.cli", "replay", stream.path, "--out", folder, "--quiet"]
    done = subprocess.run(command, cwd=ROOT, timeout=REPLAY_S_MAX, check=False)
    assert done.returncode in {0, 3}
    summary = json.loads((folder / "summary.json").read_text())
    letters = [json.loads(line) for line in (folder / "dead_letters.ndjson").read_text().splitlines()]
    return Expected(
        summary["accepted"] + summary["duplicates"],
        summary["dead_letters"],
        frozenset(letter["message_id"] for letter in letters),
    )


def test_a_client_is_answered_for_each_message(
    client: Callable[[int, Path], dict[str, Any]],
    serve: Callable[..., Any],
    stream: Any,
    expected: Expected,
    tmp_path: Path,
) -> None:
    """Each of the stream's messages is answered by its own MSA-2: yes but for those that a replay refuses too; CA, as
    the simulated hospital asks (MSH-15 AL), where the client sends that on.

    And whatever was acknowledged is in the journal after the service was told to stop, which it does with code 0.
    """
    data = tmp_path / "data"
    server = serve(
        sys.executable, "-m", "stream.cli", "run", "--data-dir", data, "--mllp-port", "0", "--http-port", "0"
    )
    tally = client(server.port, stream.path)
    assert tally["sent"] == tally["matched"] == sum(tally["acks"].values()) == len(stream.control_ids)
    refused = sum(count for code, count in tally["acks"].items() if code in NACKS)
    stored = sum(count for code, count in tally["acks"].items() if code not in NACKS)
    assert (stored, refused) == (expected.acknowledged, expected.refused)
    assert tally["acks"].get("CA", 0) == expected.acknowledged
    assert server.stop() == 0, (server.folder / "errors.log").read_text()[-2000:]
    journal = SqliteJournal(data, read_only=True)
    stored = {envelope.message_id for _offset, envelope in journal.read() if envelope.patient}
    letters = [json.loads(letter)["message_id"] for letter, _bytes in journal.dead_letters()]
    journal.close()
    assert stored == set(stream.control_ids) - expected.refused_ids
    assert sorted(letters) == sorted(expected.refused_ids)


def test_a_client_that_asks_for_accept_acknowledgements(
    client: Callable[[int, Path], dict[str, Any]],
    serve: Callable[..., Any],
    stream: Any,
    expected: Expected,
    tmp_path: Path,
) -> None:
    """As IHE's device profile asks (MSH-15 AL, MSH-16 NE), each client gets one answer a message:
    CA for what is stored, CE or CR for what is refused.
    """
    messages = stream.path.read_bytes().split(b"\x1c\r")[:CONTROL_MESSAGES]
    path = tmp_path / "asking.hl7"
    path.write_bytes(b"".join(_asking(message) + b"\x1c\r" for message in messages))
    refused = sum(control_id in expected.refused_ids for control_id in stream.control_ids[:CONTROL_MESSAGES])
    server = serve(
        sys.executable,
        "-m",
        "stream.cli",
        "run",
        "--data-dir",
        tmp_path / "data",
        "--mllp-port",
        "0",
        "--http-port",
        "0",
    )
    tally = client(server.port, path)
    assert tally["sent"] == tally["matched"] == CONTROL_MESSAGES
    assert tally["acks"].get("CA", 0) == CONTROL_MESSAGES - refused
    assert sum(count for code, count in tally["acks"].items() if code in {"CE", "CR"}) == refused
    assert server.stop() == 0


def _asking(message: bytes) -> bytes:
    """Have a message ask for accept acknowledgements alone."""
    header, end, rest = message.partition(b"\r")
    fields = header.split(b"|") + [b""] * 16
    fields[14], fields[15] = b"AL", b"NE"
    return b"|".join(fields[: max(16, header.count(b"|") + 1)]) + end + rest


def test_a_client_counts_what_a_server_of_others_answers(
    client: Callable[[int, Path], dict[str, Any]],
    serve: Callable[..., Any],
    stream: Any,
    tmp_path: Path,
) -> None:
    """The clients count rightly: python-hl7's own server accepts all it is sent, and each client says so."""
    server = serve(sys.executable, ROOT / "benchmarks" / "peers" / "python_hl7_server.py")
    framed = stream.path.read_bytes().split(b"\x1c\r")[:CONTROL_MESSAGES]
    path = tmp_path / "part.hl7"
    path.write_bytes(b"\x1c\r".join([*framed, b""]))
    tally = client(server.port, path)
    assert (tally["sent"], tally["matched"], tally["acks"]) == (
        CONTROL_MESSAGES,
        CONTROL_MESSAGES,
        {"AA": CONTROL_MESSAGES},
    )
    assert server.stop() == 0
