"""What a reader of the online feature store sees of one patient, as JSON.

Owns the document: its fields and how they are read back. Must not know where it lies, nor the present: a reader
computes ages by its own clock. Written once for each record that changed, so it has to be quick.
"""

from __future__ import annotations

import msgspec

from events import Location, Millis
from stream.records import PatientRecord

VIEW_VERSION = 1
"""Raised when a field is renamed, dropped or means something else; a new field alone does not raise it."""


class FeatureNow(msgspec.Struct, frozen=True, gc=False):
    """The newest reading of one feature; `value` is in `unit` (UCUM). All times are ms since 1970 (UTC).

    `received_time` is 0 where it was not kept: the newest reading was taken back, and an older one stands.
    """

    value: float
    unit: str
    event_time: Millis
    received_time: Millis
    max_age_ms: int | None
    """How long a value counts in a score; None is for ever."""

    def stale(self, now: Millis) -> bool:
        """Say whether it is too old to count.

        >>> FeatureNow(72.0, "/min", 0, 0, 1_000).stale(1_001)
        True
        """
        return self.max_age_ms is not None and now - self.event_time > self.max_age_ms


class FeaturesView(msgspec.Struct, frozen=True):
    """One patient's document."""

    view: int
    patient: str
    as_of: Millis
    """When this patient was last heard of (received time): nothing later is in here."""
    written_at: Millis
    """When the worker wrote it, by its own clock: much later than `as_of` is a backlog."""
    admitted: bool
    location: Location
    features: dict[str, FeatureNow]
    held_back: tuple[str, ...] = ()
    """Features whose newest value was impossible and is quarantined: the value shown is an older one."""


class UnknownViewError(ValueError):
    """The document is of another release, or none of ours: the operator's to mend."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(FeaturesView)


def features_view(patient: str, record: PatientRecord, written_at: Millis) -> bytes:
    """Write a patient's document (hot path)."""
    state = record.state
    at, latest = state.last_received_time, state.latest
    features = {}
    for feature in state.catalogue.features:
        reading = latest(feature.name, at)
        if reading is not None:
            features[feature.name] = FeatureNow(
                reading.value, feature.unit, reading.event_time, reading.received_time, feature.max_age_ms
            )
    held_back: tuple[str, ...] = ()
    if state.any_quarantined:
        held_back = tuple(one.name for one in state.catalogue.features if state.quarantined(one.name) is not None)
    return _encoder.encode(
        FeaturesView(
            VIEW_VERSION, patient, record.heard, written_at, state.admitted, state.location, features, held_back
        )
    )


def read_view(data: bytes) -> FeaturesView:
    """Read what `features_view` wrote; raises `UnknownViewError`."""
    try:
        view = _decoder.decode(data)
    except msgspec.DecodeError:
        raise UnknownViewError("the document is not a view of ours") from None
    if view.view != VIEW_VERSION:
        raise UnknownViewError(f"the document is of version {view.view}, this release reads {VIEW_VERSION}")
    return view
