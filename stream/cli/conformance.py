"""`wardstream conformance`: what a sample of a feed holds, what of it cannot be used, and what to do before go-live.

Owns the command: its options, its progress, what it writes where and its exit codes. Must not know what is a finding.
"""

from __future__ import annotations

import heapq
import time
from pathlib import Path

import click
import msgspec

from stream.cli import EXIT_DONE, EXIT_REFUSED_IN_PART
from stream.cli.options import config_option, read_site
from stream.cli.progress import output_console, show_progress
from stream.cli.replay import open_sources

PROGRESS_EVERY = 100
"""Messages between two movements of the bar."""

HELP = """Check a feed before go-live, by a sample of it: SOURCE… as `wardstream replay` takes it.

The sample goes through the very codecs, [parse] and catalogue of the service, with the configuration that --config
names, and stops there: nothing is scored, stored or sent. What is told: types, senders, rates, versions, character
sets, segments and fields; codes that are mapped, with their units and what becomes of their values; codes that are
mapped to nothing, most frequent first, with what they may be (for a person to confirm, never applied); times without
a zone and times ahead; whose numbers name the patients; who was observed and lies on no known ward; what is refused,
by cause, with segment and field and the first message; and for each finding what to do.

No name, number or value of a patient is told, and files by their number in order of their names, since a file's name
may name a patient: --identified names the files.

\b
Examples:
  wardstream conformance sample.hl7
  wardstream conformance export/ --config wardstream.toml --html report.html --json report.json
  wardstream conformance monday.ndjson tuesday.ndjson --all

\b
Exit codes: 0 nothing has to be mended; 3 something must be (with --strict: or should be); 1 failed; 2 wrong usage.
"""


@click.command("conformance", help=HELP)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@config_option
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
              help="Write the report as JSON; - is standard output, in the place of the tables.")  # fmt: skip
@click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="Write it as one page.")
@click.option("--all", "everything", is_flag=True, help="Every row of every table.")
@click.option("--identified", is_flag=True, help="Name the files of examples. Their names may name patients.")
@click.option("--strict", is_flag=True, help="Exit with 3 where something should be looked at, too.")
@click.option("--quiet", is_flag=True, help="No progress and no tables.")
def command(
    sources: tuple[str, ...],
    config_path: Path | None,
    json_path: Path | None,
    html_path: Path | None,
    *,
    everything: bool,
    identified: bool,
    strict: bool,
    quiet: bool,
) -> int:
    """Run the check."""
    from stream.conformance.page import page_of
    from stream.conformance.survey import Survey
    from stream.conformance.terminal import show

    settings = read_site(config_path).settings
    opened = open_sources(sources, settings)
    survey = Survey(settings, time.time_ns() // 1_000_000, identified=identified)
    with show_progress("conformance", opened, quiet=quiet) as advance:
        for arrival in heapq.merge(*opened, key=lambda one: one.received_time or 0):
            survey.take(arrival)
            if survey.messages % PROGRESS_EVERY == 0:
                advance(survey.messages)
    report = survey.report(sources=len(opened), skipped=sum(len(source.skipped) for source in opened))
    to_output = json_path is not None and str(json_path) == "-"
    if json_path is not None:
        text = msgspec.json.format(msgspec.json.encode(report), indent=2)
        if to_output:
            click.echo(text.decode())
        else:
            json_path.write_bytes(text + b"\n")
    if html_path is not None:
        html_path.write_text(page_of(report), encoding="utf-8")
    if not quiet and not to_output:
        show(report, output_console(), whole=everything)
    failing = ("not_ready", "ready_with_findings") if strict else ("not_ready",)
    return EXIT_REFUSED_IN_PART if report.verdict in failing else EXIT_DONE
