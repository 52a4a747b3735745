"""Whether records wait before the log: by where the ingest topics end and how far [parse] is."""

from __future__ import annotations

from stream.live.backlog import ASKED_EVERY_MS, STILL_MS_MAX, Backlog, Place

HL7: Place = ("hl7v2.ingest.v1", 0)
FHIR: Place = ("fhir.ingest.v1", 0)


class Site:
    """Ends, watermarks and a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0
        self.ends = {HL7: 10, FHIR: 0}
        self.folded = {HL7: 9, FHIR: -1}
        self.asked = 0
        self.backlog = Backlog([HL7, FHIR], self.ends.get, self._folded, lambda: self.now)

    def _folded(self, place: Place) -> int:
        self.asked += 1
        return self.folded[place]

    def after(self, millis: int) -> bool:
        """Ask after so long."""
        self.now += millis
        return self.backlog()


def test_all_parsed_is_no_backlog() -> None:
    """Where every record is parsed, and where a topic has none, nothing waits."""
    assert not Site().backlog()


def test_a_stalled_parse_is_a_backlog_as_long_as_anything_comes() -> None:
    """While the end moves and the watermark does not, records wait, however long that goes on."""
    site = Site()
    for _ in range(100):
        site.ends[HL7] += 1
        assert site.after(MINUTE)


def test_what_never_moves_holds_nobody_back() -> None:
    """What is left where nothing came and nothing was parsed for ten minutes is no backlog, until it moves."""
    site = Site()
    site.ends[HL7] = 12
    assert site.after(ASKED_EVERY_MS)
    assert site.after(STILL_MS_MAX - 1)
    assert not site.after(ASKED_EVERY_MS)
    site.ends[HL7] = 13
    assert site.after(ASKED_EVERY_MS)


def test_partitions_that_ask_at_once_are_given_one_answer() -> None:
    """Sixty-four partitions at the turn of a minute cost one question to Redis a place."""
    site = Site()
    for _ in range(64):
        site.backlog()
    assert site.asked == len(site.ends)


MINUTE = 60_000
