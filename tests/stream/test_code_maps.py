"""Code maps in the configuration: what they say is decided by, is in the log, and is read of both kinds of feed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.hl7v2.render import Result
from stream.cli.options import read_site
from stream.settings import ConfigurationError, configuration_hash, configuration_text, parse_json, parse_toml

HEADER = "system,code,display,unit,target,reviewer,reviewed,comment\n"
PULSE = "WELCH,P1,Pulse,/min,heart_rate,A. Chemist,2026-03-01,\n"
LACTATE = "WELCH,L9,Lactate,mg/dL,2524-7,A. Chemist,2026-03-01,\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "ward.csv").write_text(HEADER + PULSE + LACTATE + "WELCH,T1,Temp,Cel,temperature,,,\n")
    path = tmp_path / "wardstream.toml"
    path.write_text('[terminology]\nmaps = ["maps/ward.csv"]\n[codes.LAB]\nK = "potassium"\n')
    return path


def test_what_a_map_says_is_what_is_decided_by(config: Path) -> None:
    """The configuration with a map has the text and the hash of one that says the same under [codes]."""
    by_hand = parse_toml('[codes.LAB]\nK = "potassium"\n[codes.WELCH]\nP1 = "heart_rate"\nL9 = "2524-7"\n')
    site = read_site(config)
    assert site.settings == by_hand
    assert configuration_hash(site.settings) == configuration_hash(by_hand)
    assert parse_json(configuration_text(site.settings)) == by_hand
    assert site.not_applied == ("maps/ward.csv: 1 of 3 rows is not applied, no reviewer: line 4",)


def test_a_changed_map_is_another_configuration(config: Path) -> None:
    """A reviewed row more changes the hash; a comment, and a row that nobody reviewed, do not."""
    file = config.parent / "maps" / "ward.csv"
    before, text = configuration_hash(read_site(config).settings), file.read_text()
    file.write_text(text.replace("temperature,,,", "temperature,,,ask the ward"))
    assert configuration_hash(read_site(config).settings) == before
    file.write_text(text.replace("temperature,,,", "temperature,B. Nurse,2026-03-02,"))
    assert configuration_hash(read_site(config).settings) != before


def test_a_route_may_name_a_table_that_only_a_map_has(config: Path) -> None:
    """`codes` of a route is looked for among all codes of the site."""
    config.write_text(
        '[terminology]\nmaps = ["maps/ward.csv"]\n[[hl7.routes]]\nname = "w"\nsender = "W|*"\ncodes = "WELCH"\n'
    )
    assert read_site(config).settings.hl7.routes[0].codes == "WELCH"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (
            '[codes.WELCH]\nP1 = "temperature"\n',
            "maps/ward.csv: WELCH|P1 is heart_rate here and temperature in [codes]",
        ),
        ("codes = 3\n", "Expected `object`, got `int`"),
    ],
)
def test_what_is_said_twice_is_said_alike(config: Path, toml: str, said: str) -> None:
    """A code that [codes] and a map give different meanings ends the start, and names both."""
    head = toml if toml.startswith("codes =") else ""
    config.write_text(f'{head}[terminology]\nmaps = ["maps/ward.csv"]\n{"" if head else toml}')
    with pytest.raises(ConfigurationError, match=r"w") as caught:
        read_site(config)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[terminology]\nmaps = ["none.csv"]\n', "none.csv: No such file or directory"),
        (
            '[terminology]\nmap = ["a.csv"]\n',
            "wardstream.toml, line 2: terminology.map: unknown key; did you mean maps?",
        ),
        ('[terminology]\nmaps = ["bad.csv"]\n', "bad.csv, line 2: target: 'pulse' is neither a feature"),
        ('[terminology]\nmaps = ["a.csv", "a.csv"]\n', "terminology: maps: 'a.csv' stands twice"),
    ],
)
def test_a_map_that_cannot_be_used_ends_the_start(config: Path, toml: str, said: str) -> None:
    """No service starts on half a map: the file, the line and what is wrong are named."""
    (config.parent / "bad.csv").write_text(HEADER + "W,P,,,pulse,,,\n")
    config.write_text(toml)
    with pytest.raises(ConfigurationError) as caught:
        read_site(config)
    assert said in str(caught.value)


def test_a_configuration_without_a_reader_names_no_maps() -> None:
    """Where nothing can read files a configuration that names any is refused, and not read without them."""
    with pytest.raises(ConfigurationError, match=r"terminology\.maps: code maps cannot be read here"):
        parse_toml('[terminology]\nmaps = ["a.csv"]')


def test_a_replay_goes_by_the_map_of_then(
    config: Path, new_ward: Callable[..., Any], cli: Callable[..., Any], tmp_path: Path
) -> None:
    """A journal replays to its own scores after its map was changed, and after it was deleted."""
    live = new_ward(settings=read_site(config).settings)
    live.admit("1")
    pulse = Result("P1", system="WELCH", value=190.0, unit="/min")
    live.results("1", 10, [pulse, Result("L9", system="WELCH", value=36.0, unit="mg/dL")], observed=9)
    assert live.tally().unmapped == {}
    said = live.outputs("scores")
    live.service.close()
    file = config.parent / "maps" / "ward.csv"
    for number, change in enumerate((None, lambda: file.write_text(HEADER + LACTATE), file.unlink)):
        if change is not None:
            change()
        out = tmp_path / f"out{number}"
        assert cli("replay", f"journal:{tmp_path / 'ward-1'}", "--out", out, "--quiet").code == 0
        assert json.loads((out / "summary.json").read_text())["unmapped_codes"] == 0
        scores = [json.loads(line) for line in (out / "scores.ndjson").read_text().splitlines()]
        assert [{key: value for key, value in one.items() if key != "source"} for one in scores] == said


def test_a_map_is_read_of_fhir_too(cli: Callable[..., Any], tmp_path: Path) -> None:
    """An Observation whose only coding is of the hospital's own system has the feature that its map names, in the unit
    that the LOINC code allows.
    """
    (tmp_path / "lab.csv").write_text(HEADER + "http://hospital.example/lab,BUN,,mg/dL,3094-0,A. Chemist,2026-03-01,\n")
    (tmp_path / "w.toml").write_text('[terminology]\nmaps = ["lab.csv"]\n')
    observation = {
        "resourceType": "Observation", "id": "o1", "status": "final", "effectiveDateTime": "2026-03-01T08:00:00Z",
        "issued": "2026-03-01T08:05:00Z", "subject": {"reference": "Patient/1"},
        "code": {"coding": [{"system": "http://hospital.example/lab", "code": "BUN"}]},
        "valueQuantity": {"value": 28, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
    }  # fmt: skip
    (tmp_path / "obs.ndjson").write_text(json.dumps(observation) + "\n")
    found = []
    for how in ((), ("--config", tmp_path / "w.toml")):
        assert cli("replay", tmp_path / "obs.ndjson", "--out", tmp_path / "out", "--quiet", *how).code == 0
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        found.append((summary["unmapped_codes"], summary["quarantined"]))
    assert found == [(1, 0), (0, 0)]
