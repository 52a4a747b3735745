"""Senders that reuse control ids, repeat messages or skip numbers: what is counted and told, over kills."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import Receipt
from connectors.sources.arrival import Arrival
from connectors.sqlite.journal import SqliteJournal
from stream.control_ids import IDS_MAX, ControlIds, Numbering, sequence_number
from stream.feeds import Feeds
from tests.stream.test_run_mllp import Running, start

__all__ = ["start"]


def numbered(control_id: str, *, number: str = "", value: int = 72, feed: str = "MON|W", minute: int = 0) -> bytes:
    """Render a result with MSH-13."""
    return (
        f"MSH|^~\\&|{feed}|||20260110120000||ORU^R01|{control_id}|P|2.5.1|{number}\rPID|1||42^^^MRN\r"
        f"OBR|1||F1\rOBX|1|NM|8867-4^Heart rate^LN||{value}|/min|||||F|||2026011012{minute:02d}00\r"
    ).encode()


def one_feed(feeds: Feeds, *messages: bytes) -> Numbering:
    """Count messages of one feed, each durable; give what their numbers have shown."""
    for data in messages:
        arrival = Arrival("mllp/1#1", None, data, "hl7v2", decode(data, Hl7Settings()))
        feeds.count([arrival], [Receipt("accepted")], 0)
    return feeds.numbering().get("MON|W", Numbering())


def test_a_control_id_of_other_content_is_told_and_one_of_the_same_is_not() -> None:
    """The same id with the same content is a repeat; with other content it is reused; another sender's is its own."""
    assert one_feed(Feeds(), numbered("1"), numbered("1"), numbered("2"), numbered("1", feed="LAB|W")) == Numbering()
    assert one_feed(Feeds(), numbered("1"), numbered("1", value=73), numbered("1", value=74)).reused == 2


def test_gaps_in_the_sequence() -> None:
    """A skipped number is a gap, also past a message that could not be used; a repeat or a new count is none."""
    faulty = numbered("3", number="3").replace(b"PID|1||42", b"PID|1||")
    messages = [numbered("1", number="1"), numbered("2", number="2"), faulty, numbered("6", number="6")]
    assert one_feed(Feeds(), *messages) == Numbering(gaps=1, missing=2)
    assert one_feed(Feeds(), *messages[:2], messages[1], numbered("9", number="1")) == Numbering()
    assert one_feed(Feeds(), numbered("1"), numbered("2", number="500"), numbered("3")) == Numbering()


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=60))
def test_reuse_law(sent: list[tuple[int, int]]) -> None:
    """A message is counted as reused exactly where the newest one of its id had other content."""
    ids = ControlIds()
    newest: dict[int, int] = {}
    for control_id, content in sent:
        expected = newest.get(control_id, content) != content
        assert ids.take(str(control_id), str(content), None) is expected
        newest[control_id] = content


def test_the_window_is_bounded() -> None:
    """A sender's ids are forgotten past the limit, the oldest first."""
    ids = ControlIds()
    for number in range(IDS_MAX + 1):
        ids.take(str(number), "a", None)
    assert ids.take("1", "b", None)
    assert not ids.take("0", "b", None)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_number_or_none(data: bytes) -> None:
    """MSH-13 of any bytes is a count or none."""
    found = sequence_number(b"MSH|^~\\&|" + data)
    assert found is None or found > 0


def test_reused_ids_and_repeats_over_a_kill(start: Callable[[str], Running], tmp_path: Path) -> None:
    """After kill -9 a repeat is AA and stored once; the same id with other content is AA, stored, and told as reused,
    though it is another process that knew the first; a gap in MSH-13 is told over the kill too.
    """
    first = start("")
    told = [numbered("1", number="1"), numbered("2", number="2", minute=1)]
    assert [one.code for one in first.send(*told)] == ["AA", "AA"]
    first.kill()
    second = start("")
    again = [told[1], numbered("1", number="5", value=140), told[0]]
    assert [one.code for one in second.send(*again)] == ["AA", "AA", "AA"]
    [feed] = second.get("/feeds").json()["feeds"]
    assert (feed["messages"], feed["accepted"], feed["duplicates"]) == (3, 1, 2)
    assert feed["numbering"] == {"reused": 2, "gaps": 1, "missing": 2}
    metrics = second.get("/metrics").text
    assert 'wardstream_feed_numbering{feed="MON|W",finding="reused"} 2.0' in metrics
    second.kill()
    journal = SqliteJournal(tmp_path / "ward" / "data", read_only=True)
    stored = [envelope.message_id for _, envelope in journal.read() if envelope.patient]
    journal.close()
    assert stored == ["1", "2", "1"]
