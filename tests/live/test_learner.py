"""The learner: the records it hears by, what it learns of them, and that a kill changes none of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from math import isnan, nan
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import EXAMPLES
from connectors.local.processes import await_that
from connectors.signing import generate_key
from events import Demographics, Discharge, Envelope, Outcome, content_id
from models.inputs import LEARNING_INPUTS
from stream.cli.options import code_version
from stream.kafka_log import KafkaLog
from stream.learning import LearnerFold
from stream.live.example_fold import ExampleFold, Origin
from stream.live.examples import (
    ExampleRecorder,
    Happened,
    Scored,
    UndecodableExampleError,
    decode_example,
    encode_example,
    happened,
    scored,
)
from stream.live.versions import LiveVersions
from stream.outcomes import OutcomeDefinition
from stream.partition_fold import PartitionFold
from stream.settings import Settings, configuration_hash
from tests.live.deaths import log_lines
from tests.live.parity import PreRecorded, hospital_log

ORIGIN = Origin(code_version(), "", configuration_hash(Settings()))
RIVER = "river-logistic"
MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_767_225_600_000
WAIT_S = 150.0
"""Until a process of ours has imported everything and read its topic, on shared cores."""


def lessons(patients: int = 120, seed: int = 7) -> list[bytes]:
    """Make examples: patients scored every hour for a day, the sicker of whom deteriorate."""
    random = Random(seed)  # noqa: S311 - examples, seeded
    timed: list[tuple[int, int, bytes]] = []
    for number in range(patients):
        patient = content_id("patient", str(number))
        begin, sick = START + number * 17 * MINUTE, random.random() < 0.3
        for hour in range(24):
            vector = [random.gauss(1.5 if sick else 0.0, 1.0) for _ in LEARNING_INPUTS.names]
            vector[random.randrange(len(vector))] = nan
            at = begin + hour * HOUR
            timed.append((at, number, encode_example(scored(patient, at, vector))))
        end = begin + 25 * HOUR
        event = Outcome(end, "death") if sick else Discharge(end)
        told = happened(Envelope(content_id("end", patient), patient, end, end, (event,)))
        assert told is not None
        timed.append((end, number, encode_example(told)))
    return [value for _at, _number, value in sorted(timed)]


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    """Give examples enough to make a version of."""
    return lessons()


def taught(values: list[bytes], begin: int = 0, learner: str = RIVER) -> ExampleFold:
    """Fold records from an offset on."""
    fold = ExampleFold(OutcomeDefinition(), learner)
    for offset, value in enumerate(values, start=begin):
        fold.take(offset, value)
    return fold


def version_of(fold: ExampleFold) -> str:
    """Name what a fold knows."""
    return fold.candidate(ORIGIN).version


# -- records ----------------------------------------------------------------------------------------------------------


def test_a_score_comes_back_as_it_was() -> None:
    """A score's inputs survive the record bit for bit, what is not known (NaN) among them, as null in the JSON."""
    data = encode_example(scored("p", 5, [0.1 + 0.2, nan, -1e300]))
    example = decode_example(data)
    assert isinstance(example, Scored)
    assert example.vector == (0.1 + 0.2, None, -1e300)
    assert json.loads(data)["vector"][1] is None


def test_an_id_follows_from_the_cause() -> None:
    """The same score, and the same message, make the same record; another value makes another."""
    envelope = Envelope(content_id("e"), "p", 0, 0, (Discharge(0),), position="here#1")
    moved = msgspec.structs.replace(envelope, position="there#9")
    assert happened(envelope) == happened(moved)
    assert scored("p", 5, [1.0]) == scored("p", 5, [1.0])
    assert len({scored("p", at, [value]).example_id for at in (5, 6) for value in (1.0, 2.0, nan)}) == 6


def test_values_do_not_travel_twice() -> None:
    """What happened is told without observations and corrections, and without who somebody is; a death is told."""
    born, dead = Demographics(0, birth_date="1950-01-01"), Demographics(0, deceased=True)
    assert happened(Envelope(content_id("e"), "p", 0, 0, (born,))) is None
    told = happened(Envelope(content_id("e"), "p", 0, 0, (born, dead, Discharge(0))))
    assert told is not None
    assert told.envelope.events == (dead, Discharge(0))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"type":"other"}', b'{"type":"scored","at":"x"}', b"[" * 5_000])
