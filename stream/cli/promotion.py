"""`wardstream models weigh / propose / respond`: a challenger on its way, and what monitors find of a version.

Owns the three commands, for the live service and for an embedded one. Must not know how a gate judges, nor what a
promotion comes to. The plan is the one in force: `[change_control]` of the configuration that was decided last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.table import Table

from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.deciding import (
    Place,
    check_ready,
    decide,
    key_option,
    password,
    place_options,
    read_decisions,
    read_versions,
    reason_option,
    who_option,
)
from stream.cli.evidence_file import check_usual, read_evidence, signer_of_evidence, write_evidence
from stream.cli.key_file import read_key
from stream.cli.options import config_option, models_folder_option, read_settings
from stream.clock import wall_ms
from stream.settings import ConfigurationError, Settings, parse_json

if TYPE_CHECKING:
    from models.change_control import Gate, Judgement, MonitorFinding
    from models.change_plan import ChangePlan
    from models.evidence import Evidence
    from models.version import ModelVersion
    from stream.decisions import Decisions

PROPOSE_HELP = """Propose a version for promotion, with the evidence on it, and let the declared gates judge.

VERSION is an id or the beginning of one, signed and at hand. The evidence is a file of `wardstream models weigh`, or an
evaluation.json that holds it. Both steps, the proposal and what each gate said, are kept for good in the chain of
decisions. A version that passes every gate awaits a person (`wardstream models promote`); only where
[change_control] automatic = true, and nothing but the weights differs from the champion, it is promoted at once.
Where [decision_keys] are in force, the evidence must be signed (`models weigh --key`), and --key signs the steps: its
key needs your role and `wardstream:change-control`, in whose name the gates judge.
Exit 1 where it is stopped or something is lacking.

\b
Examples:
  wardstream models propose 4f1c --evidence evidence.json --config wardstream.toml --as data-scientist
  wardstream models propose 4f1c --evidence evidence.json --data-dir ward/ --models-dir versions/
"""
WEIGH_HELP = """Weigh a version beside the champion, on rows that it had not learned: writes the evidence.

Rows are those of `wardstream rows`. Rows whose label was known while the version learned are left out: where nothing is
left, there is no evidence. Without --champion it is weighed beside NEWS2's totals. --key signs it (a key with the role
`evidence`).

\b
Example:
  wardstream models weigh 4f1c --champion a60d --rows rows.parquet --models-dir versions/ --out evidence.json
"""
RESPOND_HELP = """Do what monitors found to be necessary: a version whose limit is broken is taken out of force.

FILE is a JSON list of findings: monitor, version, response, at (ms), figures. One whose response is `demote` leaves
NEWS2 alone at once, and then the last champion in good standing comes back, where one is at hand. Both are kept with
the monitor's figures; where [decision_keys] are in force the second needs --key (role `wardstream:monitor`). The rest
decides nothing here (`hold_promotion`: see `models propose --findings`). A person lifts
a demotion: `wardstream models restore`.

\b
Example:
  wardstream models respond findings.json --config wardstream.toml
