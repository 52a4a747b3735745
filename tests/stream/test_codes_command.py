"""`wardstream codes`: maps checked, listed and converted; what is mapped to nothing, and candidates for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.hl7v2.render import Result
from connectors.terminology.csv_map import read_csv
from tests.stream.conformance.samples import oru

LOCAL = [f"OBX|{n}|NM|{code}^{name}^LAB||{value}|{unit}|||||F" for n, (code, name, value, unit) in enumerate(
    [("K1", "Potassium", 4.1, "mmol/L"), ("U9", "Urea", 5.0, "mmol/L"), ("QQ", "Quality of sample", 3, "")], 1
)]  # fmt: skip


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.hl7"
    messages = [oru(*LOCAL[: 1 + (number < 3) + (number < 2)], number=number) for number in range(5)]
    path.write_bytes(b"\r".join(messages))
    return path


def test_the_report_ranks_by_count(cli: Callable[..., Any], sample: Path) -> None:
    """What is mapped to nothing comes most frequent first, each with what it may be, and the exit code is 3."""
    done = cli("codes", "report", sample, "--json")
    told = [
        (one["code"], one["count"], [each["feature"] for each in one["candidates"]]) for one in json.loads(done.out)
    ]
    assert (done.code, told) == (3, [("K1", 5, ["potassium"]), ("U9", 3, ["urea"]), ("QQ", 2, [])])
    assert "for a person to confirm" in cli("codes", "report", sample).out


def test_a_suggestion_is_never_applied_by_itself(cli: Callable[..., Any], sample: Path, tmp_path: Path) -> None:
    """The list has no reviewer, so a configuration that names it as it is maps nothing; with one it maps that row."""
    out = tmp_path / "candidates.csv"
    assert cli("codes", "suggest", sample, "--out", out).code == 0
    rows = read_csv(out.read_bytes(), "candidates.csv")
    assert [(row.code, row.display, row.unit, row.target, row.reviewer) for row in rows] == [
        ("K1", "Potassium", "mmol/L", "potassium", ""),
        ("U9", "Urea", "mmol/L", "urea", ""),
        ("QQ", "Quality of sample", "", "", ""),
    ]
    config = tmp_path / "w.toml"
    config.write_text('[terminology]\nmaps = ["candidates.csv"]\n')
    checked = cli("codes", "check", out)
    assert (checked.code, checked.out.splitlines()[0]) == (3, "candidates.csv: 0 codes of 0 systems are applied")
    assert (
        cli("codes", "report", sample, "--config", config, "--json").out == cli("codes", "report", sample, "--json").out
    )
    out.write_text(out.read_text().replace("potassium,,,", "potassium,A. Chemist,2026-03-01,"))
    left = cli("codes", "report", sample, "--config", config, "--json")
    assert [one["code"] for one in json.loads(left.out)] == ["U9", "QQ"]
    assert "LAB" in cli("codes", "list", "--config", config).out


def test_nothing_is_written_over_or_on_a_dry_run(cli: Callable[..., Any], sample: Path, tmp_path: Path) -> None:
    """A reviewed file is never overwritten unasked, and --dry-run writes nothing."""
    out = tmp_path / "c.csv"
    shown = cli("codes", "suggest", sample, "--out", out, "--dry-run")
    assert (shown.code, shown.out.splitlines()[0].split(",")[0], out.exists()) == (0, "system", False)
    out.write_text("mine")
    refused = cli("codes", "suggest", sample, "--out", out)
    assert (refused.code, out.read_text()) == (2, "mine")
    assert cli("codes", "suggest", sample, "--out", out, "--force").code == 0
    assert out.read_text() == shown.out


def test_a_map_goes_to_fhir_and_back(cli: Callable[..., Any], sample: Path, tmp_path: Path) -> None:
    """CSV to ConceptMap to CSV gives the same bytes."""
    first, middle, last = (tmp_path / name for name in ("a.csv", "b.json", "c.csv"))
    cli("codes", "suggest", sample, "--out", first)
    assert cli("codes", "convert", first, "--to", middle, "--fhir", "R5").code == 0
    assert json.loads(middle.read_text())["resourceType"] == "ConceptMap"
    assert cli("codes", "convert", middle, "--to", last).code == 0
    assert last.read_bytes() == first.read_bytes()
    assert cli("codes", "convert", first, "--to", tmp_path / "a.xml").code == 2


def test_faults_of_a_map_are_wrong_usage_with_their_lines(cli: Callable[..., Any], tmp_path: Path) -> None:
    """A map with faults exits with 2 and tells each."""
    bad = tmp_path / "bad.csv"
    bad.write_text("system,code,target\nL,A,sodum\nL,,sodium\n")
    done = cli("codes", "check", bad)
    assert (done.code, "bad.csv, line 3: code: empty" in done.err) == (2, True)


def test_a_journal_is_a_source(new_ward: Callable[..., Any], cli: Callable[..., Any], tmp_path: Path) -> None:
    """What a running service has not used is found in its journal."""
    live = new_ward()
    live.admit("1")
    live.results("1", 10, [Result("HF", system="MON", value=80.0, unit="/min")], observed=9)
    live.service.close()
    done = cli("codes", "report", f"journal:{tmp_path / 'ward-1'}", "--json")
    assert (done.code, [(one["system"], one["code"], one["count"]) for one in json.loads(done.out)]) == (
        3,
        [("MON", "HF", 1)],
    )


def test_of_the_live_service_the_messages_are_read(cli: Callable[..., Any]) -> None:
    """The log has events, without what senders call their codes: its topic is refused, and the others are named."""
    done = cli("codes", "report", "kafka:events.v1")
    assert (done.code, "kafka:hl7v2.ingest.v1" in done.err) == (2, True)
