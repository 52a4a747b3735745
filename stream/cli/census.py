"""`wardstream census`: who lies where at go-live, sent to the service as an ADT feed would have told it.

Owns the command: its options, its progress, and its exit codes. Must not know how a census is read, nor how a message
is sent. No output names a patient.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

import click

from connectors.census.encounters import bundles_of, read_answers
from connectors.census.messages import messages_of
from connectors.census.rows import CENSUS_BYTES_MAX, CensusError, read_census
from connectors.zones import check_zone
from events import MILLIS_PER_DAY, MILLIS_PER_MINUTE, Millis
from stream.cli import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED_IN_PART
from stream.cli.options import TOKEN_VARIABLE, read_instant, warn
from stream.cli.sending_view import show_sending, summarise
from stream.cli.targets import Endpoint, FileTarget, read_target
from stream.lane import Patience, SendError
from stream.links import FhirLink, Link, MllpLink
from stream.pacing import Schedule
from stream.sending import Sender
from stream.traffic import Rendered

ANSWER_TIMEOUT_S = 30.0
AHEAD_MS_MAX = 5 * MILLIS_PER_MINUTE
"""A census of later than now by more than a clock goes wrong is a slip."""
FILE_BYTES_MAX = 64 * 1024 * 1024
"""Of a page of a search: as much as the service takes of a Bundle."""
_SENDER = re.compile(r"[^|\s][^|]*\|[^|\s][^|]*")

HELP = """Tell the service who lies where, so that it can go live with occupied beds: SOURCE… to TARGET.

\b
SOURCE is
  census.csv                patient,authority,ward,room,bed,facility,class,admitted,sex,birth_date,visit; becomes two
                            ADT^A01 a patient. Needs --as-of and --sender
  page.json, found.ndjson   the answers to Encounter?status=in-progress&_include=Encounter:subject, all of them
\b
TARGET is, for CSV, mllp://HOST:PORT or FILE.hl7; for FHIR, http(s)://HOST:PORT/fhir or FILE.ndjson. A FILE.hl7 goes
into the watched folder, where MLLP wants a certificate. A bearer token is taken from WARDSTREAM_HTTP_TOKEN.

It is an ADT feed's flood in another form: it goes the same way in, has no values, and may be sent again, when what is
in already is a duplicate. It places a patient at the moment it was true: whoever was moved or discharged later, by an
ADT message that has come or is to come, stays where that says. docs/going-live.md has the whole of it.

\b
Examples:
  wardstream census beds.csv --to mllp://127.0.0.1:2575 --as-of 2026-03-03T06:00+01:00 --sender "PAS|MAIN"
  wardstream census beds.csv --to beds.hl7 --as-of 2026-03-03T06:00Z --sender "PAS|MAIN" --zone Europe/Berlin
  wardstream census page1.json page2.json --to http://127.0.0.1:8080/fhir

