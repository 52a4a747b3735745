"""Change control at the command line, over an embedded service: trust, proposals, review, and the chain."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from connectors.signing import KeyPair, generate_key, sign
from connectors.sqlite.journal import SqliteJournal
from models.evidence import Evidence, dump_evidence
from models.inputs import schema_hash_of
from models.rows import Inputs
from models.version import ENSEMBLE_FORMAT, ModelVersion, dump
from models.weights import Crossed, Ensemble
from stream.cli.deciding import Place
from stream.cli.learner import company_of
from stream.cli.options import read_site
from stream.cli.promotion import settings_of
from stream.contest_judging import settings_in_force
from stream.deciding import Deciding
from stream.decisions import Decisions, decode_decision
from stream.outcomes import OutcomeDefinition
from stream.promotion import AUTOMATIC
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings, configuration_hash, configuration_text, parse_json, parse_toml
from stream.versions import NoSuchVersionError, StoredSignature, load_versions
from tests.models.change_cases import LEARNED_UNTIL, USUAL_RATE, cohort, weighed
from tests.stream.test_run import Service

WHY = ("--reason", "weekly", "--as", "data-scientist")
AUTOMATIC_PLAN = "[change_control]\nautomatic = true\n"
MakeVersion = Callable[[float], ModelVersion]


def ensemble(shipped: ModelVersion, logit: float, **changed: object) -> ModelVersion:
    """Give a version of format 3 that always answers the same, and whose making is wholly known."""
    width = len(shipped.inputs.names)
    none: tuple[tuple[float, ...], ...] = ((),) * width
    part = Crossed(none, ((0.0,),) * width, (), none, (), bias=logit)
    known: dict[str, Any] = {
        "data_digest": "d" * 64, "learned_until": LEARNED_UNTIL, "outcome": "o", "code_commit": "c",
        "lock_digest": "l", "configuration_hash": "f", "rows": 100, "positives": round(100 * USUAL_RATE),
        "evaluation": {},
    }  # fmt: skip
    lineage = msgspec.structs.replace(shipped.lineage, **{**known, **changed})
    return ModelVersion(
        inputs=Inputs(shipped.inputs.names), schema_hash=schema_hash_of(Inputs(shipped.inputs.names)),
        ensemble=Ensemble(part, None, (1.0, 0.0)), horizon_h=12, threshold=0.1, threshold_release=0.07,
        cost_of_miss=9.0, lineage=lineage, river_version="", format=ENSEMBLE_FORMAT,
    )  # fmt: skip


def kept(folder: Path, version: ModelVersion, key: KeyPair | None = None) -> Path:
    """Write a version, signed where there is a key."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{version.version}.json"
    path.write_bytes(dump(version))
    if key is not None:
        found = sign(key.private_pem, dump(version))
        stored = StoredSignature(version.version, found.key_id, found.hex)
        path.with_name(path.name + ".sig").write_bytes(msgspec.json.encode(stored))
    return path


@pytest.fixture
def versions(shipped: ModelVersion, tmp_path: Path) -> tuple[ModelVersion, ModelVersion]:
    """Give a champion and a challenger, in the folder `models`."""
    made = ensemble(shipped, -3.0), ensemble(shipped, -2.9)
    for one in made:
        kept(tmp_path / "models", one)
    return made


@pytest.fixture(scope="module")
def shown() -> Evidence:
    """Give evidence that passes every gate."""
    return weighed(cohort(patients=900))


@pytest.fixture
def data(tmp_path: Path, versions: tuple[ModelVersion, ModelVersion]) -> Path:
    """Give the folder of a stopped service whose plan lets versions go by themselves."""
    return made_data(tmp_path / "data", parse_toml(AUTOMATIC_PLAN), versions)


def made_data(folder: Path, settings: Settings, versions: tuple[ModelVersion, ...]) -> Path:
    """Run a service once."""
    EmbeddedService(folder, Release(settings, "test", "", enabled=False), {v.version: v for v in versions}).close()
    return folder


def evidence_file(path: Path, shown: Evidence, champion: ModelVersion, challenger: ModelVersion) -> Path:
    """Write evidence on two versions."""
    about = msgspec.structs.replace(shown, champion=champion.version, challenger=challenger.version)
    path.write_bytes(dump_evidence(about))
    return path


