"""The command line: what it teaches, what it reads, and what its exit code says."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from stream.identity import Pseudonyms
from stream.simulation import hospital_stream

COMMANDS = ("demo", "simulate", "replay", "evaluate", "models", "features", "doctor")
OUTPUTS = ("scores.ndjson", "alerts.ndjson", "suppressed.ndjson", "dead_letters.ndjson", "summary.json", "digest.txt")
SIZE = ("--seed", "11", "--beds", "12", "--hours", "24")


def hospital(wire: str = "hl7v2") -> list[bytes]:
    return [data for _time, data in hospital_stream(seed=11, beds=12, hours=24, wire=wire)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one hospital's day in every form a SOURCE may have."""
    folder = tmp_path_factory.mktemp("sources")
    hl7, fhir = b"".join(hospital()), hospital("fhir")
    (folder / "feed.hl7").write_bytes(hl7)
    (folder / "feed.hl7.gz").write_bytes(gzip.compress(hl7, mtime=0))
    (folder / "one.json").write_bytes(fhir[0])
    (folder / "feed.ndjson").write_bytes(b"\n".join(fhir) + b"\n")
    messages = hospital()
    (folder / "parts").mkdir()
    (folder / "parts" / "a.hl7").write_bytes(b"".join(messages[::2]))
    (folder / "parts" / "b.hl7").write_bytes(b"".join(messages[1::2]))
    (folder / "parts" / "README.txt").write_text("not a message")
    (folder / "bad.hl7").write_bytes(messages[0] + b"MSH|^~\\&|A|B|||20260101||MDM^T02|9|P|2.5\r")
    return folder


@pytest.fixture
def demo_folder(tmp_path: Path, cli: Callable) -> Path:
    """Run a small demo into a data folder."""
    folder = tmp_path / "data"
    assert cli("demo", "--once", "--data-dir", folder, *SIZE).code == 0
    return folder


def first_patient() -> Identifier:
    return decode(hospital()[0], Hl7Settings()).subject[0]


# -- help and usage


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(cli, command):
    """Each command's --help shows a line that can be typed as it stands."""
    done = cli(command, "--help")
    assert done.code == 0
    assert re.search(rf"^\s+wardstream {command}\b", done.out, re.MULTILINE), done.out


def test_help_lists_every_command_and_the_exit_codes(cli):
    """The first screen names the commands, what exit codes mean and how to get completion."""
    done = cli("--help")
    assert all(re.search(rf"^  {command} ", done.out, re.MULTILINE) for command in COMMANDS)
    assert "0 done, 1 failed, 2 wrong usage, 3 input refused in part" in done.out
    assert "_WARDSTREAM_COMPLETE" in done.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_source_prints(shell):
    """The line that the help names prints a completion script for each shell."""
    script = Path(sys.executable).parent / "wardstream"
    environment = {**os.environ, "_WARDSTREAM_COMPLETE": f"{shell}_source"}
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
    assert "_WARDSTREAM_COMPLETE" in done.stdout
    assert "Traceback" not in done.stderr


WRONG_USAGES = (
    *("no_command", "no_source", "absent_file", "empty_folder", "unknown_scheme", "absent_journal"),
    *("journal_and_more", "no_instant", "unknown_version", "unknown_key", "not_utf_8", "unknown_feature"),
    *("unknown_ending", "no_such_version", "none_is_no_version", "no_hold_out", "no_at"),
)


