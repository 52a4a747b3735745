"""`wardstream simulate`: a seeded hospital's traffic, to a file or to an endpoint.

Owns the command, its options and the writing of a file. Must not know physiology, nor how a message is sent.
"""

from __future__ import annotations

import gzip
import re
import time
from typing import IO, cast

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from connectors.hospital.hospital import START_TIME
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis, from_iso
from events.times import INSTANT_MAX, INSTANT_MIN
from stream.cli import EXIT_DONE
from stream.cli.options import warn
from stream.cli.targets import Endpoint, FileTarget, read_target
from stream.traffic import Traffic, render_traffic

HELP = """Write a simulated hospital's traffic to TARGET, in order of the time it was sent.

\b
TARGET is one of:
  FILE.hl7, FILE.ndjson   HL7 v2 (ER7, segments by CR) or FHIR R4 (a Bundle a line); .gz may follow
  mllp://HOST:PORT        HL7 v2, each message acknowledged before it counts
  http://HOST:PORT/fhir   FHIR R4, each Bundle posted to that base URL; https:// too.
                          A bearer token is taken from WARDSTREAM_HTTP_TOKEN

The same seed, beds, hours and start give the same bytes, whatever the target. The people in it are invented.

To an endpoint it sends as fast as messages are acknowledged, or --rate messages a second, or the hospital's own time at
a --speed. A schedule is kept whatever the receiver does: what is late goes out as soon as it can, and is said.
Ctrl-C ends cleanly: what is in flight is waited for.

\b
Examples:
  wardstream simulate ward.hl7
  wardstream simulate week.ndjson.gz --beds 200 --hours 168 --seed 3
  wardstream simulate mllp://127.0.0.1:2575                          as fast as it is acknowledged
  wardstream simulate mllp://127.0.0.1:2575 --rate 50 --retry        50 a second; survives a restart
  wardstream simulate http://127.0.0.1:8080/fhir --speed 60          an hour a minute
  wardstream simulate mllp://127.0.0.1:2575 --start now-6h --speed 1 --retry --resume feed.json
                                                                     a hospital in the present

\b
Exit codes: 0 all acknowledged; 1 failed or stopped; 2 wrong usage; 3 some messages were refused.
"""

_NOW = re.compile(r"now(?:-(\d{1,5})([mhd]))?", re.ASCII)
_UNITS_MS = {"m": MILLIS_PER_MINUTE, "h": MILLIS_PER_HOUR, "d": 24 * MILLIS_PER_HOUR}


class Start(msgspec.Struct, frozen=True):
    """The hospital's first moment, and whether it was named by the present (`live`)."""

    time: Millis
    live: bool = False


