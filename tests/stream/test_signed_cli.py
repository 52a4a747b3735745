"""Signed decisions at the command line, over an embedded service, stopped and running."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.signing import KeyPair
from connectors.sqlite.journal import SqliteJournal
from events import Promotion
from models.evidence import Evidence
from models.version import ModelVersion
from stream.cli.folder import folder_decisions
from stream.decision_keys import DecisionKey
from stream.decisions import START, Decision, encode_decision
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings, parse_toml
from tests.models.change_cases import cohort, weighed
from tests.stream.signed_cases import MACHINE_ROLE, NOW, OFFICER, OFFICER_KEY, STRANGER
from tests.stream.test_promotion_cli import ensemble, evidence_file, kept, made_data
from tests.stream.test_run import Service

WHY = ("--reason", "weekly", "--as", OFFICER)
ROLES = ("safety-officer", "wardstream:change-control", "wardstream:monitor", "evidence")


def toml(name: str = "officer", key: KeyPair = OFFICER_KEY, roles: tuple[str, ...] = ROLES) -> str:
    """Declare a key."""
    return f'[decision_keys.{name}]\npublic_key = "{key.public}"\nroles = {json.dumps(roles)}\n'


@pytest.fixture(scope="module")
def shown() -> Evidence:
    """Give evidence that passes every gate."""
    return weighed(cohort(patients=900))


class Ward:
    """A folder with two versions, the keys of two people, and the way to decide over it."""

    def __init__(self, cli: Any, folder: Path, shipped: ModelVersion) -> None:
        """Make both versions and both keys."""
        self.cli, self.folder, self.data = cli, folder, folder / "data"
        self.former, self.other = ensemble(shipped, -3.0), ensemble(shipped, -2.9)
        for one in (self.former, self.other):
            kept(folder / "models", one)
        self.key, self.strangers = folder / "officer.pem", folder / "stranger.pem"
        self.key.write_bytes(OFFICER_KEY.private_pem)
        self.strangers.write_bytes(STRANGER.private_pem)
        self.models = ("--models-dir", folder / "models")

    def made(self, text: str = "") -> Ward:
        """Run the service once."""
        made_data(self.data, parse_toml(text), (self.former, self.other))
        return self

    def decide(self, *words: object, key: Path | None = None, models: bool = False) -> Any:
        """Run a command over the folder."""
        signed = () if key is None else ("--key", key)
        return self.cli(*words, *WHY, *signed, "--data-dir", self.data, *(self.models if models else ()))

    def declare(self, text: str | None = None) -> Ward:
        """Declare the officer's key, by a configuration."""
        (self.folder / "keys.toml").write_text(toml() if text is None else text)
        done = self.decide("control", "configure", self.folder / "keys.toml", key=self.key)
        assert (done.code, done.err) == (0, "")
        return self

    def sequences(self) -> int:
        """Give how many decisions the journal has."""
        with closing(SqliteJournal(self.data, read_only=True)) as journal:
            return len(list(journal.decisions()))


@pytest.fixture
def ward(cli: Any, tmp_path: Path, shipped: ModelVersion) -> Ward:
    """Give a folder of a service."""
    return Ward(cli, tmp_path, shipped)


def louder_commands(ward: Ward) -> list[tuple[object, ...]]:
    """Give the commands that may make the model say more."""
    return [
        ("models", "promote", ward.former.version, *ward.models),
        ("models", "restore", ward.former.version),
        ("control", "kill-switch", "release"),
        ("control", "configure", ward.folder / "keys.toml"),
    ]


def test_what_is_not_signed_is_refused_at_once_with_what_to_do(ward: Ward) -> None:
    """Nothing is written; the answer names who may sign, and what can be done without a key."""
    ward.made().declare()
    for words in louder_commands(ward):
        for key in (None, ward.strangers):
            done = ward.decide(*words, key=key)
            assert done.code == 2, words
            assert "Give --key FILE, the private key of one of: officer (as safety-officer," in done.err
            assert "Without one: engage the kill switch" in done.err
    assert ward.sequences() == 1
    for words in louder_commands(ward):
        assert (ward.decide(*words, key=ward.key).code, words) == (0, words)
    verified = ward.cli("audit", "verify", "--data-dir", ward.data)
    assert (verified.code, verified.err) == (0, "")
    assert "as safety-officer, wardstream:change-control, wardstream:monitor, evidence): 4" in verified.out
    assert "Not signed, and in force (before any key was declared): 1" in verified.out