def wrong_usages(tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    out = ["--out", tmp_path / "out"]
    (tmp_path / "wrong.toml").write_text("[guardrails]\nraise_it = 1\n")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    (tmp_path / "codes.toml").write_text('[codes.LOCAL]\n"X1" = "no_such_feature"\n')
    (tmp_path / "feed.hl7").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    feed = tmp_path / "feed.hl7"
    return {
        "no_command": (["frobnicate"], "No such command"),
        "no_source": (["replay", *out], "Missing argument"),
        "absent_file": (["replay", tmp_path / "nowhere.hl7", *out], "no such file or folder"),
        "empty_folder": (["replay", tmp_path / "empty", *out], "no message file in it"),
        "unknown_scheme": (["replay", "eicu:/data", *out], "physionet2019, physionet2012"),
        "absent_journal": (["replay", f"journal:{tmp_path / 'empty'}", *out], "--data-dir of an embedded service"),
        "journal_and_more": (["replay", f"journal:{tmp_path}", feed, *out], "by itself"),
        "no_instant": (["replay", feed, *out, "--from", "yesterday"], "ISO 8601"),
        "unknown_version": (["replay", feed, *out, "--model", "feedface"], "known:"),
        "unknown_key": (["replay", feed, *out, "--config", tmp_path / "wrong.toml"], "raise_it"),
        "not_utf_8": (["replay", feed, *out, "--config", tmp_path / "latin.toml"], "UTF-8"),
        "unknown_feature": (["replay", feed, *out, "--config", tmp_path / "codes.toml"], "no_such_feature"),
        "unknown_ending": (["simulate", tmp_path / "feed.txt"], ".hl7 or .ndjson"),
        "no_such_version": (["models", "show", "feedface"], "known:"),
        "none_is_no_version": (["models", "show", "none"], "known:"),
        "no_hold_out": (["evaluate", feed, *out, "--hold-out-from", "soon"], "ISO 8601"),
        "no_at": (["features", "x", "--data-dir", tmp_path / "empty", "--at", "noon"], "ISO 8601"),
    }


@pytest.mark.parametrize("case", WRONG_USAGES)
def test_wrong_usage_says_what_would_be_right(cli, tmp_path, case):
    """What is named wrongly ends in exit code 2, on standard error, with words that say what to do."""
    arguments, words = wrong_usages(tmp_path)[case]
    done = cli(*arguments)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


# -- replay


@pytest.mark.parametrize("name", ["feed.hl7", "feed.hl7.gz", "one.json", "feed.ndjson", "parts"])
def test_replay_reads_each_kind_of_source(cli, tmp_path, sources, name):
    """Each kind of SOURCE replays to all six outputs, and exits 0 where all of it could be used."""
    done = cli("replay", sources / name, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert {path.name for path in (tmp_path / "out").iterdir()} >= set(OUTPUTS)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["messages"] == summary["accepted"] > 0
    digest = (tmp_path / "out" / "digest.txt").read_text().strip()
    assert digest == summary["digest"]
    assert digest in done.out, "a digest cut to the screen's width compares with nothing"


def test_packed_and_split_sources_give_the_same_digest(cli, tmp_path, sources):
    """The same messages as a file, packed, and split over a folder give the same outputs."""
    digests = set()
    for name in ("feed.hl7", "feed.hl7.gz", "parts"):
        cli("replay", sources / name, "--out", tmp_path / name, "--quiet")
        digests.add((tmp_path / name / "digest.txt").read_text())
    assert len(digests) == 1


def test_a_file_left_out_is_named(cli, tmp_path, sources):
    """What a folder holds beside messages is named on standard error, so that nothing is missed in silence."""
    done = cli("replay", sources / "parts", "--out", tmp_path / "out")
    assert "README.txt" in done.err


def test_a_dead_letter_makes_it_exit_3(cli, tmp_path, sources):
    """Input refused in part is exit code 3, and the outputs are there."""
    done = cli("replay", sources / "bad.hl7", "--out", tmp_path / "out")
    assert done.code == 3
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["dead_letters"] == 1
    assert (tmp_path / "out" / "dead_letters.ndjson").read_text().count("\n") == 1


def test_quiet_is_quiet(cli, tmp_path, sources):
    """With --quiet a good replay prints nothing at all."""
    done = cli("replay", sources / "feed.hl7", "--out", tmp_path / "out", "--quiet")
    assert (done.code, done.out, done.err.strip()) == (0, "", "")


def test_from_and_to_part_a_source_without_loss(cli, tmp_path, sources):
    """What was said before an instant, and from it on, are together the whole, line by line."""
    assert cli("replay", sources / "feed.hl7", "--out", tmp_path / "whole").code == 0
    whole = {name: (tmp_path / "whole" / name).read_text().splitlines() for name in ("scores.ndjson", "alerts.ndjson")}
    times = sorted(json.loads(line)["received_time"] for line in whole["scores.ndjson"])
    noon = times[len(times) // 2]
    for part, option in (("before", "--to"), ("after", "--from")):
        assert cli("replay", sources / "feed.hl7", "--out", tmp_path / part, option, noon).code == 0
    for name, lines in whole.items():
        before, after = ((tmp_path / part / name).read_text().splitlines() for part in ("before", "after"))
        assert before + after == lines
        assert (before and after) or name == "alerts.ndjson"


def test_a_journal_replays_to_the_digest_of_its_run(cli, tmp_path, demo_folder):
    """`journal:DIR` gives what the demo printed; a what-if version does not."""
    again = cli("demo", "--once", "--data-dir", demo_folder, *SIZE)
    assert cli("replay", f"journal:{demo_folder}", "--out", tmp_path / "out", "--quiet").code == 0
    digest = (tmp_path / "out" / "digest.txt").read_text().strip()
    assert digest in again.out
    assert cli("replay", f"journal:{demo_folder}", "--out", tmp_path / "if", "--model", "none", "--quiet").code == 0
    assert (tmp_path / "if" / "digest.txt").read_text().strip() != digest


# -- the other commands


def test_demo_once_twice_gives_one_digest(cli):
    """`demo --once` exits 0 and ends in the same digest each time, printed whole."""
    digests = set()
    for _ in range(2):
        done = cli("demo", "--once", *SIZE)
        assert done.code == 0
        digests.update(re.findall(r"\b[0-9a-f]{64}\b", done.out))
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["a.hl7", "a.hl7.gz", "a.ndjson", "a.ndjson.gz"])
def test_simulate_is_deterministic(cli, tmp_path, name):
    """The same seed writes the same bytes, another seed others."""
    written = []
    for seed in ("3", "3", "4"):
        assert cli("simulate", tmp_path / name, "--seed", seed, "--beds", "4", "--hours", "12").code == 0
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1] != written[2]


def test_evaluate_writes_its_figures(cli, tmp_path):
    """Evaluation writes evaluation.json with the learner's figures beside NEWS2's on the same rows."""
    cli("simulate", tmp_path / "feed.hl7", "--beds", "40", "--hours", "96", "--seed", "5")
    ward = ("--critical-care-ward", "Critical Care")
    done = cli("evaluate", tmp_path / "feed.hl7", *ward, "--out", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert done.code == 0, done.err
    learner, news2 = report["figures"]["learner, prequential"], report["figures"]["NEWS2, same rows"]
    assert learner["rows"] == news2["rows"] > 100
    assert learner["positives"] == news2["positives"] > 0
    assert (tmp_path / "out" / "report.md").exists()


def test_evaluate_without_an_outcome_fails_aloud(cli, tmp_path, sources):
    """Where no outcome was met nothing was evaluated: exit code 1, and what to name."""
    done = cli("evaluate", sources / "one.json", "--outcome", "cardiac_arrest", "--out", tmp_path / "out")
    assert done.code == 1
    assert "--outcome" in done.err


def test_models_are_listed_and_shown(cli, shipped):
    """The shipped version is listed by its id and shown by the beginning of it, with its card's warning."""
    assert shipped.version in cli("models", "list").out
    done = cli("models", "show", shipped.version[:6])
    assert done.code == 0
    assert "not for clinical use" in done.out.lower()


def test_a_version_file_that_does_not_load_is_named(cli, tmp_path, shipped):
    """A broken file in the folder is left out by name; the others are there."""
    (tmp_path / "broken.json").write_text("{}")
    done = cli("models", "list", "--models-dir", tmp_path)
    assert shipped.version in done.out
    assert "broken.json" in done.err


@pytest.mark.parametrize("form", ["key", "identifier"])
def test_features_finds_a_patient_by_either_name(cli, demo_folder, form):
    """The pseudonym of scores.ndjson and AUTHORITY|VALUE give the same table, with ages and NEWS2."""
    who = first_patient()
    name = {"key": Pseudonyms().of("patient", who.authority, who.value), "identifier": f"{who.authority}|{who.value}"}
    done = cli("features", name[form], "--data-dir", demo_folder)
    assert done.code == 0, done.err
    assert "heart_rate" in done.out
    assert re.search(r"NEWS2 \d+", done.out)
    assert who.value not in done.out


def test_features_of_nobody_changes_nothing(cli, tmp_path):
    """Asking in a folder that is no service's makes no files there, and says what to give."""
    (tmp_path / "empty").mkdir()
    done = cli("features", "x", "--data-dir", tmp_path / "empty")
    assert done.code in (1, 2)
    assert not list((tmp_path / "empty").iterdir())


# -- doctor


def test_doctor_finds_nothing_wrong_here(cli, demo_folder):
    """On this installation and a data folder of ours all is well."""
    done = cli("doctor", "--data-dir", demo_folder)
    assert done.code == 0, done.out
    assert "WRONG" not in done.out


def spoil(folder: Path, how: str) -> None:
    if how == "readable":
        folder.chmod(0o755)
    elif how == "absent":
        shutil.rmtree(folder)
    elif how == "no_database":
        (folder / "journal.db").write_bytes(b"nothing of ours" * 100)
    elif how == "no_state":
        (folder / "state.db").write_bytes(b"nothing of ours" * 100)
    else:
        with sqlite3.connect(folder / "journal.db") as database:
            statement = {
                "other_schema": "UPDATE about SET value = '99' WHERE name = 'schema'",
                "state_ahead": "DELETE FROM events WHERE offset > 3",
            }[how]
            database.execute(statement)


FINDINGS = {
    "readable": "chmod 700",
    "absent": "make it",
    "no_database": "no journal of ours",
    "no_state": "not a database",
    "other_schema": "schema 99",
    "state_ahead": "ahead of the log",
}


@pytest.mark.parametrize("how", FINDINGS)
def test_doctor_names_what_is_wrong_and_what_to_do(cli, demo_folder, how):
    """Each thing that can be wrong with a data folder is found, said, and ends in exit code 1."""
    spoil(demo_folder, how)
    done = cli("doctor", "--data-dir", demo_folder)
    assert done.code == 1
    assert "WRONG" in done.out
    assert FINDINGS[how] in done.out
    assert "Traceback" not in done.err


def test_doctor_names_a_wrong_configuration(cli, tmp_path):
    """A key that is not known is named, with exit code 1."""
    (tmp_path / "wardstream.toml").write_text("[guardrails]\nraise_it = 1\n")
    done = cli("doctor", "--config", tmp_path / "wardstream.toml")
    assert done.code == 1
    assert "raise_it" in done.out


def test_a_service_whose_state_is_ahead_of_its_log_refuses_to_start(cli, demo_folder):
    """Where the log was restored from an older backup than the states, no message is taken in and lost unfolded."""
    spoil(demo_folder, "state_ahead")
    done = cli("demo", "--once", "--data-dir", demo_folder, *SIZE)
    assert done.code == 1
    assert "ahead of the log" in done.err


def test_no_identifier_reaches_the_screen(cli, demo_folder, tmp_path, sources):
    """What demo, replay and doctor print names no record number of the hospital's."""
    text = cli("replay", sources / "feed.hl7", "--out", tmp_path / "out").out
    text += cli("demo", "--once", "--data-dir", demo_folder, *SIZE).out
    text += cli("doctor", "--data-dir", demo_folder).out
    numbers = {decode(data, Hl7Settings()).subject[0].value for data in hospital()}
    assert numbers
    assert not [number for number in numbers if number in text]