"""
SIGNS = {"passed": "passed", "lacking": "LACKING", "failed": "FAILED"}
VERDICT_WORDS = {
    "automatic": "Every gate passed, inside the envelope: promoted without a person.",
    "awaits_signature": "Every gate passed: it awaits a person's signature.",
    "lacking": "Too little was seen to say: gather more, then propose it again.",
    "stopped": "Stopped: it is not to be put in force.",
}


@click.command("weigh", help=WEIGH_HELP)
@click.argument("version")
@click.option("--champion", "champion_name", default="none", help="The version in force; `none` is NEWS2 alone.")
@click.option(
    "--rows", "rows_path", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Parquet."
)
@click.option("--out", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@click.option(
    "--key",
    "key_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sign the evidence with this private key (of `models keygen`): writes FILE.sig beside it.",
)
@models_folder_option
@config_option
def weigh_command(
    version: str,
    champion_name: str,
    rows_path: Path,
    path: Path,
    key_path: Path | None,
    models_dir: Path | None,
    config_path: Path | None,
) -> int:
    """Weigh a version."""
    from rich.progress import Progress

    from models.evidence import EvidenceError
    from models.weighing import Levels
    from stream.versions import choose_version, load_versions
    from stream.weighing import RowsError, weigh_file

    key = None if key_path is None else read_key(key_path)
    versions, wrong = load_versions(models_dir)
    for line in wrong:
        click.echo(f"Warning: left out {line}", err=True)
    chosen, champion = choose_version(version, versions), choose_version(champion_name, versions)
    if not chosen:
        raise ConfigurationError("NEWS2 alone is no version that could be weighed")
    levels = Levels(*read_settings(config_path).guardrails.thresholds_of("", chosen))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rows", total=None)
        try:
            found = weigh_file(
                rows_path,
                versions[chosen],
                versions[champion] if champion else None,
                levels,
                lambda rows: progress.advance(task, rows),
            )
        except (EvidenceError, RowsError) as error:
            raise ConfigurationError(str(error)) from None
    write_evidence(path, found.evidence, key)
    click.echo(
        f"{path}: {found.evidence.rows:,} rows of {found.evidence.patients:,} patients; left out {found.learned:,} "
        f"that it may have learned and {found.unusable:,} that one of the two does not score."
    )
    return EXIT_DONE


@click.command("propose", help=PROPOSE_HELP)
@click.argument("version")
@click.option(
    "--evidence",
    "evidence_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The evidence on it beside the champion.",
)
@click.option(
    "--findings",
    "findings_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="More of what is in alarm now: a JSON list (monitor, version, response, at, figures).",
)
@models_folder_option
@who_option
@reason_option
@key_option
@place_options
def propose(
    version: str,
    evidence_path: Path,
    findings_path: Path | None,
    models_dir: Path | None,
    who: str,
    reason: str,
    key_path: Path | None,
    place: Place,
) -> int:
    """Propose a version."""
    from models.change_control import judge
    from stream.promotion import alarms, champion_of, judged, pedigree_of, promotion, proposed
    from stream.versions import choose_version

    evidence, findings = read_evidence(evidence_path), (*_read_findings(findings_path), *standing_findings(place))
    versions, decisions = _versions(place, models_dir), read_decisions(place)
    chosen = choose_version(version, versions)
    if not chosen:
        raise ConfigurationError("NEWS2 alone needs no gate: `wardstream models promote none`")
    if evidence.challenger != chosen:
        raise ConfigurationError(f"{evidence_path.name} is on version {evidence.challenger}, not on {chosen}")
    champion = champion_of(decisions)
    if champion and champion not in versions:
        raise ConfigurationError(f"the champion {champion} is not at hand here: name its folder by --models-dir")
    signed_by = signer_of_evidence(evidence_path, evidence, decisions)
    in_force = versions[champion] if champion else None
    check_usual(evidence, in_force, versions[chosen])
    _check_levels(evidence, settings_of(place, decisions), chosen)
    plan, at = plan_of(place, decisions), wall_ms()
    judgement = judge(
        plan,
        evidence,
        pedigree_of(in_force) if in_force is not None else None,
        pedigree_of(versions[chosen]),
        (*findings, *alarms(decisions, plan, chosen, at)),
    )
    steps = [proposed(evidence, at, who, reason, signed_by), judged(judgement, at)]
    check_ready(decisions, steps, key_path)
    for step in steps:
        decide(place, step, models_dir, key_path)
    _show_judgement(judgement)
    if judgement.verdict == "automatic":
        decide(place, promotion(judgement, read_decisions(place), at), models_dir, key_path)
    elif judgement.verdict == "awaits_signature":
        click.echo(f"To put it in force: wardstream models promote {chosen} {place.option} --as ROLE --reason WHY")
    return EXIT_DONE if judgement.passed else EXIT_FAILED


@click.command("respond", help=RESPOND_HELP)
@click.argument("findings_path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@models_folder_option
@key_option
@place_options
def respond(findings_path: Path, models_dir: Path | None, key_path: Path | None, place: Place) -> int:
    """Take out of force what a monitor found wanting."""
    from stream.control import usable
    from stream.promotion import champion_of, demotion

    versions, changed = _versions(place, models_dir), 0
    for finding in _read_findings(findings_path):
        for decision in demotion(read_decisions(place), finding, lambda name: usable(versions, name) is not None):
            if key_path is None and read_decisions(place).demands(decision):
                click.echo("No former champion comes back: that needs --key. NEWS2 is alone.", err=True)
                break
            click.echo(f"{decision.reason}: {decision.figures}")
            decide(place, decision, models_dir, key_path)
            changed += 1
    if changed:
        click.echo(f"In force: {champion_of(read_decisions(place)) or 'NEWS2 alone'}.")
    else:
        click.echo("Nothing to do: no version in force broke a limit, or it is out of force already.")
    return EXIT_DONE


def plan_of(place: Place, decisions: Decisions) -> ChangePlan:
    """Give the plan in force."""
    return settings_of(place, decisions).change_control


def settings_of(place: Place, decisions: Decisions) -> Settings:
    """Give the configuration in force: the one decided last; else the live service's defaults, or the folder's own."""
    if decisions.settings is not None:
        return decisions.settings
    # Workers go by the defaults until one is decided: what a command's own file says is nobody's decision.
    return Settings() if place.folder is None else _folder_settings(place.folder)


def _check_levels(evidence: Evidence, settings: Settings, version: str) -> None:
    """Refuse evidence at other levels than a ward would be told at: its burden and sensitivity are of no ward."""
    declared, weighed = settings.guardrails.thresholds_of("", version), (evidence.raise_at, evidence.clear_at)
    if weighed != declared:
        raise ConfigurationError(
            f"the evidence is at {weighed[0]:g} and {weighed[1]:g}, wards are told at {declared[0]:g} and "
            f"{declared[1]:g}: weigh it anew with --config of the configuration in force"
        )


def _folder_settings(folder: Path) -> Settings:
    """Give the configuration that an embedded service's states have; the defaults where there are none yet."""
    from connectors.sqlite.state_store import SqliteStateStore
    from stream.control import read_control
    from stream.fold import CONTROL_KEY
    from stream.states import STATE_FILE

    path = folder / STATE_FILE
    if not path.exists():
        return Settings()
    with SqliteStateStore(path, read_only=True) as store:
        data = store.load([CONTROL_KEY]).get(CONTROL_KEY)
    stored = None if data is None else read_control(data)
    return parse_json(stored.configuration) if stored is not None and stored.configuration else Settings()


