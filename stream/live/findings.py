"""The findings that stand, on `findings.v1`: what the learner's process has found of the version in force.

Owns the records' form, what is written where something else stands than the topic says, and reading them. Must not know
how a finding comes about, nor what is done about one. A key is what was found, of what, and how far; a tombstone says
that it has passed. What stands is told as it was when it began: its figures move, and are in the log and the metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from connectors.kafka.reading import KafkaRecord, read_topic
from connectors.kafka.record import Headers, Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import FINDINGS, topic_headers
from events import content_id
from models.change_control import MonitorFinding

FINDINGS_MAX = 2_000
"""On the topic: an input has four that could stand, a feed's feature three. Those found first are told."""
SOURCE = "/wardstream/learner"

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(MonitorFinding)


def finding_key(finding: MonitorFinding) -> str:
    """Name what stands.

    >>> finding_key(MonitorFinding(monitor="calibration", version="4f1c02aa91be", response="demote", at=0,
    ...     figures={"subject": "all", "level": "serious"}))
    'calibration|serious|all'
    """
    return f"{finding.monitor}|{finding.figures.get('level', '')}|{finding.figures.get('subject', '')}"


class Findings:
    """What the topic says that stands."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.by_key: dict[str, MonitorFinding] = {}
        self.unreadable = 0

    def take(self, record: KafkaRecord) -> None:
        """Take the next record."""
        key = record.key.decode("utf-8", "replace")
        if record.value is None:
            self.by_key.pop(key, None)
            return
        try:
            self.by_key[key] = _decoder.decode(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.unreadable += 1
            self.by_key.pop(key, None)

    def standing(self) -> tuple[MonitorFinding, ...]:
        """Give what stands, the oldest first."""
        return tuple(sorted(self.by_key.values(), key=lambda one: (one.at, finding_key(one))))


def changes(told: Mapping[str, MonitorFinding], standing: Iterable[MonitorFinding]) -> list[Record]:
    """Give the records that make the topic say what stands, where it says something else."""
    now = {finding_key(one): one for one in standing}
    now = dict(list(now.items())[:FINDINGS_MAX])
    ended = [Record(FINDINGS, key.encode(), None, _headers(told[key])) for key in told if key not in now]
    begun = [
        Record(FINDINGS, key.encode(), _encoder.encode(one), _headers(one))
        for key, one in now.items()
        if key not in told or (told[key].version, told[key].response) != (one.version, one.response)
    ]
    return ended + begun


async def read_findings(kafka: KafkaSettings, password: str) -> tuple[MonitorFinding, ...]:
    """Give the findings that stand and that hold a promotion, or worse. Raises `BrokerError`."""
    found = Findings()
    async for record in read_topic(kafka, FINDINGS, password=password):
        found.take(record)
    return tuple(one for one in found.standing() if one.response != "annotate")


def _headers(finding: MonitorFinding) -> Headers:
    name = content_id("finding", finding_key(finding), finding.version, str(finding.at))
    return topic_headers(FINDINGS, name, SOURCE, finding.at)