def test_what_makes_the_model_say_less_needs_no_key(ward: Ward) -> None:
    """Kill switch, hold, demotion, shadow, NEWS2 alone, and going back to those: decided at once, unsigned."""
    ward.made().declare()
    assert ward.decide("models", "promote", ward.former.version, key=ward.key, models=True).code == 0
    for words in (
        ("models", "hold", ward.former.version),
        ("models", "demote", ward.former.version),
        ("models", "promote", ward.other.version, "--shadow", *ward.models),
        ("models", "promote", "none"),
        ("control", "kill-switch", "engage"),
        ("models", "rollback", *ward.models),
    ):
        done = ward.decide(*words)
        assert (done.code, done.err, words) == (0, "", words)
    assert ward.decide("models", "rollback", *ward.models).code == 2
    assert ward.decide("models", "rollback", *ward.models, key=ward.key).code == 0
    verified = ward.cli("audit", "verify", "--data-dir", ward.data)
    assert verified.code == 0
    assert "needs none: it makes the model say less): 6" in verified.out


@pytest.mark.parametrize("name", ["gone.pem", "models"])
def test_a_key_file_that_is_not_there_keeps_nothing_back_that_silences(ward: Ward, name: str) -> None:
    """A stick that is not plugged in, in a night of false alarms: decided unsigned; what speaks is refused."""
    ward.made().declare()
    gone = ward.folder / name
    for words in (("control", "kill-switch", "engage"), ("models", "demote", ward.former.version)):
        done = ward.decide(*words, key=gone)
        assert (done.code, words) == (0, words)
        assert f"{name}: cannot be read" in done.err
    for louder in louder_commands(ward):
        assert ward.decide(*louder, key=gone).code == 2
    assert ward.sequences() == 3


def test_a_key_that_cannot_be_used_keeps_no_kill_switch_back(ward: Ward) -> None:
    """Engaged it is decided unsigned, with a warning; released it is refused."""
    ward.made().declare()
    broken = ward.folder / "broken.pem"
    broken.write_text("no key")
    engaged = ward.decide("control", "kill-switch", "engage", key=broken)
    assert engaged.code == 0
    assert "It is decided unsigned" in engaged.err
    assert ward.decide("control", "kill-switch", "release", key=broken).code == 2
    assert folder_decisions(ward.data).kill_switch


def test_a_running_service_refuses_what_is_not_signed_and_takes_what_is(ward: Ward) -> None:
    """Over its socket: refused with the reason and logged; signed, it is in force when the command ends."""
    service = Service(ward.data, *map(str, ward.models))
    try:
        ward.declare()
        refused = ward.decide("models", "promote", ward.former.version)
        assert refused.code == 2
        assert "it is not signed" in refused.err
        assert "and is in force" in ward.decide("control", "kill-switch", "engage").out
        assert ward.decide("control", "kill-switch", "release").code == 2
        assert "and is in force" in ward.decide("control", "kill-switch", "release", key=ward.key).out
        assert "and is in force" in ward.decide("models", "promote", ward.former.version, key=ward.key).out
        status = ward.cli("control", "status", "--data-dir", ward.data)
        assert (status.code, status.err) == (0, "")
        assert "to be signed by officer" in " ".join(status.out.split())
    finally:
        assert service.stop() == 0
    logged = [(one["kind"], one["reason"]) for one in service.logs() if one["event"] == "decision_refused"]
    assert logged == [("Promotion", "unsigned"), ("KillSwitch", "unsigned")]


def test_a_replay_of_a_service_with_keys_says_the_same(ward: Ward) -> None:
    """The log holds what counts, and nothing else: its replay has the digest of what was put out."""
    ward.made().declare()
    assert ward.decide("models", "promote", ward.former.version, models=True).code == 2
    assert ward.decide("models", "promote", ward.former.version, key=ward.key, models=True).code == 0
    versions = {one.version: one for one in (ward.former, ward.other)}
    settings = parse_toml(toml())
    service = EmbeddedService(ward.data, Release(settings, "test", ward.former.version, enabled=True), versions)
    digest = service.digest()
    service.close()
    out = ward.folder / "out"
    done = ward.cli("replay", f"journal:{ward.data}", *ward.models, "--out", out, "--quiet")
    assert done.code == 0, done.err
    assert (out / "digest.txt").read_text().strip() == digest


def test_a_row_put_into_the_journal_is_told_as_having_had_its_effect(ward: Ward) -> None:
    """Whoever writes the journal goes round the service: `audit verify` ends with 1 and names it."""
    ward.made().declare()
    tips = folder_decisions(ward.data).chain.tips
    forged = Decision(Promotion(NOW, ward.former.version, enabled=True), OFFICER, "all is well", previous=tips)
    with closing(sqlite3.connect(ward.data / "journal.db")) as db:
        db.execute("INSERT INTO decisions SELECT 2, received_time, ? FROM decisions", (encode_decision(forged),))
        db.commit()
    verified = ward.cli("audit", "verify", "--data-dir", ward.data)
    assert verified.code == 1
    assert "decision 2 (version" in verified.err
    assert "it is not signed; it was put into the journal, and had its effect" in verified.err
    changed = ward.cli("changed", "--since", "2000-01-01T00:00:00Z", "--data-dir", ward.data, "--json")
    lines = [json.loads(line) for line in changed.out.splitlines()]
    assert [(one["kind"], one["refused"]) for one in lines][1:] == [("Promotion", "it is not signed")]


