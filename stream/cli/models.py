"""`wardstream models`: which versions there are, what one is made of, training a first one, and the live service's.

Owns the group and the commands that need no live service; `live_models` has the others. Must not know how a version
scores.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from stream.cli import EXIT_DONE, challenge, live_models, promotion, review, standing, usual
from stream.cli.options import code_version, config_option
from stream.versions import NoSuchVersionError, choose_version, load_versions

_folder = click.option(
    "--models-dir", type=click.Path(file_okay=False, path_type=Path), help="A folder of further versions."
)


HELP = """List, show and train model versions; sign, publish and promote them, and hold them back.

A version is immutable and named by the hash of its content. On the live service (Kafka) it goes this way: train, show
(review its card), sign, publish, propose (the gates of docs/change-control.md judge) or challenge (it is tried beside
the champion), promote. `rollback` undoes the last promotion within seconds; `hold` silences one version, `demote`
leaves NEWS2 alone, `restore` lifts either. An embedded service (`wardstream run`) begins with the version of --model
in shadow; propose, promote, rollback, hold, demote and restore reach it by its --data-dir.

\b
Examples:
  wardstream models list
  wardstream models train --out versions/ --seed 3
  wardstream models keygen models-key.pem
  wardstream models sign versions/4f1c02aa91be.json --key models-key.pem
  wardstream models publish versions/4f1c02aa91be.json --config wardstream.toml
  wardstream models promote 4f1c --shadow --config wardstream.toml
  wardstream models propose 4f1c --evidence evidence.json --config wardstream.toml
  wardstream models challenge 4f1c --config wardstream.toml
  wardstream models review --config wardstream.toml
  wardstream models rollback --config wardstream.toml
  wardstream models rollback --data-dir ward/
"""


@click.group("models", help=HELP)
def command() -> None:
    """Group the commands."""


for _live in (
    live_models.keygen,
    live_models.sign_version,
    live_models.publish,
    live_models.promote,
    live_models.rollback,
    promotion.weigh_command,
    promotion.propose,
    review.review_command,
    promotion.respond,
    challenge.challenge,
    standing.hold,
    standing.demote,
    standing.restore,
    usual.usual,
):
    command.add_command(_live)


@command.command("list")
@_folder
@click.option("--live", is_flag=True, help="Those of the live service, and which is in force; needs --config.")
@config_option
def list_versions(models_dir: Path | None, config_path: Path | None, *, live: bool) -> int:
    """List the versions at hand, the shipped one first."""
    if live:
        if config_path is None:
            raise click.UsageError("--live needs --config: its [kafka] table says where the live service is")
        Console().print(live_models.live_table(config_path))
        return EXIT_DONE
    versions, wrong = load_versions(models_dir)
    table = Table()
    for column in ("version", "horizon", "trained on", "rows", "positives", "threshold"):
        table.add_column(column)
    for name, version in versions.items():
        lineage = version.lineage
        table.add_row(
            name,
            f"{version.horizon_h} h",
            lineage.source,
            str(lineage.rows),
            str(lineage.positives),
            f"{version.threshold:.3f}",
        )
    Console().print(table if versions else "No versions: scoring runs on NEWS2 alone.")
    for line in wrong:
        click.echo(f"Warning: left out {line}", err=True)
    return EXIT_DONE


@command.command("show")
@click.argument("version")
@_folder
def show(version: str, models_dir: Path | None) -> int:
    """Show a version's model card. VERSION is an id or the beginning of one."""
    from models.card import model_card

    versions, _wrong = load_versions(models_dir)
    chosen = choose_version(version, versions)
    if not chosen:
        raise NoSuchVersionError(f"{version!r} is NEWS2 alone and has no card; known: {', '.join(sorted(versions))}")
    click.echo(model_card(versions[chosen]))
    return EXIT_DONE


@command.command("train")
@click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the version and its card.",
)
@click.option("--seed", default=20260101, show_default=True, help="The simulated hospital's seed.")
@click.option("--beds", default=300, show_default=True, type=click.IntRange(1, 2_000))
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 3_650))
def train(folder: Path, seed: int, beds: int, days: int) -> int:
    """Train a first version on the simulated hospital, online, from outcomes that mature late.

    The last third of the days is held back, for what the version says of its own limits (docs/guardrails.md). The same
    seed, beds and days give the same version, byte for byte.
    """
    from rich.progress import Progress

    from models.card import model_card
    from models.version import dump
    from stream.training import train_on_hospital

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("train", total=days)
        version, report = train_on_hospital(
            seed=seed,
            beds=beds,
            days=days,
            code_version=code_version(),
            on_day=lambda day: progress.update(task, completed=day),
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{version.version}.json"
    path.write_bytes(dump(version))
    (folder / f"{version.version}.md").write_text(model_card(version))
    click.echo(f"{path}: {report}")
    return EXIT_DONE