def test_what_is_no_example_is_refused_without_its_words(data: bytes) -> None:
    """Bytes that are no example raise the one error, which quotes nothing of them."""
    with pytest.raises(UndecodableExampleError) as fault:
        decode_example(data)
    assert "other" not in str(fault.value)


# -- the fold ---------------------------------------------------------------------------------------------------------


def test_the_topic_teaches_what_the_pipeline_would() -> None:
    """A learner that hears by records knows exactly what one inside the pipeline knows."""
    log: PreRecorded = hospital_log(1)
    inside, recorder = LearnerFold(OutcomeDefinition()), ExampleRecorder("/test")
    for learner in (inside, recorder):
        fold = PartitionFold(0, 1, {}, learner=learner)
        for envelope in log.partitions[0]:
            fold.fold(envelope)
    records = recorder.take_records()
    outside = taught([record.value or b"" for record in records]).learning
    assert len(records) > 500
    assert outside.prequential.learner.state() == inside.prequential.learner.state()
    assert outside.joiner.counts == inside.joiner.counts
    assert not any(isinstance(decode_example(record.value or b""), Happened) and b"observation" in (record.value or b"")
                   for record in records)  # fmt: skip


def test_repeats_and_poison_change_nothing(values: list[bytes]) -> None:
    """Records written twice and records that are none are counted, and what is learned is the same."""
    disturbed = [piece for value in values for piece in (value, value, b"{")]
    fold = taught(disturbed)
    assert (fold.repeats, fold.undecodable, fold.failed) == (len(values), len(values), 0)
    plain = taught(values)
    assert fold.learning.prequential.learner.state() == plain.learning.prequential.learner.state()


def test_it_learns_something(values: list[bytes]) -> None:
    """On examples whose sick differ from the well, what it said before learning tells them apart."""
    figures = taught(values).learning.prequential.accumulator.figures()
    assert figures.positives > 50
    assert figures.auroc is not None
    assert figures.auroc > 0.7


def test_what_is_not_known_is_learned_as_such(values: list[bytes]) -> None:
    """A null becomes NaN again, so that no weight is ever learned from a made-up zero."""
    example = next(one for one in map(decode_example, values) if isinstance(one, Scored) and None in one.vector)
    heard: list[list[float]] = []
    fold = ExampleFold(OutcomeDefinition())
    fold.learning.scored = lambda _patient, _at, vector, *_said: heard.append(vector)  # type: ignore[method-assign]
    fold.take(0, encode_example(example))
    assert [isnan(value) for value in heard[0]] == [value is None for value in example.vector]


# -- the process ------------------------------------------------------------------------------------------------------


async def write(kafka: KafkaSettings, values: list[bytes]) -> None:
    """Write examples, in order."""
    await declare(kafka)
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    try:
        for at in range(0, len(values), 500):
            await outbox.send([Record(EXAMPLES, b"p", value) for value in values[at : at + 500]])
    finally:
        await outbox.stop()


class Process:
    """`wardstream learner` in a process of its own."""

    def __init__(self, folder: Path, kafka: KafkaSettings, *words: str, live: str = "") -> None:
        """Start it; `live` are more lines of its configuration's table of that name."""
        folder.mkdir(exist_ok=True)
        site = folder / "wardstream.toml"
        site.write_text(
            f'[kafka]\nbootstrap = "{kafka.bootstrap}"\nprefix = "{kafka.prefix}"\n'
            f'partitions = {kafka.partitions}\n[live]\nstate_folder = "{folder}"\n{live}'
        )
        self.folder = folder
        command = [sys.executable, "-m", "stream.cli", "learner", "--config", str(site), "--health-port", "0", *words]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=(folder / "log").open("ab"), text=True)
        assert self.child.stdout is not None
        self.address = json.loads(self.child.stdout.readline())["health"]

    def health(self) -> dict[str, Any]:
        """Ask how it does."""
        found: dict[str, Any] = httpx.get(self.address, timeout=WAIT_S, trust_env=False).json()
        return found

    def exposed(self) -> str:
        """Give all metrics."""
        return httpx.get(self.address.replace("/health/ready", "/metrics"), timeout=WAIT_S, trust_env=False).text

    def metric(self, name: str) -> float:
        """Give a metric's value."""
        lines = self.exposed().splitlines()
        return float(next(line for line in lines if line.startswith(f"wardstream_learner_{name} ")).split()[1])

    def candidates(self) -> set[str]:
        """Name the candidate versions that it wrote."""
        return {path.stem for path in (self.folder / "candidates").glob("*.json")}

    def end(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child.pid, number)
        assert self.child.stdout is not None
        self.child.stdout.close()
        return self.child.wait(WAIT_S)