def test_a_challenger_is_proposed_judged_promoted_and_everything_is_in_the_chain(
    cli: Any, data: Path, versions: tuple[ModelVersion, ModelVersion], shown: Evidence, tmp_path: Path
) -> None:
    """Inside the envelope and with every gate passed it is in force without a person; the chain holds each step."""
    champion, challenger = versions
    place = ("--data-dir", data, "--models-dir", tmp_path / "models")
    assert cli("models", "promote", champion.version, *WHY, *place).code == 0
    file = evidence_file(tmp_path / "e.json", shown, champion, challenger)
    done = cli("models", "propose", challenger.version[:6], "--evidence", file, *WHY, *place)
    assert (done.code, done.err) == (0, "")
    assert "promoted without a person" in done.out
    found = json.loads(cli("models", "review", "--data-dir", data, "--json").out)
    assert (found["champion"], found["promoted_by"]) == (challenger.version, AUTOMATIC)
    verified = cli("audit", "verify", "--data-dir", data)
    assert (verified.code, verified.err) == (0, "")
    assert "4 decisions, 1 before the chain begins." in verified.out
    head = verified.out.partition("Head: ")[2].split()[0]
    lines = cli("changed", "--since", "2020-01-01T00:00:00Z", "--data-dir", data, "--json").out.splitlines()
    changes = [json.loads(line) for line in lines]
    assert [one["kind"] for one in changes] == ["Promotion", "ChangeStep", "ChangeStep", "Promotion"]
    assert changes[0]["figures"] == {"gates": "never judged"}
    assert changes[3]["figures"]["gate.discrimination"].startswith("passed: AUROC")
    assert "Nothing was decided" in cli("changed", "--since", "2990-01-01T00:00:00Z", "--data-dir", data).out
    assert cli("models", "rollback", *WHY, "--data-dir", data, "--models-dir", tmp_path / "models").code in (0, 2)
    assert cli("audit", "verify", "--data-dir", data, "--head", head[:12]).code == 0
    assert cli("audit", "verify", "--data-dir", data, "--head", "0" * 12).code == 1


def test_outside_the_envelope_or_short_of_rows_a_person_is_told_what_is_lacking(
    cli: Any,
    data: Path,
    versions: tuple[ModelVersion, ModelVersion],
    shown: Evidence,
    shipped: ModelVersion,
    tmp_path: Path,
) -> None:
    """Nothing is put in force; the command ends with 0 where only a person is lacking, with 1 where more is."""
    champion, _ = versions
    other = ensemble(shipped, -2.8, code_commit="another")
    kept(tmp_path / "models", other)
    place = ("--data-dir", data, "--models-dir", tmp_path / "models")
    assert cli("models", "promote", champion.version, *WHY, *place).code == 0
    file = evidence_file(tmp_path / "e.json", shown, champion, other)
    done = cli("models", "propose", other.version, "--evidence", file, *WHY, *place)
    assert done.code == 0
    assert "another code than the champion's" in done.out
    assert f"wardstream models promote {other.version}" in done.out
    few = msgspec.structs.replace(shown, flips=0.5)
    done = cli(
        "models", "propose", other.version, "--evidence", evidence_file(file, few, champion, other), *WHY, *place
    )
    assert done.code == 1
    assert "FAILED" in done.out
    review = cli("models", "review", "--data-dir", data).out
    assert f"Champion: {champion.version}" in review
    assert "Lacking: agreement: 50.00% of rows" in review


@pytest.mark.parametrize(
    ("text", "said"),
    [(b"{}", "no evidence"), (b"not json", "no evidence"), (None, "is on version")],
)
def test_what_is_no_evidence_on_the_version_is_refused(
    cli: Any,
    data: Path,
    versions: tuple[ModelVersion, ModelVersion],
    shown: Evidence,
    tmp_path: Path,
    text: bytes | None,
    said: str,
) -> None:
    """A file that is none, or on another version, decides nothing."""
    file = evidence_file(tmp_path / "e.json", shown, versions[0], versions[0])
    if text is not None:
        file.write_bytes(text)
    place = ("--data-dir", data, "--models-dir", tmp_path / "models")
    done = cli("models", "propose", versions[1].version, "--evidence", file, *WHY, *place)
    assert done.code == 2
    assert said in done.err
    assert cli("audit", "verify", "--data-dir", data).out.startswith("0 decisions")