\b
Exit codes: 0 all acknowledged; 1 failed or stopped; 2 wrong usage, or a census with faults; 3 some were refused.
"""


@click.command("census", help=HELP)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…",
                type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@click.option("--to", "target", metavar="TARGET", required=True)
@click.option("--as-of", callback=read_instant, metavar="TIME", help="When the CSV was true: ISO 8601 with its zone.")
@click.option("--sender", metavar="MSH-3|MSH-4", help="The ADT feed that the CSV stands in for; read as that is.")
@click.option("--authority", default="", help="Whose the numbers are in lines that name no authority.")
@click.option("--zone", default="", help="IANA zone of times of admission that have no offset.")
@click.option("--retry", is_flag=True, help="Where the receiver is away or busy: wait, and send again.")
@click.option("--dry-run", is_flag=True, help="Check all of it and say what would be sent; send and write nothing.")
def command(
    sources: tuple[Path, ...],
    target: str,
    as_of: Millis | None,
    sender: str | None,
    authority: str,
    zone: str,
    *,
    retry: bool,
    dry_run: bool,
) -> int:
    """Send a census."""
    place = read_target(target)
    csv = {source.suffix.lower() == ".csv" for source in sources}
    if len(csv) > 1 or (csv == {True} and len(sources) > 1):
        raise click.UsageError("one census at a time: one CSV file, or the pages of one FHIR search")
    wire = "hl7v2" if csv == {True} else "fhir"
    if place.wire != wire:
        right = "mllp://HOST:PORT or FILE.hl7" if wire == "hl7v2" else "http://HOST:PORT/fhir or FILE.ndjson"
        raise click.UsageError(f"{target}: this census goes to {right}")
    try:
        messages = _of_csv(sources[0], as_of, sender, authority, zone) if wire == "hl7v2" else _of_fhir(sources)
    except CensusError as error:
        raise click.UsageError(str(error)) from None
    if not messages:
        raise click.UsageError("the census has nobody in it: a header alone, or answers without an Encounter under way")
    if dry_run:
        click.echo(f"{len(messages)} messages would go to {target}; nothing is sent")
        return EXIT_DONE
    if isinstance(place, FileTarget):
        return _write(place, messages)
    return _send(place, messages, retry=retry)


def _of_csv(source: Path, as_of: Millis | None, sender: str | None, authority: str, zone: str) -> list[bytes]:
    if as_of is None or sender is None:
        raise click.UsageError("a CSV needs --as-of (when it was true) and --sender (the ADT feed it stands in for)")
    if not _SENDER.fullmatch(sender) or not sender.isprintable():
        raise click.UsageError("--sender: MSH-3|MSH-4, such as 'PAS|MAIN'")
    if zone:
        try:
            check_zone("--zone", zone)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    now = time.time_ns() // 1_000_000
    if as_of > now + AHEAD_MS_MAX:
        raise click.UsageError("--as-of lies ahead of now")
    if as_of < now - MILLIS_PER_DAY:
        warn("the census is older than a day: whoever moved or left since, and of whom no ADT message tells, is wrong")
    found = read_census(_bytes(source, CENSUS_BYTES_MAX), as_of, authority=authority, zone=zone)
    wards = Counter(one.location.ward for one in found)
    shared = sum(count > 1 for place, count in Counter(one.location for one in found).items() if place.bed)
    click.echo(f"{len(found)} patients on {len(wards)} wards", err=True)
    if shared:
        warn(f"{shared} beds have more than one patient")
    return [data for one in found for data in messages_of(one, as_of, sender)]


def _of_fhir(sources: Sequence[Path]) -> list[bytes]:
    found = read_answers(_bytes(source, FILE_BYTES_MAX) for source in sources)
    click.echo(f"{len(found.encounters)} Encounters under way", err=True)
    if found.missing:
        warn(f"pages are missing: {found.missing}; whoever stands there is not known")
    if found.not_under_way:
        warn(f"{found.not_under_way} Encounters are not under way, and are left out")
    if found.left_out:
        warn(f"{found.left_out} resources are neither Encounter, Patient nor Location, and are left out")
    return list(bundles_of(found))


def _bytes(source: Path, most: int) -> bytes:
    with source.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:  # cut, its last line may be a whole one, and the rest unseen
        raise CensusError([f"a file is longer than {most} bytes; split it"])
    return data


def _write(place: FileTarget, messages: Iterable[bytes]) -> int:
    # Under another name until it is whole: a watched folder would take it in part.
    part = place.path.with_name(f".{place.path.name}.part")
    part.write_bytes(b"".join(data if place.wire == "hl7v2" else data + b"\n" for data in messages))
    part.replace(place.path)
    click.echo(f"written to {place.path}")
    return EXIT_DONE


def _send(place: Endpoint, messages: Sequence[bytes], *, retry: bool) -> int:
    sender = Sender(_link_maker(place), patience=Patience(retry=retry))
    began_s = time.monotonic()
    failure = ""
    try:
        asyncio.run(_run(sender, messages))
    except SendError as error:
        failure = str(error)
    summarise(place.url, sender.counts, sender.ledger, time.monotonic() - began_s, resumed=False)
    if failure or sender.stopped:
        click.echo(f"Error: {failure or 'stopped'}; send it again: what is in already is a duplicate", err=True)
        return EXIT_FAILED
    return EXIT_REFUSED_IN_PART if sender.ledger.refused else EXIT_DONE


async def _run(sender: Sender, messages: Sequence[bytes]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, sender.stop)
    view = asyncio.create_task(show_sending(sender.counts))
    try:
        await sender.run(_rendered(messages), Schedule(time.monotonic()))
    finally:
        view.cancel()
        await asyncio.wait([view])


async def _rendered(messages: Sequence[bytes]) -> AsyncIterator[Rendered]:
    for number, data in enumerate(messages):
        yield Rendered(number, 0, 0, False, data)


def _link_maker(place: Endpoint) -> Callable[[], Link]:
    if place.protocol == "mllp":
        return lambda: MllpLink(place.host, place.port, window=1, ack_timeout_s=ANSWER_TIMEOUT_S)
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if token and not place.encrypted and not place.loopback:
        warn("the bearer token goes over the network unencrypted; https:// would protect it")
    return lambda: FhirLink(place.url, token=token, timeout_s=ANSWER_TIMEOUT_S)
