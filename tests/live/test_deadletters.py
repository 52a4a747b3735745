"""`wardstream deadletters` on a real broker, with a gateway to drive to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.kafka.admin import declare
from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from tests.live.gateways import HL7, LETTERS, GatewayProcess, chart, read, send


def cli(gateway: GatewayProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "stream.cli", "deadletters", *arguments, "--config", str(gateway.config)]
    environment = {**os.environ, "COLUMNS": "220"}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)


def test_letters_of_the_topic_are_worked_on(
    tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings
) -> None:
    """Listed by cause, shown with the fault, refused again without one more letter, and taken once it is mended."""
    asyncio.run(declare(kafka))
    refused = [chart(number).replace(b"42^^^MRN", b"") for number in (1, 2, 2)] + [
        chart(3).replace(b"|2.5.1", b"|2.10")
    ]
    gateway = GatewayProcess(tmp_path / "g", kafka, redis_settings)
    asyncio.run(send(gateway.mllp, refused))
    listed = cli(gateway, "list").stdout
    assert listed.endswith("4 dead letters: 3 missing_identifier, 1 unsupported_version\n")
    [line] = [line for line in listed.splitlines() if "missing_identifier" in line and "PID-3" in line]
    assert [cell.strip() for cell in line.split("│")][3:6] == ["3", "2", "?"]
    each = cli(gateway, "list", "--each", "--reason", "unsupported_version").stdout
    [name] = [line.split("│")[1].strip() for line in each.splitlines() if "unsupported_version" in line and "│" in line]
    assert "→ MSH|" in cli(gateway, "show", name).stdout
    for _ in range(2):
        again = cli(gateway, "redrive", "--to", gateway.url)
        assert again.returncode == 3
        assert again.stdout == "3 refused again, 1 the same message as another letter\n"
    assert len(asyncio.run(read(kafka, LETTERS))) == 4
    assert gateway.stop() == 0
    versions = '[hl7]\naccepted_versions = ["2.5.1", "2.10"]\n'
    restarted = GatewayProcess(tmp_path / "g2", kafka, redis_settings, people=versions)
    taken = cli(restarted, "redrive", name, "--to", restarted.url)
    assert (taken.returncode, taken.stdout) == (0, "1 taken\n")
    assert len(asyncio.run(read(kafka, HL7))) == 1
    assert restarted.stop() == 0


@pytest.mark.parametrize("arguments", [("list",), ("show", "1"), ("redrive",)])
def test_somewhere_to_look_must_be_named(arguments: tuple[str, ...]) -> None:
    """Neither a folder nor a configuration is wrong usage, and says which of the two to give."""
    words = [sys.executable, "-m", "stream.cli", "deadletters", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--data-dir" in done.stderr
