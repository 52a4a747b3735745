"""What a ward may look at: the patients who are here, with scores, the age of each input, and their alerts, as JSON.

Owns the documents and the moments they are made at. Must not know HTTP, nor decide anything. Lives on the fold thread,
between two records, so that what it shows is whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from alerts.contract import AlertEvent, from_json, to_json
from events import MILLIS_PER_SECOND, Millis, to_iso
from features.reading import Reading
from models.news2 import SOURCES, score_news2
from stream.board import LIVE_STATES, Board, Row
from stream.effects import Score, decode_score
from stream.pipeline import QUIET_REASONS
from stream.records import PatientRecord
from stream.scoring import readings_now
from stream.service import EmbeddedService

SHOWN_FEATURES = tuple(source for sources in SOURCES.values() for source in sources)
"""What NEWS2 reads: the inputs whose age a ward is shown. Everything else is in the patient's own document."""

TIDY_EVERY = 60
"""Looks between two prunings: each asks for every record, those that were put away too."""

_encoder = msgspec.json.Encoder(order="deterministic")


class WardView:
    """The board of one service, restored from what it put out before."""

    def __init__(self, service: EmbeddedService) -> None:
        """Hear of effects from here on, and remember what was said to those who are here."""
        self._service = service
        self.board = Board(service.host.shelf)
        self._tidied = 0
        self.present = 0
        """How many were here when somebody last looked."""
        self._restore()
        service.listen = self.board.take

    def _restore(self) -> None:
        """Take the newest score and the open alerts of everybody whose record is kept: nothing is shown as new."""
        outputs = self._service.outputs
        for patient in self._service.patients():
            content = outputs.latest_score(patient)
            if content is not None:
                self.board.take([decode_score(content)])
            newest: dict[str, AlertEvent] = {}
            for alert in map(from_json, outputs.alerts_of(patient)):
                newest[alert.alert_id] = alert
            # What the fold does not hold open nobody would ever end: the outputs are of another release or model.
            record = self._service.host.shelf.find(patient)
            open_ids = set() if record is None else record.book.open_alert_ids()
            self.board.take(
                [one for one in newest.values() if one.state not in LIVE_STATES or one.alert_id in open_ids]
            )
        self.board.forget_counts()

    def tidy(self) -> None:
        """Forget who is kept no more, once in a while; called about each second."""
        self._tidied += 1
        if self._tidied % TIDY_EVERY == 0:
            self.board.prune()

    def patients(self, now: Millis, ward: str | None = None) -> bytes:
        """Give everybody who is here, the sickest first."""
        everybody = self.board.rows()
        self.present = len(everybody)
        rows = [row for row in everybody if ward is None or row.location.ward == ward]
        return _encoder.encode(
            {
                "as_of": to_iso(now),
                "clock": to_iso(self._service.host.pipeline.control.clock),
                "behind_records": self._service.lag(),
                "wards": sorted({row.location.ward for row in everybody}),
                "withheld": dict(self.board.withheld.most_common()),
                "patients": [self._row(row, now) for row in rows],
            }
        )

    def patient(self, key: str, now: Millis) -> bytes | None:
        """Give one patient: every feature with its age, the newest score, the open alerts; None where unknown."""
        record = self._service.host.shelf.find(key)
        if record is None:
            return None
        row = next((row for row in self.board.rows() if row.patient == key), None)
        document: dict[str, Any] = {} if row is None else self._row(row, now)
        document |= {
            "as_of": to_iso(now),
            "patient": key,
            "admitted": record.state.admitted,
            "inputs": self._inputs(record, readings_now(record.state, now).values(), now),
            "open_alerts": [msgspec.Raw(to_json(event)) for event in self.board.open_alerts() if event.patient == key],
        }
        return _encoder.encode(document)

    def open_alerts(self, now: Millis) -> bytes:
        """Give the newest event of every open alert, the gravest and oldest first."""
        alerts = [msgspec.Raw(to_json(event)) for event in self.board.open_alerts()]
        return _encoder.encode({"as_of": to_iso(now), "alerts": alerts})

    def _row(self, row: Row, now: Millis) -> dict[str, Any]:
        record = self._service.host.shelf.find(row.patient)
        assert record is not None, "the board drops those who have no record"
        state, score, place = record.state, row.score, row.location
        scale = self._service.host.pipeline.control.scale(row.patient, merged=record.scale_2)
        latest = (state.latest(name, now) for name in SHOWN_FEATURES)
        return {
            "patient": row.patient,
            "encounter": score.encounter,
            "facility": place.facility,
            "ward": place.ward,
            "room": place.room,
            "bed": place.bed,
            # As of now, not as of the last message: an input that has expired since is shown as missing.
            "news2": score_news2(state, now, scale),
            "scored_total": score.news2.total,
            "scored_at": to_iso(score.received_time),
            "age_s": _seconds(now - score.received_time),
            "probability": score.probability,
            "model": score.model,
            "inputs": self._inputs(record, (reading for reading in latest if reading is not None), now),
            "alert": None if row.alert is None else msgspec.Raw(to_json(row.alert)),
            "retracted": [msgspec.Raw(to_json(event)) for event in row.retracted],
            "held_back": _held_back(score),
        }

    def _inputs(self, record: PatientRecord, readings: Iterable[Reading], now: Millis) -> list[dict[str, Any]]:
        by_name = record.state.catalogue.by_name
        inputs = []
        for reading in readings:
            feature = by_name(reading.feature)
            age = now - reading.event_time
            inputs.append(
                {
                    "feature": reading.feature,
                    "value": reading.value,
                    "unit": feature.unit,
                    "event_time": to_iso(reading.event_time),
                    "age_s": _seconds(age),
                    "stale": feature.max_age_ms is not None and age > feature.max_age_ms,
                }
            )
        return inputs


def _seconds(millis: Millis) -> int:
    return max(0, millis) // MILLIS_PER_SECOND


def _held_back(score: Score) -> list[dict[str, str]]:
    last = score.verdicts[-1] if score.verdicts else None
    if last is None or last.proceeds or last.reason in QUIET_REASONS:
        return []
    return [{"filter": last.filter, "verdict": last.verdict, "reason": last.reason}]
