"""How an alert event says that it waits, is told after waiting, or is held: the words [ward] adds, in two forms.

Owns those changes to an event's content, once for its canonical JSON (a live ward reads and writes bytes, and a field
that this release does not know passes through) and once for the event itself (the embedded ward, where an event that
simply passes is never encoded for it). The two must say the same; a test holds them to it. Must not know why.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import msgspec

from alerts.contract import AlertEvent, from_json, to_json
from events import Millis, content_id, from_iso, to_iso

Content = TypeVar("Content")

_documents = msgspec.json.Encoder(order="sorted")


class Form(Protocol[Content]):
    """What the fold of [ward] asks of an event's content."""

    def hold(self, content: Content) -> Content:
        """Give it as the delivery gate holds it."""
        ...

    def board(self, content: Content) -> Content:
        """Give the end of an alert that was never told here: the board's, for nobody has heard of it."""
        ...

    def wait(self, content: Content, place: int) -> Content:
        """Give it as it goes out with a place in the ward's queue."""
        ...

    def tell(self, content: Content, at: Millis, since: Millis) -> Content:
        """Give what is told at `at` of an alert that waited since `since`: a new event about the same moment."""
        ...

    def encode(self, content: Content) -> bytes:
        """Encode it for the store."""
        ...

    def decode(self, data: bytes) -> Content:
        """Read what `encode` wrote."""
        ...


def name_telling(event_id: str) -> str:
    """Derive the id of the telling of an event that waited.

    >>> name_telling("a") == name_telling("a") != name_telling("b")
    True
    """
    return content_id("told_after_waiting", event_id)


class JsonForm:
    """An event as its canonical JSON. Content that went through here is sorted JSON again."""

    def hold(self, content: bytes) -> bytes:
        """Change the one word."""
        return _changed(content, disposition="held")

    def board(self, content: bytes) -> bytes:
        """Change the one word."""
        return _changed(content, disposition="board")

    def wait(self, content: bytes, place: int) -> bytes:
        """Change the disposition and add the place."""
        return _changed(content, disposition="waiting", waiting_place=place)

    def tell(self, content: bytes, at: Millis, since: Millis) -> bytes:
        """Its cause is what made room: it has that time, and evidence that is older by as much."""
        document = msgspec.json.decode(content)
        later = max(at - from_iso(document["received_time"]), 0)
        return _documents.encode(
            {
                **document,
                "event_id": name_telling(document["event_id"]),
                "disposition": "told",
                "received_time": to_iso(at),
                "age_ms": document.get("age_ms", 0) + later,
                "waited_ms": at - since,
            }
        )

    def encode(self, content: bytes) -> bytes:
        """Give the bytes."""
        return content

    def decode(self, data: bytes) -> bytes:
        """Give the bytes."""
        return data


class EventForm:
    """An event as it is; encoded only to be stored while it waits."""

    def hold(self, content: AlertEvent) -> AlertEvent:
        """See `JsonForm`."""
        return msgspec.structs.replace(content, disposition="held")

    def board(self, content: AlertEvent) -> AlertEvent:
        """See `JsonForm`."""
        return msgspec.structs.replace(content, disposition="board")

    def wait(self, content: AlertEvent, place: int) -> AlertEvent:
        """See `JsonForm`."""
        return msgspec.structs.replace(content, disposition="waiting", waiting_place=place)

    def tell(self, content: AlertEvent, at: Millis, since: Millis) -> AlertEvent:
        """See `JsonForm`."""
        return msgspec.structs.replace(
            content,
            event_id=name_telling(content.event_id),
            disposition="told",
            received_time=at,
            age_ms=content.age_ms + max(at - content.received_time, 0),
            waited_ms=at - since,
        )

    def encode(self, content: AlertEvent) -> bytes:
        """Encode canonically."""
        return to_json(content)

    def decode(self, data: bytes) -> AlertEvent:
        """Read back."""
        return from_json(data)


def _changed(content: bytes, **words: Any) -> bytes:
    return _documents.encode({**msgspec.json.decode(content), **words})
