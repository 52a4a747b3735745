"""What a live run put out, read back from its topics: as a digest to compare with a replay's, and checked in itself.

Owns the reading of `scores.v1`, `suppressed.v1`, `alerts.v1` and `alerts.state.v1`, and the rules between the last two.
Must not know how they came about. Only what is committed counts. Reads while a run goes on may see one topic a little
later than another: for a verdict, ask when it is idle.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec

from alerts.contract import NO_WARD
from alerts.lifecycle import TERMINAL, State
from alerts.ward import state_key
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import ALERT_STATES, ALERTS, SCORES, SIGNALS, SUPPRESSED
from stream.digest import DivergedOutputError
from stream.kafka_log import KafkaLog
from stream.output_set import NAMED_MAX, OutputSet


class _ScoreName(msgspec.Struct):
    score_id: str


class _SuppressionName(msgspec.Struct):
    suppression_id: str


class _SignalName(msgspec.Struct):
    signal_id: str
    kind: str


class _Alert(msgspec.Struct):
    event_id: str
    alert_id: str
    seq: int
    state: State
    ward: str


def read_outputs(log: KafkaLog) -> OutputSet:
    """Read all that a run put out; `diverged` names each id that came with two contents.

    Raises `msgspec.DecodeError` where a record is no output of ours: nobody else may write there.
    """
    outputs = OutputSet()
    for record in log.read_all(SCORES):
        outputs.add("scores", msgspec.json.decode(record.value or b"", type=_ScoreName).score_id, record.value or b"")
    for record in log.read_all(SUPPRESSED):
        name = msgspec.json.decode(record.value or b"", type=_SuppressionName).suppression_id
        outputs.add("suppressed", name, record.value or b"")
    for record in log.read_all(SIGNALS):
        signal = msgspec.json.decode(record.value or b"", type=_SignalName)
        if signal.kind != "heartbeat":  # The stage's own: no replay makes one.
            outputs.add("signals", signal.signal_id, record.value or b"")
    for record in log.read_all(ALERTS):
        outputs.add("alerts", msgspec.json.decode(record.value or b"", type=_Alert).event_id, record.value or b"")
    return outputs


def live_digest(settings: KafkaSettings, password: str = "") -> str:
    """Digest what a run put out, as a replay of its logs is digested.

    Raises `DivergedOutputError`, with the ids, where one came with two contents.
    """
    with KafkaLog(settings, password) as log:
        outputs = read_outputs(log)
    if outputs.diverged:
        raise DivergedOutputError(
            f"{len(outputs.diverged)} id(s) came with two contents: {', '.join(outputs.diverged[:NAMED_MAX])}"
        )
    return outputs.hexdigest()


def check_state(settings: KafkaSettings, password: str = "") -> list[str]:
    """Say where `alerts.state.v1` contradicts `alerts.v1`, or an alert's `seq` has a gap; nothing where all is well."""
    with KafkaLog(settings, password) as log:
        told = {partition: extent for partition, extent in log.extents(ALERTS).items() if extent.begin}
        alerts = _alerts(log)
        states = {record.key.decode(): record.value for record in log.read_all(ALERT_STATES)}
    lines = _gaps(alerts, complete=not told)
    return lines + _contradictions(alerts, states, complete=not told)


_Told = dict[str, dict[int, tuple[_Alert, bytes]]]
"""By alert and `seq`: the event and its bytes."""


def _alerts(log: KafkaLog) -> _Told:
    alerts: defaultdict[str, dict[int, tuple[_Alert, bytes]]] = defaultdict(dict)
    for record in log.read_all(ALERTS):
        content = record.value or b""
        alert = msgspec.json.decode(content, type=_Alert)
        alerts[alert.alert_id][alert.seq] = (alert, content)
    return alerts


def _gaps(alerts: _Told, *, complete: bool) -> list[str]:
    lines = []
    for alert_id, events in sorted(alerts.items()):
        begin = 1 if complete else min(events)
        missing = sorted(set(range(begin, max(events) + 1)) - events.keys())
        if missing:
            lines.append(f"alert {alert_id}: of seq 1 to {max(events)}, {missing} is not on {ALERTS}")
    return lines


def _contradictions(alerts: _Told, states: dict[str, bytes | None], *, complete: bool) -> list[str]:
    lines = []
    held: defaultdict[str, list[str]] = defaultdict(list)
    for key, state in states.items():
        if state is not None:
            held[key.rpartition("|")[2]].append(key)
    for alert_id, events in sorted(alerts.items()):
        newest, content = events[max(events)]
        key = state_key(newest.ward or NO_WARD, alert_id)
        state = states.get(key)
        if state is None and newest.state not in TERMINAL:
            lines.append(f"alert {alert_id} is open on {ALERTS}, and has no state under its ward")
        elif state is not None and state != content:
            lines.append(f"alert {alert_id}: its state is not its newest event (seq {newest.seq})")
        elif key not in states:
            lines.append(f"alert {alert_id}: nothing was ever written of its state")
        if any(other != key for other in held.get(alert_id, ())):
            lines.append(f"alert {alert_id} has a state under a ward that its patient has left")
    unknown = sorted(held.keys() - alerts.keys()) if complete else []
    return lines + [f"alert {alert_id} has a state, and was never told on {ALERTS}" for alert_id in unknown]
