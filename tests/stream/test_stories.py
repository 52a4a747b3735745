"""Laws over any story: whatever happens to whom, a restart, a small memory, a replay or a model changes nothing."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.decoded import Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources import Arrival
from events import MILLIS_PER_MINUTE, Location
from models.version import ModelVersion
from stream.release import Release
from stream.replay import Replay
from stream.service import EmbeddedService
from stream.settings import Settings

START = 1_767_225_600_000
PATIENTS = ("1", "2", "3")
VALUES = {
    "well": (16.0, 98.0, 128.0, 72.0, 36.8),
    "red": (40.0, 98.0, 128.0, 72.0, 36.8),
    "worse": (23.0, 94.0, 105.0, 95.0, 38.5),
    "sick": (28.0, 90.0, 88.0, 132.0, 39.5),
    "impossible": (28.0, 90.0, 88.0, 132.0, 6932.0),
}
CODES = (("9279-1", "/min"), ("59408-5", "%"), ("8480-6", "mm[Hg]"), ("8867-4", "/min"), ("8310-5", "Cel"))
RUN_FIELDS = ("configuration_hash",)
"""What a floor event says of the run."""
TERMINAL = ("resolved", "retracted", "expired")
RELEASE = Release(Settings(), "test")

CHART = st.tuples(
    st.just("chart"), st.sampled_from(PATIENTS), st.sampled_from(sorted(VALUES)), st.sampled_from((0, 1, 30, 600))
)
AGAIN = st.tuples(st.sampled_from(("C", "W")), st.sampled_from(PATIENTS), st.sampled_from(sorted(VALUES)), st.just(0))
MOVE = st.tuples(
    st.sampled_from(("A01", "A02", "A03", "A08", "A11", "A12", "A13")),
    st.sampled_from(PATIENTS),
    st.sampled_from(("Ward A", "Ward B")),
    st.sampled_from((0, 30)),
)
MERGE = st.tuples(st.just("A40"), st.sampled_from(PATIENTS), st.sampled_from(PATIENTS), st.just(0))
STORIES = st.lists(
    st.tuples(st.one_of(CHART, CHART, CHART, AGAIN, MOVE, MERGE), st.sampled_from((0, 1, 16, 40, 300, 800, 1_500))),
    min_size=1,
    max_size=25,
)
"""(what happens, minutes until the next): `chart` and moves name how late they come, in minutes."""


def results(name: str, status: str) -> list[Result]:
    return [
        Result(code, value=None if status == "W" else value, unit=unit, status=status)
        for (code, unit), value in zip(CODES, VALUES[name], strict=True)
    ]


def tell(story: list) -> list[Arrival]:
    """Write a story as HL7 v2 messages that arrive; a correction is of what was charted last of the patient."""
    at, charted, arrivals = START, {}, []
    for number, ((what, mrn, detail, late), gap) in enumerate(story):
        common = {
            "control_id": f"C{number}",
            "sent_time": at,
            "patient": Identifier("MRN", mrn),
            "encounter": "V" + mrn,
        }
        if what in ("chart", "C", "W"):
            if what == "chart":
                charted[mrn] = at - late * MILLIS_PER_MINUTE
            observed = charted.get(mrn, at)
            data = render_oru(
                **common, feed="M|W", location=Location(), observed_time=observed, order=f"O{mrn}{observed}",
                results=results(detail, "F" if what == "chart" else what),
            )  # fmt: skip
        else:
            place = Location("" if what == "A40" else detail)
            retired = Identifier("MRN", detail) if what == "A40" else None
            event_time = at - late * MILLIS_PER_MINUTE
            data = render_adt(what, **common, feed="P|M", event_time=event_time, location=place, retired=retired)
        arrivals.append(Arrival(f"x#{number}", at, data, "hl7v2", decode(data, Hl7Settings())))
        at += gap * MILLIS_PER_MINUTE
    return arrivals


def service(folder: Path, release: Release = RELEASE, version: ModelVersion | None = None, **how) -> EmbeddedService:
    return EmbeddedService(folder, release, {version.version: version} if version else {}, **how)


def alerts_of(one: EmbeddedService) -> list[dict]:
    return [json.loads(content) for kind, _id, content in one.outputs.outputs() if kind == "alerts"]


@settings(max_examples=40)
@given(story=STORIES, cut=st.integers(0, 25))
def test_a_restart_anywhere_changes_nothing(story, cut):
    """Any story cut at any message, stored, closed and opened again ends in the digest of the whole."""
    arrivals = tell(story)
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = service(Path(folder) / "whole"), service(Path(folder) / "parts")
        whole.accept(arrivals)
        parts.accept(arrivals[:cut])
        parts.close()
        parts = service(Path(folder) / "parts")
        parts.accept(arrivals[cut:])
        assert parts.digest() == whole.digest()
        parts.close()
        whole.close()


@settings(max_examples=20)
@given(story=STORIES)
def test_a_small_memory_changes_nothing(story):
    """Any story with records evicted all the time ends in the digest of one that keeps them all."""
    arrivals = tell(story)
    with tempfile.TemporaryDirectory() as folder:
        digests = set()
        for live_max in (2, 4_000):
            one = service(Path(folder) / str(live_max), live_records_max=live_max)
            for start in range(0, len(arrivals), 3):
                one.accept(arrivals[start : start + 3])
            digests.add(one.digest())
            one.close()
        assert len(digests) == 1


@settings(max_examples=25)
@given(story=STORIES)
def test_a_journal_replays_to_what_was_said(story):
    """The log of any story, replayed, gives the digest of the run that wrote it, and so do its messages."""
    arrivals = tell(story)
    with tempfile.TemporaryDirectory() as folder:
        live = service(Path(folder) / "live")
        for start in range(0, len(arrivals), 3):
            live.accept(arrivals[start : start + 3])
        log, messages = Replay(Path(folder) / "log", RELEASE, {}), Replay(Path(folder) / "messages", RELEASE, {})
        log.log((envelope for _offset, envelope in live.journal.read()), counts=live.journal.counts())
        messages.messages(arrivals)
        assert log.finish(0.0).digest == messages.finish(0.0).digest == live.digest()
        live.close()


@settings(max_examples=20)
@given(story=STORIES, logit=st.sampled_from((6.0, -6.0, float("nan"))))
def test_the_floor_says_the_same_beside_any_model(constant_version, story, logit):
    """In any story the floor says the same beside a model that shouts, sleeps or is broken."""
    arrivals, version = tell(story), constant_version(logit)
    with tempfile.TemporaryDirectory() as folder:
        said = []
        for release, beside in ((RELEASE, None), (Release(Settings(), "test", version.version, enabled=True), version)):
            one = service(Path(folder) / str(len(said)), release, beside)
            one.accept(arrivals)
            floor = [alert for alert in alerts_of(one) if alert["trigger"] == "news2_floor"]
            said.append([{name: alert[name] for name in sorted(alert) if name not in RUN_FIELDS} for alert in floor])
            one.close()
        assert said[0] == said[1]


@settings(max_examples=60)
@given(story=STORIES)
def test_each_alert_counts_without_a_gap_and_ends_once(constant_version, story):
    """In any story `seq` runs 1, 2, 3 per alert, nothing follows an end, and a patient has one open alert a trigger."""
    version = constant_version(1.0)
    with tempfile.TemporaryDirectory() as folder:
        one = service(Path(folder), Release(Settings(), "test", version.version, enabled=True), version)
        one.accept(tell(story))
        counted: dict[str, int] = {}
        open_now: dict[tuple[str, str], str] = {}
        for alert in alerts_of(one):
            name, place = alert["alert_id"], (alert["patient"], alert["trigger"])
            counted[name] = counted.get(name, 0) + 1
            assert alert["seq"] == counted[name]
            assert (alert["seq"] == 1) == (alert["state"] == "raised")
            assert open_now.get(place, name) == name if alert["seq"] > 1 else place not in open_now
            open_now[place] = name
            if alert["state"] in TERMINAL:
                del open_now[place]
        one.close()