@pytest.fixture
def learner(tmp_path: Path, kafka: KafkaSettings) -> Iterator[Any]:
    """Give a maker of learner processes; all of them end with the test."""
    made: list[Process] = []

    def make(*words: str) -> Process:
        made.append(Process(tmp_path / "learner", kafka, *words))
        return made[-1]

    yield make
    for process in made:
        if process.child.poll() is None:
            process.end()


EVERY_SECOND = ("--version-every-h", str(1 / 3_600), "--learner", RIVER)


def test_killed_and_started_again_it_knows_the_same(kafka: KafkaSettings, values: list[bytes], learner: Any) -> None:
    """After kill -9 while examples come, a new process goes on from the newest snapshot, and makes the version that the
    whole topic makes, byte for byte.
    """
    half = len(values) // 2
    asyncio.run(write(kafka, values[:half]))
    first = learner(*EVERY_SECOND, "--snapshot-records", "250")
    assert await_that(lambda: first.metric("next_offset") >= half, WAIT_S)
    assert await_that(lambda: first.metric("snapshot_next_offset") >= 250, WAIT_S)
    asyncio.run(write(kafka, values[half : half + 300]))
    first.end(signal.SIGKILL)
    asyncio.run(write(kafka, values[half + 300 :]))
    second = learner(*EVERY_SECOND, "--snapshot-records", "250")
    expected = version_of(taught(values))
    assert await_that(lambda: expected in second.candidates(), WAIT_S)
    logged = log_lines((second.folder / "log").read_text())
    [restored] = [line for line in logged if line.get("event") == "restored"]
    assert restored["record"] >= 250


def test_health_tells_lag_and_figures(kafka: KafkaSettings, values: list[bytes], learner: Any) -> None:
    """When it has read the topic it is well, with no lag, and tells what it learned; SIGTERM ends it in order."""
    asyncio.run(write(kafka, [*values, b"{"]))
    process = learner()
    assert await_that(lambda: process.health()["well"], WAIT_S)
    assert await_that(lambda: process.metric("lag_records") == 0, WAIT_S)
    assert process.metric("next_offset") == len(values) + 1
    assert process.metric("undecodable") == 1
    assert process.metric("positives") > 50
    assert process.end(signal.SIGTERM) == 0


def test_a_signed_candidate_is_accepted_and_scores_nothing(
    kafka: KafkaSettings, values: list[bytes], learner: Any, tmp_path: Path
) -> None:
    """A candidate published with the learner's key passes a worker's check of signatures, and nothing promotes it."""
    pair = generate_key()
    key = tmp_path / "key.pem"
    key.write_bytes(pair.private_pem)
    asyncio.run(write(kafka, values))
    process = learner(*EVERY_SECOND, "--key", str(key))
    expected = version_of(taught(values))
    trusting, strangers = LiveVersions({}, [pair.public]), LiveVersions({}, [generate_key().public])

    def published() -> bool:
        with KafkaLog(kafka) as log:
            for record in log.read_all("models.v1"):
                trusting.take(record.key, record.value, record.headers)
                strangers.take(record.key, record.value, record.headers)
        return expected in trusting

    assert await_that(published, WAIT_S)
    process.end()
    assert expected not in strangers
    with KafkaLog(kafka) as log:
        assert list(log.read_all("control.v1")) == []


def test_without_its_topic_it_says_what_to_do(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Where examples.v1 is missing it ends at once, with the words that mend it."""
    site = tmp_path / "wardstream.toml"
    site.write_text(f'[kafka]\nbootstrap = "{kafka.bootstrap}"\nprefix = "{kafka.prefix}"\n')
    done = subprocess.run(
        [sys.executable, "-m", "stream.cli", "learner", "--config", str(site)],
        capture_output=True, text=True, timeout=WAIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "wardstream topics declare" in done.stderr
