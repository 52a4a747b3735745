"""`wardstream census`: what it sends to a running service, what it writes, and what it refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_oru
from events import Location
from tests.stream.test_run_mllp import Running, start

__all__ = ["start"]

CSV = "patient,authority,ward,bed,admitted,sex,birth_date,visit\n" + "".join(
    f"{number},MRN,Ward {number % 3},{number},2026-03-0{1 + number % 2}T08:00Z,F,1950-01-01,V{number}\n"
    for number in range(30)
)
AS_OF = ("--as-of", "2026-03-03T06:00:00Z", "--sender", "PAS|MAIN")


@pytest.fixture
def beds(tmp_path: Path) -> Path:
    path = tmp_path / "Doe_Jane.csv"
    path.write_text(CSV)
    return path


def page() -> str:
    """Give five Encounters, one of them finished."""
    lines = [
        {
            "resourceType": "Encounter", "id": f"e{number}", "status": "finished" if number == 4 else "in-progress",
            "meta": {"lastUpdated": "2026-03-03T06:00:00Z"}, "period": {"start": "2026-03-01T08:00:00Z"},
            "subject": {"reference": f"Patient/{number}"}, "location": [{"location": {"display": "Ward A"}}],
        }
        for number in range(5)
    ]  # fmt: skip
    return "\n".join(map(json.dumps, lines))


def test_a_census_goes_to_a_running_service_and_again(
    start: Callable[[str], Running], cli: Callable[..., Any], beds: Path, tmp_path: Path
) -> None:
    """Over MLLP, and as FHIR over HTTP, all of it is acknowledged, patients are on the board's wards and nobody is
    alerted; sent again, all of it is a duplicate.
    """
    service = start("")
    answers = tmp_path / "page.ndjson"
    answers.write_text(page())
    for _ in range(2):
        done = cli("census", beds, "--to", f"mllp://127.0.0.1:{service.mllp}", *AS_OF)
        assert (done.code, "60 acknowledged, 0 refused" in done.out) == (0, True), done
        done = cli("census", answers, "--to", f"{service.url}/fhir")
        assert (done.code, "4 acknowledged, 0 refused" in done.out) == (0, True), done
        assert "1 Encounters are not under way, and are left out" in done.err
    counts: dict[str, tuple[int, int]] = {}
    while sum(map(sum, counts.values())) < 128:  # They are counted just after their senders are answered.
        counts = {one["feed"]: (one["accepted"], one["duplicates"]) for one in service.get("/feeds").json()["feeds"]}
    assert counts == {"PAS|MAIN": (60, 60), "fhir": (4, 4)}
    pulse = Result(code="8867-4", value=72.0, unit="/min")
    now = time.time_ns() // 1_000_000
    chart = render_oru(
        control_id="1", sent_time=now, feed="MON|W", patient=Identifier("MRN", "7"), encounter="V7",
        location=Location(), observed_time=now, order="O1", results=[pulse],
    )  # fmt: skip
    assert service.send(chart)[0].code == "AA"
    charted: list[str] = []
    while not charted:
        assert service.process.poll() is None
        patients = service.get("/patients?ward=Ward 1").json()["patients"]
        charted = [one["bed"] for one in patients if one["inputs"]]
    assert charted == ["7"]
    assert {one["bed"] for one in patients} == {str(number) for number in range(30) if number % 3 == 1}
    assert service.get("/alerts/open").json()["alerts"] == []
    assert "Doe" not in service.errors.read_text()


def test_a_file_and_a_dry_run(cli: Callable[..., Any], beds: Path, tmp_path: Path) -> None:
    """A file for the watched folder is whole when it has its name; --dry-run checks all and writes nothing."""
    out = tmp_path / "beds.hl7"
    dry = cli("census", beds, "--to", out, *AS_OF, "--dry-run")
    assert (dry.code, out.exists(), dry.err.splitlines()[-1]) == (0, False, "30 patients on 3 wards")
    assert cli("census", beds, "--to", out, *AS_OF).code == 0
    first = out.read_bytes()
    assert first.count(b"MSH|") == 60
    cli("census", beds, "--to", out, *AS_OF)
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("text", "how", "said"),
    [
        (CSV, (), "a CSV needs --as-of"),
        (CSV, (*AS_OF[:2], "--sender", "PAS"), "--sender: MSH-3|MSH-4"),
        (CSV, ("--as-of", "2099-01-01T00:00:00Z", "--sender", "PAS|MAIN"), "--as-of lies ahead of now"),
        (CSV, (*AS_OF, "--zone", "Mars"), "unknown time zone"),
        (CSV + "7,MRN,Ward 1,1,,,,\n", AS_OF, "census, line 32: patient: the same as in line 9"),
        ("Jane Doe,Ward A\n", AS_OF, "census, line 1: column 1 has no name that is known"),
        (CSV.partition("\n")[0] + "\n", AS_OF, "the census has nobody in it"),
    ],
    ids=range(7),
)
def test_what_is_wrong_is_said_and_nothing_is_sent(
    cli: Callable[..., Any], tmp_path: Path, text: str, how: tuple[str, ...], said: str
) -> None:
    """A census with a fault, and one that is not of now, is refused whole with exit code 2; nobody is named."""
    path, out = tmp_path / "c.csv", tmp_path / "out.hl7"
    path.write_text(text)
    done = cli("census", path, "--to", out, *how)
    assert (done.code, out.exists()) == (2, False)
    assert said in done.err
    assert "Jane" not in done.err


def test_a_census_goes_where_its_format_is_read(cli: Callable[..., Any], beds: Path) -> None:
    """CSV becomes HL7 v2, and FHIR stays FHIR."""
    done = cli("census", beds, "--to", "http://127.0.0.1:1/fhir", *AS_OF)
    assert (done.code, "this census goes to mllp://HOST:PORT or FILE.hl7" in done.err) == (2, True)


def test_nobody_there_is_a_failure(cli: Callable[..., Any], beds: Path) -> None:
    """Where nobody listens it ends with 1, and says that it may be sent again."""
    done = cli("census", beds, "--to", "mllp://127.0.0.1:1", *AS_OF)
    assert (done.code, "what is in already is a duplicate" in done.err) == (1, True)


def test_a_first_page_alone_is_warned_of_and_a_cut_file_is_refused(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stands on a page that is missing would be watched by nobody; a file past the limit is never cut."""
    first, lines = tmp_path / "page1.json", tmp_path / "all.ndjson"
    entries = [{"resource": json.loads(line)} for line in page().splitlines()]
    first.write_text(json.dumps({"resourceType": "Bundle", "type": "searchset", "total": 400, "entry": entries}))
    done = cli("census", first, "--to", "http://127.0.0.1:1/fhir", "--dry-run")
    assert (done.code, "the search found 400 Encounters, and the files have 5" in done.err) == (0, True), done
    lines.write_text(page())
    monkeypatch.setattr("stream.cli.census.FILE_BYTES_MAX", len(page().splitlines()[0]))
    done = cli("census", lines, "--to", "http://127.0.0.1:1/fhir", "--dry-run")
    assert (done.code, "a file is longer than" in done.err) == (2, True), done
