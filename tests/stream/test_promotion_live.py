"""Change control on the live service: one chain on `control.v1`, and what was slipped in is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from connectors.redis.settings import RedisSettings
from events import KillSwitch
from models.change_control import MonitorFinding
from models.evidence import dump_evidence
from models.version import ModelVersion
from stream.cli.deciding import send
from stream.cli.options import read_site
from stream.decisions import Decision, encode_decision
from stream.live.findings import changes, finding_key
from tests.models.change_cases import cohort, weighed
from tests.stream.test_cli_control import site, trust
from tests.stream.test_promotion_cli import WHY, ensemble, kept

__all__ = ["site"]


def test_a_challenger_is_promoted_demoted_by_a_monitor_and_the_chain_tells_of_a_forged_record(
    cli: Any, site: Path, kafka: KafkaSettings, redis_settings: RedisSettings, shipped: ModelVersion, tmp_path: Path
) -> None:
    """Proposed, promoted by itself, taken out again by a finding: the chain is whole; one forged later is named."""
    trust(cli, site, kafka, redis_settings, tmp_path / "key.pem")
    site.write_text(site.read_text() + "[change_control]\nautomatic = true\n")
    assert cli("control", "configure", site, *WHY).code == 0
    champion, challenger = ensemble(shipped, -3.0), ensemble(shipped, -2.9)
    for one in (champion, challenger):
        file = kept(tmp_path / "models", one)
        assert cli("models", "publish", file, "--key", tmp_path / "key.pem", "--config", site).code == 0
    assert cli("models", "promote", champion.version, *WHY, "--config", site).code == 0
    about = msgspec.structs.replace(
        weighed(cohort(patients=900)), champion=champion.version, challenger=challenger.version
    )
    (tmp_path / "e.json").write_bytes(dump_evidence(about))
    done = cli("models", "propose", challenger.version, "--evidence", tmp_path / "e.json", *WHY, "--config", site)
    assert (done.code, done.err) == (0, "")
    assert json.loads(cli("models", "review", "--json", "--config", site).out)["champion"] == challenger.version
    finding = {"monitor": "calibration", "version": challenger.version, "response": "demote", "at": 1, "figures": {}}
    (tmp_path / "f.json").write_text(json.dumps([finding]))
    assert f"In force: {champion.version}." in cli("models", "respond", tmp_path / "f.json", "--config", site).out
    verified = cli("audit", "verify", "--config", site)
    assert (verified.code, verified.err) == (0, "")
    assert verified.out.startswith("7 decisions, 1 before the chain begins.")
    forged = Decision(KillSwitch(1, engaged=False), "safety-officer", "all is well")
    send(read_site(site), Record(CONTROL, b"killswitch", encode_decision(forged)))
    told = cli("audit", "verify", "--config", site)
    assert told.code == 1
    assert "record 8 names none before it" in told.err


def test_what_a_monitor_holds_is_shown_and_stops_a_proposal(
    cli: Any, site: Path, kafka: KafkaSettings, redis_settings: RedisSettings, shipped: ModelVersion, tmp_path: Path
) -> None:
    """A finding that stands on findings.v1 fails the gate `monitors`; once it has passed, the same evidence passes."""
    trust(cli, site, kafka, redis_settings, tmp_path / "key.pem")
    champion, challenger = ensemble(shipped, -3.0), ensemble(shipped, -2.9)
    for one in (champion, challenger):
        file = kept(tmp_path / "models", one)
        assert cli("models", "publish", file, "--key", tmp_path / "key.pem", "--config", site).code == 0
    assert cli("models", "promote", champion.version, *WHY, "--config", site).code == 0
    finding = MonitorFinding(
        monitor="calibration",
        version=champion.version,
        response="hold_promotion",
        at=1_800_000_000_000,
        figures={"subject": "all", "level": "serious"},
    )
    [begun] = changes({}, [finding])
    send(read_site(site), begun)
    about = msgspec.structs.replace(
        weighed(cohort(patients=900)), champion=champion.version, challenger=challenger.version
    )
    (tmp_path / "e.json").write_bytes(dump_evidence(about))
    propose = ("models", "propose", challenger.version, "--evidence", tmp_path / "e.json", *WHY, "--config", site)
    assert "in alarm: calibration" in " ".join(cli(*propose).out.split())
    review = cli("models", "review", "--config", site)
    assert f"In alarm since 2027-01-15T08:00:00Z: calibration all of {champion.version}: hold_promotion" in review.out
    [ended] = changes({finding_key(finding): finding}, [])
    send(read_site(site), ended)
    done = cli(*propose)
    assert (done.code, done.err) == (0, "")
    assert "awaits a person" in done.out
