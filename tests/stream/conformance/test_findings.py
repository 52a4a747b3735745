"""Each thing that can be wrong with a feed is found, with its place, and a feed without it is not blamed."""

from __future__ import annotations

import pytest

from stream.settings import parse_toml
from tests.stream.conformance.samples import GOOD_OBX, found, oru, surveyed

WRONG = {
    "no_zone": ("must", oru(sent="202603031200", observed="202603031155")),
    "results_ahead": ("must", oru(observed="202603041200+0000")),
    "messages_ahead": ("must", oru(sent="203003031200+0000", observed="203003031155+0000")),
    "messages_untimed": ("should", oru(sent="")),
    "results_late": ("should", oru(observed="202603030855+0000")),
    "unit.unknown_unit": ("must", oru(*GOOD_OBX[:6], "OBX|7|NM|8310-5^Temperature^LN||36.8|Grad|||||F")),
    "unit.unit_mismatch": ("must", oru(*GOOD_OBX[:6], "OBX|7|NM|8310-5^Temperature^LN||36.8|%|||||F")),
    "unit.missing_unit": ("must", oru(*GOOD_OBX[:6], "OBX|7|NM|8310-5^Temperature^LN||36.8||||||F")),
    "impossible_values": ("must", oru(*GOOD_OBX[:6], "OBX|7|NM|8310-5^Temperature^LN||368|Cel|||||F")),
    "not_a_number": ("should", oru(*GOOD_OBX[:6], "OBX|7|ST|8310-5^Temperature^LN||warm|Cel|||||F")),
    "empty_values": ("should", oru(*GOOD_OBX[:6], "OBX|7|NM|8310-5^Temperature^LN|||Cel|||||F")),
    "unknown_answers": ("must", oru(*GOOD_OBX[:5], "OBX|6|CWE|67775-7^AVPU^LN||ZZ^Dozy^L||||||F", GOOD_OBX[6])),
    "news2_partial": ("should", oru(*GOOD_OBX[:6])),
    "no_vitals": ("note", oru("OBX|1|NM|2823-3^K^LN||4|mmol/L|||||F")),
    "unmapped.news2_codes": ("must", oru(*GOOD_OBX[:6], "OBX|7|NM|TEMP^Body temperature^L||36.8|Cel|||||F")),
    "unmapped.vital_codes": ("should", oru(*GOOD_OBX, "OBX|8|NM|TEMP^Body temperature^L||36.8|Cel|||||F")),
    "unmapped.others": ("note", oru(*GOOD_OBX, "OBX|8|NM|CHOL^Cholesterol^L||4|mmol/L|||||F")),
    "patients_without_ward": ("must", oru(pv1="")),
    "patients_without_bed": ("note", oru(pv1="PV1|1|I|Ward A")),
    "no_birth_date": ("should", oru(pid="PID|1||42^^^HOSP^MR||Doe^Jane|||F")),
    "no_authority": ("should", oru(pid="PID|1||42||Doe^Jane||19500101|F")),
    "note.charset_guessed": ("should", oru(pid="PID|1||42^^^HOSP^MR||Dö^J||19500101|F", header="2.5.1")),
    "note.version_absent": ("should", oru(header="||||||UNICODE UTF-8")),
    "note.time_from_message": ("must", oru(observed="")),
    "refused.missing_segment": ("must", oru(pid="")),
    "refused.unsupported_version": ("must", oru(header="1.9")),
}  # fmt: skip


def test_a_good_feed_is_ready() -> None:
    """A feed with nothing wrong has no finding at all."""
    report = surveyed(*[oru(number=number) for number in range(3)])
    assert report.findings == ()
    assert report.verdict == "ready"
    assert (report.account.messages, report.account.accepted) == (3, 3)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name: str) -> None:
    """A message with one thing wrong among good ones gives that finding, with its severity and something to do."""
    severity, wrong = WRONG[name]
    finding = found(surveyed(wrong), name)
    assert (finding.severity, bool(finding.action), bool(finding.title)) == (severity, True, True)


