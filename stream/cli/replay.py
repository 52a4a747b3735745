"""`wardstream replay`: any source through the same core, to files and a digest.

Owns the command's options, progress and closing table. Must not know how a replay works.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.table import Table

from connectors.kafka.settings import PASSWORD_VARIABLE, KafkaSettings
from connectors.kafka.topics import EVENTS
from connectors.sources import Arrival, Source, SourceSettings, group_arrivals, open_source
from connectors.sqlite.journal import JOURNAL_FILE, SqliteJournal
from connectors.sqlite.locks import COMPACTION_LOCK_FILE, share
from events import Envelope, Millis
from stream.cli import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED_IN_PART
from stream.cli.options import (
    config_option,
    make_release,
    model_option,
    models_folder_option,
    read_instant,
    read_pseudonyms,
    read_site,
    warn,
)
from stream.cli.progress import show_progress
from stream.replay import Replay, start_at_beginning
from stream.settings import Settings, SiteFile

KAFKA = "kafka:"

HELP = """Replay SOURCE… through the same core as live, and write what it says.

\b
SOURCE is one of
  feed.hl7, feed.hl7.gz     HL7 v2: plain, batch-wrapped or MLLP-framed
  bundle.json, out.ndjson   FHIR R4 to R5: a resource, a Bundle, a Bulk Data export (.gz too)
  a folder of them
  physionet2019:DIR, physionet2012:DIR   public ICU data
  journal:DIR               the journal of an embedded service
  kafka:events.v1           the live service's log, as --config says where; kafka:hl7v2.ingest.v1 and
                            kafka:fhir.ingest.v1 are the messages before it

\b
DIR gets scores.ndjson, alerts.ndjson, suppressed.ndjson, dead_letters.ndjson, summary.json, digest.txt.
The same source gives the same digest, always. Patients are pseudonyms unless --identified. With --from, what came
before is folded too, so that a stretch says what it said then; it is only not written.

A recorded log is replayed as it was decided then. --model and --enabled put other decisions in their place; so does
--config for a journal, and for kafka:events.v1, where the file says how Kafka is reached too, only with --what-if.

\b
Examples:
  wardstream replay feed.hl7 --out out/
  wardstream replay kafka:events.v1 --config wardstream.toml --out live/
  wardstream replay journal:/var/lib/wardstream --out tuesday/ --from 2026-03-03T00:00:00Z --to 2026-03-04T00:00:00Z
"""


@click.command("replay", help=HELP)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option(
    "--out", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write."
)
@config_option
@model_option
@models_folder_option
@click.option("--from", "start", callback=read_instant, metavar="TIME", help="Write only what was said from then on.")
@click.option("--to", "end", callback=read_instant, metavar="TIME", help="Stop at what was received then or later.")
@click.option("--speed", type=click.FloatRange(min=0), default=0, help="Times real time; 0 is as fast as it goes.")
@click.option("--identified", is_flag=True, help="Keep the source's identifiers in the output. Handle it as records.")
@click.option("--enabled", is_flag=True, help="Let the model's alerts be told, as if a promotion had been signed.")
@click.option("--what-if", "what_if", is_flag=True, help="Decide a recorded log anew, by --config and --model.")
@click.option("--fhir", is_flag=True, help="Also write alerts.fhir.ndjson: each alert event as FHIR R4B.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
def command(  # noqa: PLR0913 - as many as there are options
    sources: tuple[str, ...],
    folder: Path,
    config_path: Path | None,
    model_name: str | None,
    models_dir: Path | None,
    start: Millis | None,
    end: Millis | None,
    speed: float,
    *,
    identified: bool,
    enabled: bool,
    what_if: bool,
    fhir: bool,
    quiet: bool,
) -> int:
    """Run the replay; exit 3 where some input was refused."""
    site = read_site(config_path)
    release, versions = make_release(site.settings, model_name, models_dir, enabled=enabled)
    anew = bool(what_if or model_name or enabled)
    began = time.perf_counter()
    log = _whole_log(sources, site)
    if log == EVENTS:
        if identified or speed:
            raise click.UsageError("the log names nobody and has no speed: leave out --identified and --speed")
        from stream.cli.replay_log import replay_events

        chosen = release if anew else None
        return replay_events(
            folder, site, kafka_password(), versions,
            release=chosen, fhir=fhir, since=start or 0, end=end, quiet=quiet, show=_show,
        )  # fmt: skip
    opened = [] if log else open_sources(sources, site.settings, kafka=site.kafka)
    with show_progress("replay", opened, quiet=quiet) as advance:
        replay = Replay(
            folder,
            release,
            versions,
            pseudonyms=read_pseudonyms(),
            identified=identified,
            fhir=fhir,
            since=start or 0,
            on_progress=advance,
        )
        if log:
            replay_journal(replay, Path(log), end, speed, what_if=anew or config_path is not None)
        else:
            replay.messages(_paced(_until(merge_sources(opened), end), speed))
    result = replay.finish(time.perf_counter() - began)
    if not quiet:
        _show(result.summary, folder)
    if result.summary["unfoldable"]:
        click.echo("Error: records could not be folded; that is a fault of ours: see dead_letters.ndjson", err=True)
        return EXIT_FAILED
    return EXIT_REFUSED_IN_PART if result.summary["dead_letters"] else EXIT_DONE


def _whole_log(sources: Sequence[str], site: SiteFile) -> str:
    """Give what is replayed where it is a recorded log: a journal's folder, or `events.v1`; else nothing."""
    from_kafka = [source for source in sources if source.startswith(KAFKA)]
    logs = [source.partition(":")[2] for source in sources if source.startswith("journal:")]
    if from_kafka:
        from stream.kafka_source import topic_of

        logs += [EVENTS for source in from_kafka if topic_of(source, site.kafka) == EVENTS]
    if logs and len(sources) > 1:
        raise click.UsageError("a recorded log is replayed by itself: it is whole, not one source among others")
    return logs[0] if logs else ""