def test_a_row_that_was_altered_in_the_journal_is_found(
    cli: Any, data: Path, versions: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    """Who rewrites one decision, or takes one out, is told on."""
    place = ("--data-dir", data, "--models-dir", tmp_path / "models")
    for reason in ("first", "second", "third"):
        assert cli("models", "promote", versions[0].version, "--reason", reason, *place).code == 0
    with closing(SqliteJournal(data, read_only=True)) as journal:
        [_, (_, _, second), _] = journal.decisions()
    decision = msgspec.structs.replace(decode_decision(second), who="somebody-else")
    with closing(sqlite3.connect(data / "journal.db")) as db:
        db.execute("UPDATE decisions SET decision = ? WHERE sequence = 2", (msgspec.json.encode(decision),))
        db.commit()
    done = cli("audit", "verify", "--data-dir", data)
    assert done.code == 1
    assert "record 3 names 1 records that are not before it" in done.err


def test_a_broken_limit_brings_the_former_champion_back_while_the_service_runs(
    cli: Any, versions: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    """Handed a finding, the command demotes and goes back, in force when it ends; a second time it does nothing."""
    former, bad = versions
    service = Service(tmp_path / "data", "--models-dir", str(tmp_path / "models"))
    place = ("--data-dir", tmp_path / "data", "--models-dir", tmp_path / "models")
    try:
        for one in (former, bad):
            assert cli("models", "promote", one.version, *WHY, "--data-dir", tmp_path / "data").code == 0
        finding = {
            "monitor": "calibration",
            "version": bad.version,
            "response": "demote",
            "at": 1,
            "figures": {"slope": 0.4},
        }
        (tmp_path / "f.json").write_text(json.dumps([finding]))
        done = cli("models", "respond", tmp_path / "f.json", *place)
        assert (done.code, done.err) == (0, "")
        assert done.out.count("and is in force") == 2
        assert f"In force: {former.version}." in done.out
        assert "Nothing to do" in cli("models", "respond", tmp_path / "f.json", *place).out
        status = cli("control", "status", "--data-dir", tmp_path / "data").out
        assert "demoted: NEWS2 alone" in status
        assert former.version in status.partition("Applied")[2]
        assert cli("audit", "verify", "--data-dir", tmp_path / "data").code == 0
    finally:
        service.stop()


def test_a_running_service_with_keys_refuses_an_unsigned_version(
    cli: Any, constant_version: MakeVersion, tmp_path: Path
) -> None:
    """Promoted over its folder, an unsigned version is refused with the reason; the signed one is taken."""
    key, signed, unsigned = generate_key(), constant_version(1.0), constant_version(2.0)
    kept(tmp_path / "models", signed, key)
    kept(tmp_path / "models", unsigned)
    (tmp_path / "w.toml").write_text(f'[live]\nversion_keys = ["{key.public}"]\n')
    options = ("--models-dir", str(tmp_path / "models"), "--config", str(tmp_path / "w.toml"))
    service = Service(tmp_path / "data", *options)
    try:
        done = cli("models", "promote", unsigned.version, *WHY, "--data-dir", tmp_path / "data")
        assert done.code == 2
        assert "it is not signed" in done.err
        assert cli("models", "promote", signed.version, *WHY, "--data-dir", tmp_path / "data").code == 0
        assert cli("audit", "verify", "--data-dir", tmp_path / "data").out.startswith("1 decisions")
    finally:
        service.stop()


# -- versions of a folder and the keys that a site trusts ------------------------------------------------------------


def test_with_trusted_keys_an_unsigned_version_is_not_at_hand(constant_version: MakeVersion, tmp_path: Path) -> None:
    """Unsigned, signed by a stranger, altered after signing, or with another version's signature: refused by name."""
    ours, strangers = generate_key(), generate_key()
    good, unsigned, foreign, altered, swapped = (constant_version(float(n)) for n in range(5))
    folder = tmp_path / "models"
    kept(folder, good, ours)
    kept(folder, unsigned)
    kept(folder, foreign, strangers)
    path = kept(folder, altered, ours)
    path.write_bytes(dump(msgspec.structs.replace(altered, intercept=9.0)))
    kept(folder, swapped)
    (folder / f"{swapped.version}.json.sig").write_bytes((folder / f"{good.version}.json.sig").read_bytes())
    found, wrong = load_versions(folder, [ours.public])
    shipped, _ = load_versions()
    assert set(found) == {good.version, *shipped}
    assert len(wrong) == 4
    assert found.refused[unsigned.version] == "it is not signed"
    assert "not among" in found.refused[foreign.version]
    everything, _ = load_versions(folder)
    assert len(everything) == len(shipped) + 5


def test_a_promotion_of_an_unsigned_version_is_refused_and_changes_nothing(
    constant_version: MakeVersion, tmp_path: Path
) -> None:
    """Decided over a service with trusted keys: refused with the reason, in shadow too; a signed one is taken."""
    from events import Promotion
    from stream.decisions import Decision

    key, signed, unsigned = generate_key(), constant_version(1.0), constant_version(2.0)
    kept(tmp_path, signed, key)
    kept(tmp_path, unsigned)
    deciding = Deciding((), load_versions(tmp_path, [key.public])[0])
    for enabled in (True, False):
        with pytest.raises(NoSuchVersionError, match=f"{unsigned.version[:8]} is refused: it is not signed"):
            deciding.record_of(Decision(Promotion(1, unsigned.version[:8], enabled), "role:x"), 1)
    assert (
        deciding.record_of(Decision(Promotion(1, signed.version[:8], enabled=True), "role:x"), 1).decision is not None
    )
    without = Deciding((), load_versions(tmp_path)[0])
    assert without.record_of(Decision(Promotion(1, unsigned.version, enabled=True), "role:x"), 1).decision is not None


def test_what_was_promoted_unsigned_does_not_speak_once_keys_are_trusted(
    cli: Any, new_ward: Callable[..., Any], constant_version: MakeVersion, tmp_path: Path
) -> None:
    """An unsigned version promoted over a stopped service is not at hand when it starts with keys: NEWS2 alone."""
    version = constant_version(6.0)
    kept(tmp_path / "models", version)
    folder = made_data(tmp_path / "data", Settings(), (version,))
    place = ("--data-dir", folder, "--models-dir", tmp_path / "models")
    assert cli("models", "promote", version.version, *WHY, *place).code == 0
    at_hand, _ = load_versions(tmp_path / "models", [generate_key().public])
    service = EmbeddedService(folder, Release(Settings(), "test", "", enabled=False), at_hand)
    assert service.host.pipeline.control.version == version.version
    assert service.host.pipeline.control.scorer is None
    service.close()


def test_the_plan_is_part_of_what_is_decided_and_the_default_leaves_old_names_alone() -> None:
    """A configuration without the table keeps its name; one with it has another, and is read back from the log."""
    assert "change_control" not in configuration_text(Settings())
    plan = parse_toml("[change_control]\nautomatic = true\ndays_min = 28\n")
    assert configuration_hash(plan) != configuration_hash(Settings())
    assert parse_json(configuration_text(plan)).change_control.days_min == 28


def test_a_plan_that_nobody_decided_is_not_in_force_over_the_live_service(tmp_path: Path) -> None:
    """Workers go by the defaults until a configuration is decided: so do the gates, the monitors and the levels."""
    file = tmp_path / "wardstream.toml"
    file.write_text(AUTOMATIC_PLAN)
    decisions = Decisions()
    assert read_site(file).settings.change_control.automatic
    assert settings_of(Place(file, None), decisions) == Settings()
    company = company_of(read_site(file), OutcomeDefinition(), None, "", structlog.get_logger(), 1.0)
    begun = [settings_in_force(decisions, vars(one)["_settings"]) for one in company.companions]
    assert begun == [Settings(), Settings()]


def test_evidence_at_other_levels_than_the_wards_is_refused(
    cli: Any, data: Path, versions: tuple[ModelVersion, ModelVersion], shown: Evidence, tmp_path: Path
) -> None:
    """Weighed at a level that nothing reaches, every gate on alerts and sensitivity would pass: nothing is decided."""
    champion, challenger = versions
    place = ("--data-dir", data, "--models-dir", tmp_path / "models")
    assert cli("models", "promote", champion.version, *WHY, *place).code == 0
    deaf = msgspec.structs.replace(shown, raise_at=0.99, clear_at=0.98)
    file = evidence_file(tmp_path / "e.json", deaf, champion, challenger)
    done = cli("models", "propose", challenger.version, "--evidence", file, *WHY, *place)
    assert done.code != 0
    assert "the evidence is at 0.99 and 0.98, wards are told at 0.1 and 0.07" in done.err
    assert json.loads(cli("models", "review", "--data-dir", data, "--json").out)["champion"] == champion.version


@pytest.mark.parametrize("what", ["deep", "folder", "pipe", "nowhere", "deep signature", "signature is a folder"])
def test_a_file_that_cannot_be_read_is_left_out_and_the_others_load(
    shipped: ModelVersion, tmp_path: Path, what: str
) -> None:
    """Whoever may put a file in the folder cannot keep a service with trusted keys from starting."""
    key = generate_key()
    good = kept(tmp_path, ensemble(shipped, -3.0), key)
    bad = tmp_path / "bad.json"
    if what == "deep":
        bad.write_bytes(b'{"x":' + b"[" * 200_000)
    elif what == "folder":
        bad.mkdir()
    elif what == "pipe":
        os.mkfifo(bad)
    elif what == "nowhere":
        bad.symlink_to(tmp_path / "nowhere")
    else:
        bad.write_bytes(dump(ensemble(shipped, -2.0)))
        signature = tmp_path / "bad.json.sig"
        signature.write_bytes(b'{"x":' + b"[" * 4_000) if what == "deep signature" else signature.mkdir()
    found, wrong = load_versions(tmp_path, (key.public,))
    assert good.stem in found
    assert len(wrong) == 1
    assert wrong[0].startswith("bad.json: ")


def test_an_unsigned_version_does_not_replace_one_whose_id_it_has(
    shipped: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twelve digits of an id can be hit on purpose: the content decides."""
    monkeypatch.setattr(ModelVersion, "version", property(lambda _self: "a" * 12))
    kept(tmp_path, ensemble(shipped, -3.0))
    found, wrong = load_versions(tmp_path, (generate_key().public,))
    assert found["a" * 12].digest == shipped.digest
    assert "another version has the id" in wrong[0]