def test_the_first_keys_are_declared_by_who_holds_one(ward: Ward) -> None:
    """Keys that nobody shows to hold are refused: what nobody can sign for could never be taken back."""
    ward.made()
    file = ward.folder / "keys.toml"
    file.write_text(toml())
    configure = ("control", "configure", file)
    said = "nobody has shown to hold one of the [decision_keys]"
    assert said in ward.decide(*configure).err
    assert said in ward.decide(*configure, key=ward.strangers).err
    file.write_text(toml(roles=("evidence", "wardstream:monitor")))
    assert said in ward.decide(*configure, key=ward.key).err
    assert ward.sequences() == 0
    ward.declare()


def test_keys_are_handed_over_to_who_holds_the_next(ward: Ward) -> None:
    """A table that keeps none of the keys in force is refused, unless a new one is shown: a typing error shuts out."""
    ward.made().declare()
    file = ward.folder / "keys.toml"
    file.write_text(toml("night", STRANGER))
    configure = ("control", "configure", file)
    assert "keep one that is in force" in ward.decide(*configure, key=ward.key).err
    assert ward.decide(*configure, "--new-key", ward.key, key=ward.key).code == 2
    assert ward.decide(*configure, "--new-key", ward.strangers).code == 2
    assert ward.decide(*configure, "--new-key", ward.strangers, key=ward.key).code == 0
    assert set(folder_decisions(ward.data).keys) == {"night"}
    file.write_text(toml("night", STRANGER) + toml())
    assert ward.decide(*configure, key=ward.strangers).code == 0


def test_keys_are_not_dropped_unsaid(ward: Ward) -> None:
    """A configuration without the table is refused; with --drop-keys, signed, nobody need sign any more."""
    ward.made().declare()
    file = ward.folder / "none.toml"
    file.write_text("")
    assert "copy them into it" in ward.decide("control", "configure", file, key=ward.key).err
    assert ward.decide("control", "configure", file, "--drop-keys").code == 2
    assert ward.decide("control", "configure", file, "--drop-keys", key=ward.key).code == 0
    assert ward.decide("control", "kill-switch", "release").code == 0


def test_a_start_declares_other_keys_and_drops_none(ward: Ward) -> None:
    """The file of the start is where a site looks: its keys count, are in the chain, and one without keeps them."""
    warned: list[str] = []

    def start(settings: Settings) -> dict[str, DecisionKey]:
        versions = {one.version: one for one in (ward.former, ward.other)}
        release = Release(settings, "test", "", enabled=False)
        EmbeddedService(ward.data, release, versions, warn=warned.append).close()
        return dict(folder_decisions(ward.data).keys)

    ward.made()
    assert set(start(parse_toml(toml()))) == {"officer"}
    assert "officer may sign" in warned[-1]
    assert ward.decide("models", "promote", ward.former.version, models=True).code == 2
    assert ward.decide("models", "promote", ward.former.version, key=ward.key, models=True).code == 0
    assert set(start(parse_toml(toml()))) == {"officer"}
    assert ward.sequences() == 2
    assert set(start(Settings())) == {"officer"}
    assert "those declared before stay in force (officer)" in warned[-1]
    assert set(start(parse_toml(toml("night", STRANGER)))) == {"night"}
    kept_ones = folder_decisions(ward.data).kept()
    assert [one.decision.who for one in kept_ones] == [START, OFFICER, START]
    assert ward.cli("audit", "verify", "--data-dir", ward.data).code == 0
    service = EmbeddedService(ward.data, Release(Settings(), "test", "", enabled=False), {})
    assert service.host.pipeline.control.version == ward.former.version
    service.close()


def test_nobody_decides_in_the_role_of_a_start(ward: Ward) -> None:
    """Over the folder that role is refused, whatever is decided."""
    ward.made().declare()
    file = ward.folder / "keys.toml"
    file.write_text(toml("night", STRANGER))
    shown = ("--new-key", ward.strangers)
    done = ward.cli("control", "configure", file, *shown, "--as", START, "--data-dir", ward.data)
    assert done.code == 2
    assert "the service's own role" in done.err


def test_what_is_signed_names_a_version_by_its_whole_id(ward: Ward) -> None:
    """The beginning of an id is enough where its folder is named; else the whole is asked for."""
    ward.made().declare()
    short = ward.former.version[:6]
    refused = ward.decide("models", "promote", short, key=ward.key)
    assert refused.code == 2
    assert "by its whole id" in refused.err
    assert ward.decide("models", "promote", short, key=ward.key, models=True).code == 0


