"""What was told of a patient's open alerts, carried into a log that is begun anew.

Owns its reading. Must not know where it came from, nor what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from alerts.contract import AlertEvent, from_json
from events import Carried


def carried_alerts(event: Carried) -> Iterator[AlertEvent]:
    """Give the alert events, each knowing the ward that the one before it stood in.

    An event's JSON does not name the ward that its alert has left; there too it must be told that it has.
    """
    wards: dict[str, str] = {}
    for text in event.alerts:
        alert = from_json(text.encode())
        former = wards.get(alert.alert_id, alert.ward)
        wards[alert.alert_id] = alert.ward
        yield alert if former == alert.ward else msgspec.structs.replace(alert, former_ward=former)