def kafka_password() -> str:
    """Give the password for Kafka, or an empty one."""
    return os.environ.get(PASSWORD_VARIABLE, "")


def replay_journal(replay: Replay, folder: Path, end: Millis | None, speed: float, *, what_if: bool) -> None:
    """Replay the journal of an embedded service, up to `end`; raises `click.UsageError` where there is none."""
    if not (folder / JOURNAL_FILE).exists():
        raise click.UsageError(f"no {JOURNAL_FILE} in {folder}: give the --data-dir of an embedded service")
    # What is being read does not go away meanwhile: the retention of a service on this folder waits.
    with share(folder / COMPACTION_LOCK_FILE):
        journal = SqliteJournal(folder, read_only=True)
        if journal.begin():
            start_at_beginning(replay, folder, journal, warn)
        envelopes = (envelope for _offset, envelope in journal.read() if end is None or envelope.received_time < end)
        replay.log(_paced(envelopes, speed), counts=journal.counts(), what_if=what_if)
        replay.dead_letters(journal.dead_letters())
        journal.close()


def open_sources(
    specs: Sequence[str], settings: Settings, *, every: int = 1, kafka: KafkaSettings | None = None
) -> list[Source]:
    """Open each SOURCE; raises `SourceError` for the first that is none. `kafka` says where `kafka:` sources are."""
    how = SourceSettings(hl7=settings.hl7, fhir=settings.fhir, every=every)
    opened: list[Source] = []
    for spec in specs:
        if not spec.startswith(KAFKA):
            opened.append(open_source(spec, how))
        elif kafka is None:
            raise click.UsageError("kafka: sources are for `wardstream replay`; give files, or a public data set")
        else:
            from stream.kafka_source import KafkaSource, topic_of

            opened.append(KafkaSource(topic_of(spec, kafka), kafka, settings, kafka_password()))
    return opened


def merge_sources(opened: Sequence[Source]) -> Iterator[Arrival]:
    """Give several sources as one, in order of received time; of equal times the earlier source first.

    What is one moment of a patient is joined here, where all of it has come together, however it was cut into files.
    Files that are left out by their names are told on standard error once all is read.
    """
    yield from group_arrivals(heapq.merge(*opened, key=lambda arrival: arrival.received_time or 0))
    for source in opened:
        for name in source.skipped:
            click.echo(f"left out {name}: not a kind of file that replay reads", err=True)


def _until(arrivals: Iterable[Arrival], end: Millis | None) -> Iterator[Arrival]:
    return (arrival for arrival in arrivals if end is None or (arrival.received_time or 0) < end)


Received = TypeVar("Received", Arrival, Envelope)


def _paced(received: Iterable[Received], speed: float) -> Iterator[Received]:
    """Give what was received at a multiple of the speed it was received at; 0 is as fast as it goes."""
    began = time.monotonic()
    first: Millis | None = None
    for one in received:
        at = one.received_time or 0
        if speed and at:
            first = at if first is None else first
            time.sleep(max(0.0, (at - first) / 1000 / speed - (time.monotonic() - began)))
        yield one


def _show(summary: dict[str, object], folder: Path) -> None:
    console = Console()
    table = Table(title=f"Replayed to {folder}", show_header=False)
    for name in (
        "messages",
        "accepted",
        "dead_letters",
        "duplicates",
        "observations",
        "quarantined",
        "unmapped_codes",
        "patients",
        "scores",
        "alerts",
        "alerts_per_patient_day",
        "wall_s",
    ):
        table.add_row(name, str(summary[name]))
    console.print(table)
    # Beside the table, which is cut to the screen's width: a digest that is cut compares with nothing.
    console.print(f"digest {summary['digest']}", soft_wrap=True, highlight=False)