def test_evidence_is_weighed_signed_and_what_is_unsigned_or_altered_is_refused(ward: Ward, shown: Evidence) -> None:
    """With keys in force, evidence needs a signature by a key with that role: over its figures, not its file."""
    plan = "[change_control]\nautomatic = true\n"
    ward.made().declare(plan + toml())
    assert ward.decide("models", "promote", ward.former.version, key=ward.key, models=True).code == 0
    file = evidence_file(ward.folder / "e.json", shown, ward.former, ward.other)
    propose = ("models", "propose", ward.other.version, "--evidence", file)
    unsigned = ward.decide(*propose, key=ward.key, models=True)
    assert unsigned.code == 2
    assert "there is no e.json.sig" in unsigned.err
    signed(file, ward.strangers)
    assert "its key is not among" in ward.decide(*propose, key=ward.key, models=True).err
    signed(file, ward.key)
    assert "it is not signed" in ward.decide(*propose, models=True).err
    good = file.read_bytes()
    file.write_bytes(good.replace(b'"flips":0.', b'"flips":0.0', 1))
    altered = ward.decide(*propose, key=ward.key, models=True)
    assert "altered after signing" in altered.err
    assert ward.sequences() == 2
    file.write_bytes(b'{"change_control":' + good + b"}")
    done = ward.decide(*propose, key=ward.key, models=True)
    assert (done.code, done.err) == (0, "")
    kept_ones = folder_decisions(ward.data).kept()
    assert kept_ones[2].decision.figures["evidence signed by"] == "officer"
    assert [one.decision.who for one in kept_ones[3:]] == [MACHINE_ROLE, MACHINE_ROLE]
    assert folder_decisions(ward.data).book.signed == {"officer": 4}


def signed(file: Path, key: Path) -> None:
    """Sign evidence as `models weigh --key` does."""
    from models.evidence import load_evidence
    from stream.cli.evidence_file import write_evidence

    evidence = load_evidence(file.read_bytes())
    before = file.read_bytes()
    write_evidence(file, evidence, key.read_bytes())
    file.write_bytes(before)


def test_a_key_without_the_role_proposes_nothing(ward: Ward, shown: Evidence) -> None:
    """Whose key may not speak for the gates leaves no half of a proposal behind."""
    ward.made().declare(toml(roles=("safety-officer", "evidence")))
    file = evidence_file(ward.folder / "e.json", shown, ward.former, ward.other)
    about = msgspec.structs.replace(shown, champion="news2", challenger=ward.other.version)
    file.write_bytes(msgspec.json.encode(about))
    signed(file, ward.key)
    done = ward.decide("models", "propose", ward.other.version, "--evidence", file, key=ward.key, models=True)
    assert done.code == 2
    assert "Name a role that the key has" in done.err
    assert ward.sequences() == 1


def test_what_the_evidence_calls_usual_is_the_versions_to_say(ward: Ward, shown: Evidence) -> None:
    """A file that calls a poisoned rate usual, or hides how the champion ranked, is refused; without keys too."""
    ward.made()
    assert ward.decide("models", "promote", ward.former.version, models=True).code == 0
    for changed in ({"usual_rate": 0.2}, {"usual_auroc": 0.5}):
        file = evidence_file(ward.folder / "e.json", msgspec.structs.replace(shown, **changed), ward.former, ward.other)
        done = ward.decide("models", "propose", ward.other.version, "--evidence", file, models=True)
        assert done.code == 2
        assert "weigh it anew beside that version" in done.err
    assert ward.sequences() == 1


def test_a_demotion_stands_where_coming_back_lacks_a_key(ward: Ward) -> None:
    """`models respond` without a key takes the version out of force; with one the former champion comes back."""
    for key in (None, ward.key):
        ward.data = ward.folder / f"data-{key is None}"
        ward.made().declare()
        for one in (ward.former, ward.other):
            assert ward.decide("models", "promote", one.version, key=ward.key, models=True).code == 0
        finding = {"monitor": "m", "version": ward.other.version, "response": "demote", "at": 1, "figures": {}}
        (ward.folder / "f.json").write_text(json.dumps([finding]))
        options = () if key is None else ("--key", key)
        place = ("--data-dir", ward.data, *ward.models)
        done = ward.cli("models", "respond", ward.folder / "f.json", *options, *place)
        assert done.code == 0
        assert ("In force: NEWS2 alone" in done.out) == (key is None)
        assert ("that needs --key" in done.err) == (key is None)
        assert (f"In force: {ward.former.version}" in done.out) == (key is not None)