def read_start(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Start:
    """Read `--start`; click's callback."""
    if text is None:
        return Start(START_TIME)
    match = _NOW.fullmatch(text)
    try:
        if match is None:
            at = from_iso(text)
        else:
            ago_ms = int(match[1]) * _UNITS_MS[match[2]] if match[1] else 0
            at = time.time_ns() // 1_000_000 - ago_ms
    except ValueError:
        at = INSTANT_MIN - 1
    if not INSTANT_MIN <= at <= INSTANT_MAX:
        raise click.BadParameter("`now`, `now-6h`, or an ISO 8601 instant with its zone: 2026-03-03T00:00:00Z")
    # Whole seconds, as HL7 feeds send them: nothing is lost then in any rendering.
    return Start(at // MILLIS_PER_SECOND * MILLIS_PER_SECOND, match is not None)


@click.command("simulate", help=HELP)
@click.argument("target", metavar="TARGET")
@click.option("--seed", default=7, show_default=True, help="Another seed is another hospital.")
@click.option("--beds", default=24, show_default=True, type=click.IntRange(1, 5_000))
@click.option(
    "--hours", default=48.0, show_default=True, type=click.FloatRange(min=0, min_open=True, max=8_784),
    help="How long the hospital is watched, in its own time.",
)  # fmt: skip
@click.option(
    "--start", callback=read_start, metavar="ISO|now",
    help="The hospital's first moment: an instant, `now`, or `now-6h`. With `now` and --speed 1 messages carry present "
    "times; what is older is sent at once.  [default: 2026-01-05T07:00:00Z]",
)  # fmt: skip
@click.option("--rate", type=click.FloatRange(0, 100_000), help="Messages a second; 0: as fast as acknowledged.")
@click.option(
    "--speed", type=click.FloatRange(0, 1e6), help="Times the hospital's own time; 0: as fast as acknowledged."
)
@click.option(
    "--connections", type=click.IntRange(1, 256),
    help="Patients are dealt to so many connections; a patient stays on one.  [default: 1]",
)  # fmt: skip
@click.option(
    "--window", type=click.IntRange(1, 10_000),
    help="MLLP messages in flight a connection. Above 1 only for a receiver that answers in order.  [default: 1]",
)  # fmt: skip
@click.option(
    "--resume", type=click.Path(dir_okay=False), metavar="FILE", help="Keep the place here, and go on from it."
)
@click.option(
    "--retry", is_flag=True,
    help="Where the connection breaks or the receiver is busy (AR 207; HTTP 429, 503 and the like): wait, "
    "and send again what was not acknowledged.",
)  # fmt: skip
@click.option(
    "--give-up-after", type=click.FloatRange(min=0), metavar="S",
    help="With --retry: seconds without any answer.  [default: 300]",
)  # fmt: skip
def command(target: str, seed: int, beds: int, hours: float, start: Start, **sending: object) -> int:
    """Write the traffic."""
    place = read_target(target)
    traffic = Traffic(seed, beds, hours, start.time, place.wire)
    if isinstance(place, FileTarget):
        given = [f"--{name.replace('_', '-')}" for name, value in sending.items() if value not in {None, False}]
        if given:
            raise click.UsageError(f"{', '.join(given)}: for an endpoint only, not for a file")
        return _write_file(place, traffic)
    return _send(place, traffic, start, sending)


def _send(place: Endpoint, traffic: Traffic, start: Start, sending: dict[str, object]) -> int:
    from stream.cli.simulate_endpoint import SendingOptions, send

    options = msgspec.convert({name: value for name, value in sending.items() if value is not None}, SendingOptions)
    if options.rate and options.speed:
        raise click.UsageError("--rate or --speed, not both")
    if place.protocol == "fhir" and options.window > 1:
        raise click.UsageError("--window is for MLLP: HTTP keeps no order among requests in flight; use --connections")
    if "give_up_after" in sending and sending["give_up_after"] is not None and not options.retry:
        raise click.UsageError("--give-up-after goes with --retry")
    if start.live and options.speed != 1:
        warn("messages will carry times other than the present; --start now goes with --speed 1")
    return send(place, traffic, options, live=start.live)


def _write_file(place: FileTarget, traffic: Traffic) -> int:
    written = 0
    with Progress(
        TextColumn("simulate"), BarColumn(), TextColumn("{task.fields[count]} messages"), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    ) as progress, _open(place) as out:  # fmt: skip
        task = progress.add_task("simulate", total=traffic.hours, count=0)
        for rendered in render_traffic(traffic):
            out.write(rendered.data if place.wire == "hl7v2" else rendered.data + b"\n")
            written += 1
            hours = (rendered.sent_time - traffic.start_time) / MILLIS_PER_HOUR
            progress.update(task, completed=hours, count=written)
    click.echo(f"{written} messages in {place.path}")
    return EXIT_DONE


def _open(place: FileTarget) -> IO[bytes]:
    if place.path.suffix == ".gz":
        # mtime 0: the same hospital gives the same file.
        return cast("IO[bytes]", gzip.GzipFile(place.path, "wb", mtime=0))
    return place.path.open("wb")
