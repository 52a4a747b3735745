"""The survey accounts for every message as the service does, and tells nothing of a patient."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from connectors.hl7v2.codec import decode
from connectors.sources import SourceSettings, open_source
from stream.cli.options import make_release
from stream.conformance import er7
from stream.conformance.page import page_of
from stream.conformance.shape import Report
from stream.conformance.survey import Survey
from stream.conformance.terminal import show
from stream.replay import Replay
from stream.settings import Settings
from tests.stream.conformance.samples import GOOD_OBX, NOW, arrivals, oru, surveyed

CORPORA = ["hl7v2/linuxforhealth", "hl7v2/cosyte", "hl7v2/microsoft/messages", "fhir/subscriptions/r4"]
CANARY = "Zzyzx"


def survey_of(path: Path) -> Report:
    settings = Settings()
    survey = Survey(settings, NOW)
    for arrival in open_source(str(path), SourceSettings(hl7=settings.hl7, fhir=settings.fhir)):
        survey.take(arrival)
    return survey.report(sources=1, skipped=0)


@pytest.mark.parametrize("corpus", CORPORA)
def test_the_account_is_that_of_a_replay(shared_data: Path, tmp_path: Path, corpus: str) -> None:
    """Accepted, duplicates and refused by reason are those of a replay of the same source, and they are all."""
    report = survey_of(shared_data / corpus)
    replay = Replay(tmp_path, *make_release(Settings(), None, None))
    replay.messages(open_source(str(shared_data / corpus)))
    summary = replay.finish(1.0).summary
    account = report.account
    assert account.accepted + account.duplicates + account.refused == account.messages == summary["messages"]
    assert (account.accepted, account.duplicates) == (summary["accepted"], summary["duplicates"])
    by_reason: dict[str, int] = {}
    for fault in report.faults:
        by_reason[fault.reason] = by_reason.get(fault.reason, 0) + fault.count
    assert by_reason == summary["dead_letters_by_reason"]
    assert sum(use.count for use in report.codes_unmapped) == summary["unmapped_codes"]


def everything_said(report: Report) -> str:
    """Give all that is shown of a report: JSON, page and terminal."""
    drawn = io.StringIO()
    show(report, Console(file=drawn, width=200), whole=True)
    return msgspec.json.encode(report).decode() + page_of(report) + drawn.getvalue()


def test_nothing_of_a_patient_is_told() -> None:
    """Names, numbers, visits, addresses, texts, notes and single values of patients are nowhere in the report."""
    pid = f"PID|1||{CANARY}1^^^HOSP^MR||{CANARY}2^{CANARY}3||19500101|F|||{CANARY}4 Street"
    pv1 = f"PV1|1|I|Ward A^1^2^HOSP||||{CANARY}5|{CANARY}6|||||||||||{CANARY}7"
    texts = (
        f"OBX|8|TX|67775-7^AVPU^LN||{CANARY}8 is drowsy||||||F",
        f"OBX|9|ST|8310-5^Temperature^LN||{CANARY}9|Cel|||||F",
        f"OBX|10|TX|NOTE^Note^L||{CANARY}10 fell||||||F",
        f"NTE|1||{CANARY}11",
        f"ZPI|{CANARY}12",
    )
    garbled = f"MSH|^~\\&|{CANARY}13|{CANARY}14|||x||{CANARY}15|1|P|{CANARY}16||||||{CANARY}17".encode()
    given = [oru(*GOOD_OBX, *texts, pid=pid, pv1=pv1), oru(pid=pid.replace("HOSP", "")), garbled, CANARY.encode()]
    survey = Survey(Settings(), NOW)
    for name in (f"{CANARY}_Jane.hl7", f"{CANARY}_Joe.hl7"):
        for arrival in arrivals(*given, name=name):
            survey.take(arrival)
    report = survey.report(sources=1, skipped=0)
    assert report.account.messages == 8
    assert CANARY.lower() not in everything_said(report).lower()
    assert "file 1 #3" in everything_said(report)


def test_files_are_named_where_asked() -> None:
    """With `identified` the examples name the files."""
    assert surveyed(oru(pid=""), identified=True).faults[0].example == "feed.hl7#1"


def test_a_candidate_is_never_applied() -> None:
    """A code with a candidate stays unmapped: no result of it is usable."""
    report = surveyed(oru(*GOOD_OBX[:6], "OBX|7|NM|TEMP^Body temperature^L||36.8|Cel|||||F"))
    [use] = report.codes_unmapped
    assert [(one.feature, one.loinc) for one in use.candidates] == [("temperature", "8310-5")]
    assert dict(use.fates) == {"unmapped": 1}
    assert [one.results for one in report.inputs if one.name == "temperature"] == [0]


def test_units_are_told_apart() -> None:
    """One code in two units is two lines, each with whether its values can be converted."""
    results = [f"OBX|{n}|NM|8310-5^T^LN|{n}|{value}|{unit}|||||F" for n, (value, unit) in
               enumerate([("36.8", "Cel"), ("98.2", "[degF]"), ("37", "Grad")], 1)]  # fmt: skip
    uses = surveyed(oru(*results)).codes_mapped
    assert {(use.unit, use.unit_fault) for use in uses} == {("Cel", ""), ("[degF]", ""), ("Grad", "unknown_unit")}


def test_few_values_give_no_quantile() -> None:
    """Quantiles are told of many values only: of a few they would be somebody's own."""
    one = oru("OBX|1|NM|8867-4^HR^LN||72|/min|||||F")
    many = [oru("OBX|1|NM|8867-4^HR^LN||72|/min|||||F", number=number) for number in range(10)]
    assert surveyed(one).codes_mapped[0].middle is None
    assert surveyed(*many).codes_mapped[0].middle == 72.0


LINES = oru(*GOOD_OBX, "OBX|8|TX|NOTE^Note^L||text||||||F").decode().split("\r")


@given(st.integers(1, len(LINES) - 1), st.integers(1, 40), st.sampled_from(["x", "X^Y", "12"]))
def test_a_field_that_is_said_not_to_be_read_decides_nothing(line: int, number: int, junk: str) -> None:
    """Whatever stands in a field that the table of read fields does not have, the events are the same."""
    name = LINES[line][:3]
    if number in er7.READ.get(name, ()):
        return
    fields = LINES[line].split("|")
    fields += [""] * (number + 1 - len(fields))
    fields[number] = junk
    changed = decode("\r".join([*LINES[:line], "|".join(fields), *LINES[line + 1 :]]).encode(), Settings().hl7)
    assert changed.events == decode("\r".join(LINES).encode(), Settings().hl7).events  # type: ignore[union-attr]


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda data: b"MSH|^~\\&|A|B|" + data))
def test_any_bytes_can_be_looked_at(data: bytes) -> None:
    """A look at any bytes gives something, and only names in the form of names."""
    seen = er7.look(data)
    assert all(er7._SEGMENT.fullmatch(name) for name in seen.segments)
