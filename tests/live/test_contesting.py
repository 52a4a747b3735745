"""The contest in a running learner: a clean challenger goes into force by itself, a poisoned one never does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import structlog

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL, EXAMPLES
from connectors.local.processes import await_that
from connectors.signing import KeyPair, generate_key, sign
from events import Configuration, Promotion
from models.evidence import evidence_digest, load_evidence
from models.version import ModelVersion, dump
from stream.contest_judging import levels_of
from stream.decisions import Decision, Decisions, decision_key, encode_decision
from stream.entrants import CONTEST, MADE, NAMED, entering
from stream.live import company as company_module
from stream.live import contesting
from stream.live.company import Company, Following
from stream.live.contest import Contest, evidence_on
from stream.live.contesting import ContestCompanion, Shown
from stream.live.example_fold import ExampleFold, Origin
from stream.live.examples import encode_example
from stream.live.learner import LearnerProcess
from stream.live.learner_snapshots import Snapshots, head_of
from stream.live.versions import version_record
from stream.live_settings import LiveSettings
from stream.promotion import AUTOMATIC, champion_of
from stream.settings import configuration_hash, configuration_text
from tests.live.test_learner import Process
from tests.stream.live.contest_cases import DEFINITION, hospital
from tests.stream.test_contest_judging import CHAMPION, CLEAN, POISONED, SETTINGS

RIVER = "river-logistic"
WAIT_S = 90.0
QUARTER_S = 0.25
PERSON = "safety-officer"


class Site(NamedTuple):
    """An installation in which three versions are at hand, and the first is in force."""

    kafka: KafkaSettings
    key: KeyPair
    folder: Path


async def write(kafka: KafkaSettings, *records: Record) -> None:
    """Write records, in order."""
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    try:
        for at in range(0, len(records), 500):
            await outbox.send(records[at : at + 500])
    finally:
        await outbox.stop()


async def read_decisions(kafka: KafkaSettings) -> Decisions:
    """Read all that is decided."""
    decisions = Decisions()
    async for record in read_topic(kafka, CONTROL):
        decisions.take(record.offset, record.value, record.record_time)
    return decisions


async def decide(kafka: KafkaSettings, make: Callable[[Decisions], Decision]) -> None:
    """Let a person decide."""
    decisions = await read_decisions(kafka)
    decision = msgspec.structs.replace(make(decisions), previous=decisions.chain.tips)
    await write(kafka, Record(CONTROL, decision_key(decision), encode_decision(decision)))


def published(version: ModelVersion, key: KeyPair) -> Record:
    """Publish a version, signed."""
    return version_record(version, sign(key.private_pem, dump(version)))


async def made(kafka: KafkaSettings, folder: Path) -> Site:
    """Make the installation."""
    await declare(kafka)
    key = generate_key()
    await write(kafka, *(published(one, key) for one in (CHAMPION, CLEAN, POISONED)))
    await decide(kafka, lambda _: Decision(Promotion(1, CHAMPION.version, enabled=True), PERSON, "reviewed"))
    for one in (CLEAN, POISONED):
        await decide(
            kafka, lambda found, one=one: entering(found, one.version, 2, by=NAMED, who=PERSON, reason="to be tried")
        )
    return Site(kafka, key, folder)


class Running(NamedTuple):
    """A learner with its contest."""

    process: LearnerProcess
    companion: ContestCompanion

    @property
    def contest(self) -> Contest:
        """Give the fold."""
        found = self.process.fold.beside.folds["contest"]
        assert isinstance(found, Contest)
        return found

    def shown(self, version: ModelVersion) -> Shown:
        """Give how it stood when it was weighed last; by no rows before it was: who has just entered waits for that."""
        return self.companion.shown.get(version.version, Shown(0, 0, None, "not weighed yet"))


@asynccontextmanager
async def running(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """Let a learner run that weighs four times a second."""
    monkeypatch.setattr(contesting, "LOOK_S", QUARTER_S)
    monkeypatch.setattr(company_module, "AGAIN_S", QUARTER_S)
    following = Following(site.kafka, "", [site.key.public])
    companion = ContestCompanion(
        following, DEFINITION, SETTINGS, evidence_folder=site.folder / "evidence", judge_s=QUARTER_S
    )
    process = LearnerProcess(
        site.kafka, LiveSettings(health_port=0), DEFINITION, origin=Origin(), log=structlog.get_logger(), learner=RIVER,
        snapshots=Snapshots(site.folder / "learner", head_of("test", RIVER, DEFINITION)),
        company=Company(following, [companion]),
    )  # fmt: skip
    await process.listen()
    try:
        yield Running(process, companion)
    finally:
        await process.stop()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until it is so."""
    assert await asyncio.to_thread(await_that, holds, WAIT_S)