def test_what_is_refused_as_not_for_us_is_named_apart_from_what_is_taken() -> None:
    """Vaccinations are refused, orders are taken and counted: who filters the one need not filter the other."""
    order, vaccination = (
        oru(number=number).replace(b"ORU^R01", kind) for number, kind in ((1, b"ORM^O01"), (2, b"VXU^V04"))
    )
    report = surveyed(order, vaccination, oru(number=3))
    finding = found(report, "types_not_for_us")
    assert (finding.count, finding.title) == (1, "1 message of types not for us: refused (VXU^V04)")
    assert [[tally.word for tally in kinds] for kinds in (report.ignored_kinds, report.foreign_kinds)] == [
        ["ORM^O01"], ["VXU^V04"],
    ]  # fmt: skip


def test_the_example_is_the_first_message_that_shows_it() -> None:
    """A finding's example is the place of the first message at fault, not of the first message."""
    report = surveyed(oru(number=1), oru(number=2), oru(number=3, pid=""), oru(number=4, pid=""))
    finding = found(report, "refused.missing_segment")
    assert (finding.count, finding.example) == (2, "#3")
    assert [(one.reason, one.place, one.count) for one in report.faults] == [("missing_segment", "PID", 2)]


def test_a_rare_fault_does_not_stop_go_live() -> None:
    """A cause that refuses fewer than one message in a hundred should be looked at, and no more."""
    report = surveyed(*[oru(number=number) for number in range(150)], oru(number=999, pid=""))
    assert found(report, "refused.missing_segment").severity == "should"
    assert report.verdict == "ready_with_findings"


def test_a_zone_in_the_configuration_settles_it() -> None:
    """Local times of a sender whose zone is configured are no finding, whatever the zone."""
    settings = parse_toml('[hl7.zones]\n"MON|HOSP" = "Europe/London"')
    message = oru(sent="202603031200", observed="202603031155")
    assert "no_zone" not in {finding.name for finding in surveyed(message, settings=settings).findings}


def test_a_route_settles_it() -> None:
    """A zone and an authority that a route has for the sender are no finding either."""
    settings = parse_toml(
        '[[hl7.routes]]\nname = "monitors"\nsender = "MON|*"\nzone = "Europe/London"\nauthority = "HOSP"'
    )
    message = oru(sent="202603031200", observed="202603031155", pid="PID|1||42||Doe^Jane||19500101|F")
    assert surveyed(message, settings=settings).findings == ()


def test_a_mapped_code_settles_it() -> None:
    """A local code that a person wrote under [codes] is mapped, and is no candidate any more."""
    message = oru(*GOOD_OBX[:6], "OBX|7|NM|TEMP^Body temperature^L||36.8|Cel|||||F")
    settings = parse_toml('[codes."L"]\n"TEMP" = "temperature"')
    assert surveyed(message, settings=settings).verdict == "ready"


def test_control_ids_that_name_two_messages_are_found() -> None:
    """A control id on two different messages of a sender is told; a message that comes twice is a duplicate."""
    other = oru(number=1, observed="202603031156+0000")
    report = surveyed(oru(number=1), oru(number=1), other)
    assert found(report, "control_ids_reused").example == "#3"
    assert (report.account.duplicates, report.repeated_control_ids) == (1, 1)


def test_identifiers_of_two_patients_are_found() -> None:
    """A message whose numbers belong to two patients is told as a conflict."""
    report = surveyed(
        oru(number=1), oru(number=2, pid="PID|1||43^^^HOSP^MR||X||19500101|F"),
        oru(number=3, pid="PID|1||42^^^HOSP^MR~43^^^HOSP^PI||X||19500101|F"),
    )  # fmt: skip
    assert found(report, "identity_conflicts").severity == "must"


def test_an_admission_gives_a_ward() -> None:
    """A patient whose ADT message names the ward is on a known one, though results do not say it."""
    admission = (
        b"MSH|^~\\&|ADT|HOSP|||202603031100+0000||ADT^A01|A1|P|2.5.1||||||UNICODE UTF-8\rEVN|A01|202603031100+0000\r"
        b"PID|1||42^^^HOSP^MR||Doe^Jane||19500101|F\rPV1|1|I|Ward A^1^2^HOSP"
    )
    assert surveyed(admission, oru(pv1="")).verdict == "ready"
