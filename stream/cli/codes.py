"""`wardstream codes check / list / convert / report / suggest`: code maps, and what they do not say yet.

Owns the commands, their progress, what they write where and their exit codes. Must not know what a map means, nor how a
candidate is found.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
import msgspec
from rich.console import Console
from rich.table import Table

from connectors.terminology.code_map import CodeMap, read_map
from connectors.terminology.concept_map import write_concept_map
from connectors.terminology.csv_map import write_csv
from connectors.terminology.rows import CodeMapError
from stream.catalogues import catalogue_for
from stream.cli import EXIT_DONE, EXIT_REFUSED_IN_PART
from stream.cli.options import config_option, read_map_file, read_site
from stream.cli.progress import show_progress
from stream.cli.replay import KAFKA, open_sources
from stream.code_maps import joined
from stream.conformance.shape import CodeUse
from stream.printable import in_a_cell
from stream.settings import ConfigurationError, Settings, SiteFile

PROGRESS_EVERY = 100
"""Messages between two movements of the bar."""
JOURNAL = "journal:"

HELP = """Code maps: what a site's own codes mean, as files that somebody has reviewed (docs/terminology.md).

A map is CSV (system,code,display,unit,target,reviewer,reviewed,comment) or a FHIR ConceptMap, and is named under
[terminology] in wardstream.toml. A row without a reviewer is never applied.

