"""`wardstream topics`: what it prints, writes and exits with, against a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from connectors.kafka.admin import open_admin, partition_counts
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import TOPICS
from stream.cli import EXIT_DONE, EXIT_FAILED

Cli = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(kafka: KafkaSettings, tmp_path: Path) -> Path:
    path = tmp_path / "wardstream.toml"
    path.write_text(
        f'[kafka]\nbootstrap = "{kafka.bootstrap}"\nprefix = "{kafka.prefix}"\npartitions = {kafka.partitions}\n'
    )
    return path


def test_declare_then_check(config: Path, kafka: KafkaSettings, cli: Cli) -> None:
    """Before: the check exits with 1 and names what to do. Declared, it exits with 0 and every topic is there."""
    before = cli("topics", "check", "--config", config)
    assert before.code == EXIT_FAILED
    assert before.err.count("is missing: create it with `wardstream topics declare`") == len(TOPICS)
    declared = cli("topics", "declare", "--config", config)
    assert declared.code == EXIT_DONE
    assert declared.out.count("created") == len(TOPICS)
    after = cli("topics", "check", "--config", config)
    assert after.code == EXIT_DONE
    assert after.out.count("as declared") == len(TOPICS)
    assert set(asyncio.run(partition_counts(kafka))) == set(TOPICS)


def test_a_wrong_topic_is_one_line_each(config: Path, kafka: KafkaSettings, cli: Cli) -> None:
    """A wrong partition count ends `declare` with exit code 1, both numbers and what to do, and no traceback."""

    async def create() -> None:
        async with open_admin(kafka) as client:
            await client.create_topics([NewTopic(kafka.prefix + "events.v1", 2, 1)])

    asyncio.run(create())
    done = cli("topics", "declare", "--config", config)
    assert done.code == EXIT_FAILED
    said = done.err
    assert f"{kafka.prefix}events.v1 has 2 partitions, 4 wanted" in said
    assert "Traceback" not in said


def test_nobody_there_is_one_line(tmp_path: Path, cli: Cli) -> None:
    """Where no broker listens, one line names the address and what to look at; the exit code is 1."""
    config = tmp_path / "w.toml"
    config.write_text('[kafka]\nbootstrap = "127.0.0.1:9"\n')
    said = cli("topics", "check", "--config", config)
    assert said.code == EXIT_FAILED
    assert said.err.startswith("Error: nobody listens at 127.0.0.1:9: is Kafka running")
    assert said.err.count("\n") == 1


def test_the_list_asks_no_broker(tmp_path: Path, cli: Cli) -> None:
    """The list is that of the configuration, with its prefix and its number of partitions."""
    config = tmp_path / "w.toml"
    config.write_text('[kafka]\nbootstrap = "127.0.0.1:9"\nprefix = "st-marys."\npartitions = 37\n')
    listed = cli("topics", "list", "--config", config)
    assert listed.code == EXIT_DONE
    assert "st-marys.events.v1" in listed.out
    assert "37" in listed.out


def test_the_contracts_are_those_of_the_docs(tmp_path: Path, cli: Cli) -> None:
    """`topics schemas` writes what docs/ holds, byte for byte."""
    assert cli("topics", "schemas", tmp_path / "out").code == EXIT_DONE
    written = {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*.json")}
    assert json.loads(written[Path("asyncapi.json")])["asyncapi"] == "3.0.0"
    assert {path: (ROOT / "docs" / path).read_bytes() for path in written} == written
    assert len(written) == 1 + len({topic.schema for topic in TOPICS.values() if topic.schema})
