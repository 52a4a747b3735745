"""The kill switch over the live service: written whatever becomes of reading the chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.kafka import reading
from connectors.kafka.faults import UnreachableError
from connectors.kafka.reading import KafkaRecord
from connectors.kafka.record import Record
from events import KillSwitch, Promotion
from stream.cli import deciding
from stream.cli.deciding import Place, decide
from stream.decisions import Decision, DecisionEvent, decode_decision

WAITS, OURS, BROKER = "waits for ever", "a bug of ours", "no broker"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Give what is written."""
    found: list[Record] = []
    monkeypatch.setattr(deciding, "send", lambda _site, record: len(found) if found.append(record) else 0)
    monkeypatch.setattr(deciding, "TIPS_WITHIN_S", 0.01)
    return found


def decide_while(fault: str, event: DecisionEvent, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Decide while the topic cannot be read."""

    async def read_topic(*_given: object, **_named: object) -> AsyncIterator[KafkaRecord]:
        if fault == WAITS:
            await asyncio.Event().wait()
        raise RuntimeError(OURS) if fault == OURS else UnreachableError(BROKER)
        yield  # makes it a generator

    monkeypatch.setattr(reading, "read_topic", read_topic)
    (folder / "site.toml").write_text("")
    decide(Place(folder / "site.toml", None), Decision(event, "duty-manager", "false alarms"))


@pytest.mark.parametrize("fault", [WAITS, OURS, BROKER])
def test_a_kill_switch_is_written_whatever_is_wrong_with_the_chain(
    fault: str, sent: list[Record], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a broker that does not answer nor an error of our own reading keeps it back."""
    decide_while(fault, KillSwitch(1, engaged=True), monkeypatch, tmp_path)
    assert decode_decision(sent[0].value).event == KillSwitch(1, engaged=True)


def test_any_other_decision_stops_at_an_error_of_ours(
    sent: list[Record], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only the kill switch is that urgent."""
    with pytest.raises(RuntimeError, match=OURS):
        decide_while(OURS, Promotion(1, "a" * 12, enabled=True), monkeypatch, tmp_path)
    assert sent == []
