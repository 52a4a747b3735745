"""The fold of one log or one partition of it: timers that the log makes due, and what our own code fails on.

Owns what a record comes to beside the pipeline's own step: the whole-minute ticks before it, and that a bug of ours in
one record stops nobody else. Must not know where records come from or effects go: both hosts use it.
"""

from __future__ import annotations

from events import MILLIS_PER_MINUTE, Envelope, Millis, Tick, content_id
from features.store import StoreFault
from stream.effects import Effect, Unfoldable
from stream.pipeline import Pipeline

TICK_MS = MILLIS_PER_MINUTE
"""Timers fire on whole minutes: finer than any clinical interval in use."""
CONTROL_KEY = ""
"""The control state lies in the store under the empty patient key."""


def fold_record(pipeline: Pipeline, envelope: Envelope) -> list[Effect]:
    """Fold one record, after the ticks it makes due; give all effects in order."""
    # What no patient sent the monitoring hears here and not in a step: a tick that is made by the log's next record is
    # no evidence that anybody could have been heard until then.
    effects: list[Effect] = [] if envelope.patient else pipeline.monitor.hear(envelope)
    fire_timers(pipeline, envelope, effects)
    effects.extend(step(pipeline, envelope))
    return effects


def step(pipeline: Pipeline, envelope: Envelope) -> list[Effect]:
    """Fold one record. One that our own code cannot fold stops nobody else: it is told as unfoldable, and kept."""
    pipeline.heard = ()
    try:
        return pipeline.step(envelope)
    except StoreFault:
        raise  # It says nothing of the record: it must be folded again once the store can be had.
    except Exception as fault:  # noqa: BLE001 - a bug of ours in one record must not silence every ward
        pipeline.tally.unfoldable += 1
        name, at = envelope.envelope_id, envelope.received_time
        return [*pipeline.heard, Unfoldable(name, envelope.message_id, at, type(fault).__name__)]


def fire_timers(pipeline: Pipeline, envelope: Envelope, effects: list[Effect]) -> None:
    """Synthesise the whole-minute ticks up to a record at which a timer is due.

    They are a function of the log alone, so they need no record of their own: the same records fire them again.
    """
    while (deadline := pipeline.due(envelope.received_time)) is not None:
        at = _whole_tick(max(deadline, 0))
        if at > envelope.received_time:
            break
        effects.extend(step(pipeline, tick(at)))


def tick_is_due(pipeline: Pipeline, now: Millis) -> bool:
    """Say whether the log needs a tick: a timer's whole minute has come, and no record came to fire it."""
    deadline = pipeline.due(now)
    return pipeline.monitor.due(now) or (deadline is not None and _whole_tick(deadline) <= now)


def _whole_tick(deadline: Millis) -> Millis:
    return -(-deadline // TICK_MS) * TICK_MS


def tick(at: int, *, behind: bool = False) -> Envelope:
    """Give the record that says: time passed; `behind`, that until then records may have waited before the log.

    >>> tick(60_000).message_id
    'tick'
    """
    name = content_id("tick", str(at), "behind") if behind else content_id("tick", str(at))
    return Envelope(name, "", at, at, (Tick(at, behind),), message_id="tick")
