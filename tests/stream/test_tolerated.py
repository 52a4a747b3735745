"""Orders are accepted, counted by their type wherever messages are counted, and change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

from prometheus_client import generate_latest

from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import Receipt
from connectors.sources import Arrival
from stream.feeds import Feeds
from stream.metrics import IntakeMetrics
from stream.parse import Duplicate
from tests.stream.test_run_mllp import Running, start

__all__ = ["start"]

ORM = b"MSH|^~\\&|LAB|MAIN|||20260101000500||ORM^O01|%d|P|2.5\rPID|1||1^^^MRN^MR\rORC|NW|P1\rOBR|1|P1||718-7^Hb^LN"
OML = ORM.replace(b"ORM^O01", b"OML^O21")


def test_an_order_says_nothing_to_the_ward_and_stays_in_the_log(ward):
    """It is stored with its bytes and makes nobody known; sent again it is a duplicate."""
    before = ward.service.digest()
    stored = ward.send(ORM % 1, 5)
    assert (stored.patient, stored.events) == ("", ())
    assert type(ward.send(ORM % 1, 6)) is Duplicate
    assert ward.service.digest() == before
    assert ward.service.host.shelf.find(ward.key("1")) is None


def test_orders_are_counted_by_type(ward):
    """The counts that the journal keeps, and summary.json is made of, have them by MSH-9.1; the sum still balances."""
    for data in (ORM % 1, ORM % 1, ORM % 2, OML % 3, OML % 4 + b"\rMSH|"):
        ward.send(data, 5)
    counts = ward.service.journal.counts()
    assert {name: count for name, count in counts.items() if name.startswith("tolerated")} == {
        "tolerated:ORM": 2,
        "tolerated:OML": 1,
    }
    assert counts["messages"] == counts["accepted"] + counts["duplicates"] + counts["dead_letters"] == 5


def test_a_feed_shows_its_orders():
    """`/feeds` and the metrics say how many of a sender's messages were let pass, by type."""
    feeds = Feeds()
    metrics = IntakeMetrics(feeds, "test")
    for data in (ORM % 1, ORM % 2, OML % 3):
        feeds.count([Arrival("x", 0, data, "hl7v2", decode(data, Hl7Settings()))], [Receipt("accepted")], 0)
    [feed] = json.loads(feeds.document(0))["feeds"]
    assert (feed["accepted"], feed["tolerated"]) == (3, {"OML": 1, "ORM": 2})
    metrics.measure_feeds(0)
    assert 'wardstream_feed_tolerated{feed="LAB|MAIN",type="ORM"} 2.0' in generate_latest(metrics.registry).decode()


def test_over_mllp_each_type_has_its_answer(start: Callable[[str], Running]) -> None:
    """AA for results, orders, moves and changed numbers; AE and AR with what is wrong for the rest; all are counted."""
    adt = "MSH|^~\\&|PAS|MAIN|||20260101000500||ADT^{0}|{0}|P|2.5\rPID|1||1^^^MRN^MR\r{1}"
    sent = {
        "A01": ("PV1|1|I|W^1^2" + "|" * 16 + "V1", "AA"),
        "A45": ("MRG|2^^^MRN^MR\rPV1|1|I|W^1^2" + "|" * 16 + "V1", "AA"),
        "A47": ("MRG|3^^^MRN^MR", "AA"),
        "A44": ("", "AE"),
        "A29": ("", "AR"),
    }
    data = [ORM % 1, OML % 2, *(adt.format(trigger, lines).encode() for trigger, (lines, _) in sent.items())]
    running = start("")
    assert [one.code for one in running.send(*data)] == ["AA", "AA", *(code for _, code in sent.values())]
    feeds = {feed["feed"]: feed for feed in running.get("/feeds").json()["feeds"]}
    assert feeds["LAB|MAIN"]["tolerated"] == {"OML": 1, "ORM": 1}
    assert (feeds["PAS|MAIN"]["accepted"], feeds["PAS|MAIN"]["dead_letters"]) == (3, 2)
    assert 'wardstream_feed_tolerated{feed="LAB|MAIN",type="OML"} 1.0' in running.get("/metrics").text