def _versions(place: Place, models_dir: Path | None) -> Mapping[str, ModelVersion]:
    """Give the versions that the service has, as far as a command can know."""
    from stream.versions import load_versions

    if place.folder is None:
        return read_versions(place.site())
    versions, wrong = load_versions(models_dir)
    for line in wrong:
        click.echo(f"Warning: left out {line}", err=True)
    return versions


def _read_findings(path: Path | None) -> tuple[MonitorFinding, ...]:
    from models.change_control import MonitorFinding

    if path is None:
        return ()
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[MonitorFinding, ...])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name}: {error}") from None


def standing_findings(place: Place) -> tuple[MonitorFinding, ...]:
    """Give what the live service's monitors have in alarm; raises `BrokerError`. An embedded service has none."""
    from stream.live.findings import read_findings

    return () if place.folder is not None else asyncio.run(read_findings(place.site().kafka, password()))


def _show_judgement(judgement: Judgement) -> None:
    Console().print(gate_table(judgement.gates))
    for words in judgement.outside:
        click.echo(f"Outside the envelope: {words}.")
    click.echo(VERDICT_WORDS[judgement.verdict])


def gate_table(gates: tuple[Gate, ...]) -> Table:
    """Show what the gates said."""
    table = Table("gate", "result", "numbers and bounds")
    for gate in gates:
        table.add_row(gate.name, SIGNS[gate.state], gate.words)
    return table
