"""What a ward may look at: the patients who are here, with scores, the age of each input, and their alerts, as JSON.

Owns the documents and the moments they are made at. Must not know HTTP, nor decide anything. Lives on the fold thread,
between two records, so that what it shows is whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

from alerts.contract import AlertEvent, from_json, to_json
from alerts.limits import PatientLimits
from events import Millis, to_iso
from stream.board import LIVE_STATES, Board, Row
from stream.board_rows import in_order, render_patient, render_row, review_queue
from stream.effects import decode_score
from stream.service import EmbeddedService

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
        self.board.take(self._service.host.pipeline.monitor.standing())
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
        rows = in_order(self._row(row, now) for row in everybody if ward is None or row.location.ward == ward)
        return _encoder.encode(
            {
                "as_of": to_iso(now),
                "clock": to_iso(self._service.host.pipeline.control.clock),
                "behind_records": self._service.lag(),
                "wards": sorted({row.location.ward for row in everybody}),
                "withheld": dict(self.board.withheld.most_common()),
                "reviews": review_queue(rows),
                "signals": self.board.signals.shown(*(() if ward is None else (ward,))),
                "patients": rows,
            }
        )

    def patient(self, key: str, now: Millis) -> bytes | None:
        """Give one patient: every feature with its age, the newest score, the open alerts; None where unknown."""
        record = self._service.host.shelf.find(key)
        if record is None:
            return None
        row = next((row for row in self.board.rows() if row.patient == key), None)
        document: dict[str, Any] = {} if row is None else self._row(row, now)
        document |= render_patient(key, record, self.board.open_alerts(), now)
        return _encoder.encode(document)

    def ward_of(self, key: str) -> str | None:
        """Give the ward a patient lies on, None where nobody knows him."""
        record = self._service.host.shelf.find(key)
        return None if record is None else record.state.location.ward

    def limits_of(self, key: str) -> PatientLimits:
        """Give a patient's limits as they are at this moment, for another thread to look at."""
        record = self._service.host.shelf.find(key)
        return PatientLimits(() if record is None or record.limits is None else record.limits.kept)

    def open_alerts(self, now: Millis) -> bytes:
        """Give the newest event of every open alert, the gravest and oldest first."""
        alerts = [msgspec.Raw(to_json(event)) for event in self.board.open_alerts()]
        return _encoder.encode({"as_of": to_iso(now), "alerts": alerts})

    def _row(self, row: Row, now: Millis) -> dict[str, Any]:
        scale = self._service.host.pipeline.control.scale(row.patient, merged=row.record.scale_2)
        return render_row(row.patient, row.record, row.score, row.alert, row.retracted, scale, now, row.also)