\b
Examples:
  wardstream codes suggest monday.hl7 --config wardstream.toml --out candidates.csv
  (a person who knows the sender's table corrects `target` and fills in `reviewer` and `reviewed`)
  wardstream codes check candidates.csv
  wardstream codes report journal:/var/lib/wardstream --config wardstream.toml

\b
Exit codes: 0 done; 3 something is not applied, or mapped to nothing; 1 failed; 2 wrong usage, or a map with faults.
"""

_sources = click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
_files = click.argument(
    "files", nargs=-1, required=True, metavar="FILE…", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
_quiet = click.option("--quiet", is_flag=True, help="No progress and no table.")


@click.group("codes", help=HELP)
def command() -> None:
    """Hold the commands."""


@command.command("check")
@_files
@config_option
def check(files: tuple[Path, ...], config_path: Path | None) -> int:
    """Say what of maps would be applied, what not and why, and every fault with its line."""
    site = read_site(config_path)
    maps = [_read(file, site) for file in files]
    try:
        joined(site.settings.codes, maps)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    for one in maps:
        applied = sum(len(table) for table in one.table.values())
        click.echo(f"{one.name}: {applied} codes of {len(one.table)} systems are applied")
        for line in one.told():
            click.echo(line)
    return EXIT_REFUSED_IN_PART if any(one.left_out for one in maps) else EXIT_DONE


@command.command("list")
@config_option
def list_codes(config_path: Path | None) -> int:
    """Show the site's own codes that are in force by a configuration, and what they mean."""
    settings = read_site(config_path).settings
    catalogue = catalogue_for(settings)
    table = Table()
    for column in ("system", "code", "target", "feature", "unit"):
        table.add_column(column)
    for system, of_system in sorted(settings.codes.items()):
        for code, target in sorted(of_system.items()):
            feature, _ = catalogue.target(target)
            table.add_row(in_a_cell(system), in_a_cell(code), target, feature.name, feature.unit)
    Console().print(table)
    return EXIT_DONE


@command.command("convert")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "out", required=True, type=click.Path(dir_okay=False, path_type=Path), help=".csv or .json.")
@click.option("--fhir", "release", type=click.Choice(["R4", "R5"]), default="R4", show_default=True,
              help="Of a ConceptMap.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@config_option
def convert(file: Path, out: Path, release: Literal["R4", "R5"], config_path: Path | None, *, force: bool) -> int:
    """Write a map in the other format. What is not equivalent goes into the comment, and is not applied."""
    rows = _read(file, read_site(config_path)).rows
    if out.suffix not in {".csv", ".json"}:
        raise click.UsageError("--to ends in .csv, or in .json for a ConceptMap")
    text = write_csv(rows).encode() if out.suffix == ".csv" else _indented(write_concept_map(rows, release))
    _write(out, text, force=force)
    click.echo(f"{len(rows)} rows in {out}")
    return EXIT_DONE


@command.command("report")
@_sources
@config_option
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output, in the place of the table.")
@_quiet
def report(sources: tuple[str, ...], config_path: Path | None, *, as_json: bool, quiet: bool) -> int:
    """Rank what is mapped to nothing by count, with what it may be. SOURCE as replay takes it, or journal:DIR."""
    site = read_site(config_path)
    unmapped = _unmapped(sources, site, quiet=quiet or as_json)
    if as_json:
        click.echo(_indented(msgspec.json.encode(unmapped)).decode(), nl=False)
    elif not quiet:
        _show(unmapped)
    return EXIT_REFUSED_IN_PART if unmapped else EXIT_DONE


@command.command("suggest")
@_sources
@config_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The CSV to write.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show the rows.")
@_quiet
def suggest(
    sources: tuple[str, ...], config_path: Path | None, out: Path, *, force: bool, dry_run: bool, quiet: bool
) -> int:
    """Write candidates for what is mapped to nothing, most frequent first, for a person to confirm.

    `reviewer` is empty in each row, so none is applied as it is.
    """
    from stream.conformance.unmapped import candidate_rows

    site = read_site(config_path)
    rows, left_out = candidate_rows(_unmapped(sources, site, quiet=quiet), catalogue_for(site.settings))
    text = write_csv(rows)
    if left_out:
        click.echo(f"{left_out} codes are left out: too long for a map, or with control characters", err=True)
    if dry_run:
        click.echo(text, nl=False)
        return EXIT_DONE
    _write(out, text.encode(), force=force)
    with_target = sum(bool(row.target) for row in rows)
    click.echo(f"{len(rows)} codes in {out}, {with_target} of them with a candidate; none is applied until reviewed")
    return EXIT_DONE


def _read(file: Path, site: SiteFile) -> CodeMap:
    try:
        return read_map(read_map_file(file), file.name, catalogue_for(_without_codes(site)))
    except CodeMapError as error:
        raise ConfigurationError(str(error)) from None


def _without_codes(site: SiteFile) -> Settings:
    """Give the settings without the site's codes, among which the file at hand may be."""
    return msgspec.structs.replace(site.settings, codes={}, hl7=msgspec.structs.replace(site.settings.hl7, routes=()))


def _unmapped(sources: Sequence[str], site: SiteFile, *, quiet: bool) -> tuple[CodeUse, ...]:
    """Read all sources; give the codes that are mapped to nothing, most frequent first."""
    logs = [source for source in sources if source.startswith(JOURNAL)]
    if logs and len(sources) > 1:
        raise click.UsageError("a journal is read by itself: it is whole, not one source among others")
    if logs:
        return _of_journal(Path(logs[0].removeprefix(JOURNAL)), site, quiet=quiet)
    from connectors.kafka.topics import EVENTS
    from stream.conformance.survey import Survey
    from stream.kafka_source import topic_of

    if any(source.startswith(KAFKA) and topic_of(source, site.kafka) == EVENTS for source in sources):
        raise click.UsageError("give the messages, kafka:hl7v2.ingest.v1 or kafka:fhir.ingest.v1: the log has no names")
    opened = open_sources(sources, site.settings, kafka=site.kafka)
    survey = Survey(site.settings, time.time_ns() // 1_000_000)
    with show_progress("codes", opened, quiet=quiet) as advance:
        for arrival in heapq.merge(*opened, key=lambda one: one.received_time or 0):
            survey.take(arrival)
            if survey.messages % PROGRESS_EVERY == 0:
                advance(survey.messages)
    return survey.report(sources=len(opened), skipped=0).codes_unmapped


def _of_journal(folder: Path, site: SiteFile, *, quiet: bool) -> tuple[CodeUse, ...]:
    from connectors.sqlite.journal import JOURNAL_FILE, SqliteJournal
    from connectors.sqlite.locks import COMPACTION_LOCK_FILE, share
    from stream.conformance.coding import Codes
    from stream.conformance.unmapped import take_envelope

    if not (folder / JOURNAL_FILE).exists():
        raise click.UsageError(f"no {JOURNAL_FILE} in {folder}: give the --data-dir of an embedded service")
    codes = Codes(catalogue_for(site.settings))
    with share(folder / COMPACTION_LOCK_FILE), show_progress("codes", [], quiet=quiet) as advance:
        journal = SqliteJournal(folder, read_only=True)
        for offset, envelope in journal.read():
            take_envelope(codes, envelope, f"#{offset}")
            if offset % PROGRESS_EVERY == 0:
                advance(offset)
        journal.close()
    return tuple(codes.unmapped())


def _show(unmapped: Sequence[CodeUse]) -> None:
    table = Table()
    for column in ("results", "patients", "system", "code", "name", "unit", "may be"):
        # Folded and not cut: a code that is cut can be mapped by nobody.
        table.add_column(column, justify="right" if column in ("results", "patients") else "left", overflow="fold")
    for use in unmapped:
        meant = ", ".join(f"{one.feature} {one.likeness:.2f}" for one in use.candidates)
        table.add_row(
            f"{use.count:,}", f"{use.patients:,}", in_a_cell(use.system), in_a_cell(use.code), in_a_cell(use.name),
            in_a_cell(use.unit), meant,
        )  # fmt: skip
    Console().print(table)
    click.echo("What a code may be is for a person to confirm: `wardstream codes suggest` writes the list")


def _write(out: Path, data: bytes, *, force: bool) -> None:
    if out.exists() and not force:
        raise click.UsageError(f"{out} is there already; --force writes over it")
    out.write_bytes(data)


def _indented(data: bytes) -> bytes:
    return msgspec.json.format(data, indent=2) + b"\n"
