"""`wardstream.toml`: what it may say, where it is checked, and how it says what is wrong."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from alerts.ward_settings import WardSettings
from stream.service_settings import ServiceSettings
from stream.settings import ConfigurationError, Settings, configuration_hash, configuration_text, parse_json, parse_site
from stream.site_schema import schema_text, site_schema

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy" / "wardstream.toml"


def test_the_checked_in_schema_is_the_generated_one() -> None:
    """docs/schemas/wardstream.toml.v1.json is what the types generate."""
    assert (ROOT / "docs" / "schemas" / "wardstream.toml.v1.json").read_text(encoding="utf-8") == schema_text()


def test_the_example_says_the_defaults_and_every_key_of_the_service() -> None:
    """deploy/wardstream.toml changes nothing but the folder, and leaves no key of [service] out."""
    site = parse_site(EXAMPLE.read_text(encoding="utf-8"))
    assert site.settings == Settings()
    assert msgspec.structs.replace(site.service, data_dir="") == ServiceSettings()
    assert set(tomllib.loads(EXAMPLE.read_text())["service"]) == set(ServiceSettings.__struct_fields__)


@pytest.mark.parametrize("path", [EXAMPLE, ROOT / "deploy" / "simhospital.toml"], ids=lambda path: path.name)
def test_the_schema_accepts_what_the_service_accepts(path: Path) -> None:
    """The files in deploy/ validate against the published schema."""
    validator = jsonschema.Draft202012Validator(site_schema())
    document = json.loads(json.dumps(tomllib.loads(path.read_text(encoding="utf-8"))))
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[service]\nhttp_prt = 1", "w.toml, line 2: service.http_prt: unknown key; did you mean http_port?"),
        ("[service]\n\nhttp_port = 99999", "w.toml, line 3: service.http_port: Expected `int` <= 65535"),
        ("[service]\nretention_days = 0", "w.toml, line 2: service.retention_days: Expected `float` >= 2.0"),
        ('[service]\nlog_level = "loud"', "w.toml, line 2: service.log_level: Invalid enum value 'loud'"),
        ("[kafka]\nboostrap = 'k:9092'", "w.toml, line 2: kafka.boostrap: unknown key; did you mean bootstrap?"),
        ("[kafka]\nevents_days = 1", "w.toml, line 2: kafka.events_days: Expected `float` >= 2.0"),
        ("[redis]\nprefix = 'a b'", "w.toml, line 2: redis.prefix: Expected `str` matching regex"),
        ("[live]\nstages = ['learner']", "w.toml, line 2: live.stages"),
        ("[live]\nsession_timeout_s = 3", "w.toml, line 2: live.session_timeout_s: Expected `float` >= 6.0"),
        ("[live]\nversion_keys = ['abc']", "w.toml, line 2: live.version_keys"),
        ("[people]\nlate_s_max = 90000", "w.toml, line 2: people.late_s_max: Expected `float` <= 86400.0"),
        (
            "[people.actors.n]\nrole = 'nurse'\nrights = ['all']",
            "w.toml, line 3: people.actors.rights: Invalid enum value 'all'",
        ),
        ("service = 3", "w.toml, line 1: service: Expected `object`, got `int`"),
        ("[guardrail]\n", "w.toml, line 1: guardrail: unknown key; did you mean guardrails?"),
        ("[guardrails]\nraise_at = 'x'", "w.toml, line 2: guardrails.raise_at: Expected `float`, got `str`"),
        ("[hl7]\nzone = 'Mars'", "w.toml, line 2: hl7: zone: unknown time zone 'Mars'; expected an IANA name"),
        ("[wards]\nbudgt = 3", "w.toml, line 2: wards.budgt: unknown key; did you mean budget?"),
        ("[wards]\nbudget = 0", "w.toml, line 2: wards.budget: Expected `int` >= 1"),
        ("[hl7]\nzone = 'UTC'\n[wards]\nzone = 'Mars'", "w.toml, line 4: wards: zone: unknown time zone 'Mars'"),
        ("[wards]\n\ncatch_all = ''", "w.toml, line 3: wards: catch_all: is empty, so nobody hears of a ward"),
        ("[wards]\nbudget = 3\nshift_starts = ['7:00']", "w.toml, line 3: wards: shift_starts: '7:00' is no time"),
        ("[wards]\n[wards.budgets]\nW1 = 0", "w.toml, line 3: wards.budgets: Expected `int` >= 1"),
        ("[wards.subscribers]\npager = []", "w.toml, line 2: wards: subscribers.pager: covers no ward"),
        ("[hl7\n", "w.toml: Expected ']' at the end of a table declaration (at line 1, column 5)"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(text: str, said: str) -> None:
    """Each mistake names the file, the line, the key and what is expected."""
    with pytest.raises(ConfigurationError) as caught:
        parse_site(text, "w.toml")
    assert str(caught.value).startswith(said)


def test_a_table_that_is_new_changes_no_name() -> None:
    """A configuration that says nothing of wards has the text and the name it had before there was such a table."""
    assert "wards" not in json.loads(configuration_text(Settings()))
    declared = Settings(wards=WardSettings(budget=4))
    assert parse_json(configuration_text(declared)) == declared
    assert configuration_hash(declared) != configuration_hash(Settings())


def test_what_is_declared_of_groups_is_in_the_text_and_what_is_not_changes_no_name() -> None:
    """Policies by group and ethnicity come back from the log; a site that says nothing of either keeps its name."""
    plain = configuration_text(Settings())
    assert "subgroups" not in plain
    assert "ethnicity" not in plain
    text = """
        [hl7]
        ethnicity = "nhs"
        [fhir]
        ethnicity = true
        [guardrails]
        raise_at = 0.1
        clear_at = 0.07
        [guardrails.subgroups]
        too_few = "review"
        [guardrails.subgroups.groups.ethnicity]
        black = "annotate"
        [guardrails.versions.4f1c02aa91be.groups.ward]
        "Ward 4A" = "abstain"
    """
    declared = parse_site(text).settings
    assert parse_json(configuration_text(declared)) == declared
    assert declared.guardrails.policy_of("4f1c02aa91be", "ward", "Ward 4A") == "abstain"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('worse = "silence"', "line 5: guardrails.subgroups.worse: Invalid enum value 'silence'"),
        ('wors = "trust"', "line 5: guardrails.subgroups.wors: unknown key; did you mean worse?"),
        ('groups.gender.male = "trust"', "guardrails: subgroups.groups.gender: is no attribute; expected sex, age"),
        ('groups.sex.man = "trust"', "guardrails: subgroups.groups.sex.man: is no group of it; expected male, female"),
        ('groups.sex.male = "silence"', "Invalid enum value 'silence'"),
    ],
)
def test_a_policy_by_group_that_is_none_is_refused_by_its_key(line: str, words: str) -> None:
    """With what is expected in its place."""
    text = f"[guardrails]\nraise_at = 0.1\nclear_at = 0.07\n[guardrails.subgroups]\n{line}\n"
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        parse_site(text)


@pytest.mark.parametrize("command", [("run", "--data-dir", "data"), ("worker",)])
def test_neither_host_starts_where_nobody_would_hear_of_a_ward(
    command: tuple[str, ...], cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a catch-all and with a ward that nobody covers, the wrong line is named and nothing runs."""
    monkeypatch.chdir(tmp_path)
    site = tmp_path / "wardstream.toml"
    site.write_text('[wards]\ncatch_all = ""\n[wards.subscribers]\npager = ["Ward 7"]\n')
    done = cli(*command, "--config", site)
    assert done.code == 2
    assert "line 2: wards: catch_all: is empty, so nobody hears of a ward" in done.err
    assert not (tmp_path / "data").exists()