def examples(first: int, patients: int, champion: ModelVersion, seed: int) -> list[Record]:
    """Give the records of a hospital in which a version is in force."""
    values = (encode_example(one) for one in hospital(patients, seed, champion=champion, first=first))
    return [Record(EXAMPLES, b"p", value) for value in values]


def promoted_by_itself(decisions: Decisions) -> list[str]:
    """Name the versions that nobody put in force."""
    each = (one.decision for one in decisions.kept())
    return [one.event.version for one in each if isinstance(one.event, Promotion) and one.who == AUTOMATIC]


@pytest.mark.asyncio
async def test_a_clean_challenger_goes_into_force_a_poisoned_one_does_not_and_a_rollback_stays(
    kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From rows alone; each step in one chain. What a person took back is not put in force again by itself."""
    site = await made(kafka, tmp_path)
    async with running(site, monkeypatch) as one:
        await until(lambda: set(one.contest.running) == {CLEAN.version, POISONED.version})
        await write(kafka, *examples(0, 600, CHAMPION, 3))
        await until(lambda: champion_of(one.companion.decisions) == CLEAN.version)
        await until(lambda: set(one.contest.running) == {POISONED.version})
        decisions = await read_decisions(kafka)
        assert promoted_by_itself(decisions) == [CLEAN.version]
        verdicts = {one.decision.reason for one in decisions.kept() if _of(one.decision, POISONED)}
        assert "stopped" in verdicts
        assert not verdicts & {"automatic", "awaits_signature"}
        assert not [words for words in one.process.ready().problems if "contest" in words]

        undone = next(one.sequence for one in decisions.kept() if _is_automatic(one.decision))
        back = Promotion(3, CHAMPION.version, enabled=True)
        await decide(kafka, lambda _: Decision(back, PERSON, "worse", undoes=undone))
        await decide(
            kafka, lambda found: entering(found, CLEAN.version, 4, by=NAMED, who=PERSON, reason="once more, to look")
        )
        await until(lambda: CLEAN.version in one.contest.running)
        await write(kafka, *examples(700, 600, CHAMPION, 4))
        enough = SETTINGS.change_control.rows_min
        await until(lambda: one.shown(CLEAN).rows > enough)
        await until(
            lambda: "rolled back before" in _last(one.companion.decisions, CLEAN).figures.get("gate.monitors", "")
        )
    after = await read_decisions(kafka)
    assert champion_of(after) == CHAMPION.version
    assert promoted_by_itself(after) == [CLEAN.version]
    assert after.chain.faults == ()
    assert "rolled back before" in _last(after, CLEAN).figures["gate.monitors"]


def _of(decision: Decision, version: ModelVersion) -> bool:
    return decision.who == AUTOMATIC and decision.event.version == version.version  # type: ignore[union-attr] # no other


def _last(decisions: Decisions, version: ModelVersion) -> Decision:
    return [one.decision for one in decisions.kept() if _of(one.decision, version)][-1]


def _is_automatic(decision: Decision) -> bool:
    return isinstance(decision.event, Promotion) and decision.who == AUTOMATIC


@pytest.mark.asyncio
async def test_ended_and_begun_again_it_weighs_what_one_fold_of_the_topic_weighs(
    kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the rows before, half after: the evidence is that of a fold which was never stopped, by its digest."""
    site = await made(kafka, tmp_path)
    records = examples(0, 240, CHAMPION, 5)
    half = len(records) // 2
    async with running(site, monkeypatch) as first:
        await until(lambda: set(first.contest.running) == {CLEAN.version, POISONED.version})
        await write(kafka, *records[:half])
        await until(lambda: first.shown(CLEAN).rows > 100)
    async with running(site, monkeypatch) as second:
        assert set(second.contest.running) == {CLEAN.version, POISONED.version}
        await write(kafka, *records[half:])
        fold = ExampleFold(DEFINITION, RIVER, beside={"contest": second.companion.make})
        await until(lambda: second.process.is_current and second.process.fold.next_offset > len(records))
        async for record in read_topic(kafka, EXAMPLES):
            fold.take(record.offset, record.value)
        whole = fold.beside.folds["contest"]
        assert isinstance(whole, Contest)
        levels = levels_of(SETTINGS, CLEAN.version)
        expected = evidence_on(whole.heard(CLEAN.version, CHAMPION.version), CHAMPION, CLEAN, levels)
        await until(lambda: second.shown(CLEAN).evidence == expected)
        assert whole.state() == await second.process.in_thread(second.contest.state)
    for path in (tmp_path / "evidence").glob("*.json"):
        assert evidence_digest(load_evidence(path.read_bytes())) == path.stem
    assert list((tmp_path / "evidence").glob("*.json"))


@pytest.mark.asyncio
async def test_a_version_that_cannot_take_part_is_refused_in_the_chain_and_leaves(
    kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, with the reason; the others go on, and health and answers say how they stand."""
    site = await made(kafka, tmp_path)
    foreign = msgspec.structs.replace(CLEAN, horizon_h=24)
    await write(kafka, published(foreign, site.key))
    await decide(kafka, lambda found: entering(found, foreign.version, 2, by=NAMED, who=PERSON, reason="a mistake"))
    async with running(site, monkeypatch) as one:
        await until(lambda: foreign.version not in one.contest.challengers and len(one.contest.running) == 2)
        await until(lambda: len(one.companion.shown) == 2)
        notes = one.companion.notes()
        told = await one.companion.answers["/contest"]()
    assert all("no evidence yet" in words for words in notes)
    assert set(json.loads(msgspec.json.encode(told))) == {CLEAN.version, POISONED.version}
    steps = [one.decision for one in (await read_decisions(kafka)).kept() if _of(one.decision, foreign)]
    assert [(one.event.step, one.reason) for one in steps] == [  # type: ignore[union-attr]
        ("failed", "refused: it predicts another outcome than the labels here are of")
    ]


def test_killed_in_the_middle_it_promotes_once(kafka: KafkaSettings, tmp_path: Path) -> None:
    """`wardstream learner` after kill -9 while rows come: the plan that was decided promotes the clean one, once."""
    site = asyncio.run(made(kafka, tmp_path / "learner"))
    plan = Configuration(3, configuration_hash(SETTINGS), configuration_text(SETTINGS))
    asyncio.run(decide(kafka, lambda _: Decision(plan, PERSON, "the plan")))
    records = examples(0, 600, CHAMPION, 3)
    trusted = f'version_keys = ["{site.key.public}"]\n'
    words = ("--learner", RIVER, "--judge-every-h", "0.0001", "--snapshot-records", "300")
    first = Process(site.folder, kafka, *words, live=trusted)
    rows = f'challenger_rows{{version="{CLEAN.version}"}}'
    assert await_that(lambda: rows in first.exposed(), WAIT_S)
    asyncio.run(write(kafka, *records[:1_500]))
    assert await_that(lambda: first.metric("next_offset") > 600, WAIT_S)
    first.end()
    second = Process(site.folder, kafka, *words, live=trusted)
    try:
        asyncio.run(write(kafka, *records[1_500:]))
        assert await_that(lambda: champion_of(asyncio.run(read_decisions(kafka))) == CLEAN.version, WAIT_S)
    finally:
        second.end()
    decisions = asyncio.run(read_decisions(kafka))
    assert promoted_by_itself(decisions) == [CLEAN.version]
    assert decisions.chain.faults == ()
    step = next(one.decision for one in decisions.kept() if _of(one.decision, CLEAN) and "rows" in one.decision.figures)
    evidence = load_evidence((site.folder / "evidence" / f"{step.event.evidence}.json").read_bytes())  # type: ignore[union-attr]
    assert str(evidence.rows) == step.figures["rows"]


def test_a_candidate_that_the_process_published_takes_part_by_itself(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Signed and published it enters, as a decision of change control, and is weighed beside NEWS2, which is alone."""
    asyncio.run(declare(kafka))
    key, path = generate_key(), tmp_path / "key.pem"
    path.write_bytes(key.private_pem)
    words = ("--learner", "crossed-logistic", "--version-every-h", str(1 / 1_800), "--judge-every-h", "0.0001")
    process = Process(
        tmp_path / "learner", kafka, *words, "--key", str(path), live=f'version_keys = ["{key.public}"]\n'
    )
    try:
        asyncio.run(write(kafka, *examples(0, 300, CHAMPION, 3)))
        found: list[str] = []

        def entered() -> bool:
            each = (one.decision for one in asyncio.run(read_decisions(kafka)).kept())
            found[:] = [one.event.version for one in each if one.figures.get(CONTEST) == MADE and one.who == AUTOMATIC]  # type: ignore[union-attr]
            return bool(found)

        assert await_that(entered, WAIT_S)
        rows = f'challenger_rows{{version="{found[0]}"}}'
        assert await_that(lambda: rows in process.exposed(), WAIT_S)
    finally:
        process.end()
    assert found[0] in process.candidates()
