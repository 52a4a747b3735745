"""What a person sees while a hospital's traffic is being sent, and at its end.

Owns the words. Must not know how anything is sent. On a terminal a line that changes, elsewhere a line now and then;
both on standard error.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from events import to_iso
from stream.lane import Counts
from stream.pacing import LATE_S
from stream.resuming import Ledger

REFRESH_S = 0.25
"""As often as a person can read."""
LINE_EVERY_S = 10.0
"""Where standard error is a file or a journal."""
RATE_POINTS = 20
"""The rate shown is that of the last 5 s: twenty refreshes."""
REFUSALS_LISTED = 5
"""The most frequent reasons, in the summary."""


def describe(counts: Counts, rate: float) -> str:
    """Write the state of a run in one line.

    >>> describe(Counts(), 0.0)
    'sent 0  acknowledged 0  refused 0  in flight 0  0/s'
    """
    parts = [
        f"sent {counts.sent:,}",
        f"acknowledged {counts.acknowledged:,}",
        f"refused {counts.refused:,}",
        f"in flight {counts.in_flight:,}",
        f"{rate:,.0f}/s",
    ]
    if counts.hospital_time:
        parts.append(f"hospital {to_iso(counts.hospital_time)[:16]}Z")
    if counts.late_s >= LATE_S:
        parts.append(f"{counts.late_s:,.1f} s behind the schedule")
    if counts.trouble:
        parts.append(f"waiting: {counts.trouble}")
    return "  ".join(parts)


async def show_sending(counts: Counts) -> None:
    """Show the run until cancelled."""
    console = Console(stderr=True)
    points: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=RATE_POINTS)
    said_s = time.monotonic()
    # `Text`: a receiver's words are shown as they are, not read as markup.
    with Live(Text(""), console=console, auto_refresh=False, transient=True) as live:
        while True:
            await asyncio.sleep(REFRESH_S)
            now_s, settled = time.monotonic(), counts.acknowledged + counts.refused
            rate = (settled - points[0][1]) / max(REFRESH_S, now_s - points[0][0])
            points.append((now_s, settled))
            if console.is_terminal:
                line = Text(describe(counts, rate), no_wrap=True, overflow="ellipsis")
                live.update(line, refresh=True)
            elif now_s - said_s >= LINE_EVERY_S:
                said_s = now_s
                click.echo(describe(counts, rate), err=True)


def summarise(target: str, counts: Counts, ledger: Ledger, elapsed_s: float, *, resumed: bool) -> None:
    """Say what was done: a line on standard output; reasons of refusal, and a schedule not kept, on standard error."""
    settled = counts.acknowledged + counts.refused
    click.echo(
        f"{settled} messages to {target}: {counts.acknowledged} acknowledged, {counts.refused} refused, "
        f"{counts.resent} sent again, in {elapsed_s:.1f} s ({settled / max(elapsed_s, 0.001):,.0f}/s)"
    )
    if resumed:
        click.echo(f"{ledger.settled} messages of this hospital so far, {ledger.refused} of them refused")
    for words, count in sorted(counts.refusals.items(), key=lambda pair: -pair[1])[:REFUSALS_LISTED]:
        click.echo(f"refused {count} times: {words}", err=True)
    if counts.late_max_s >= LATE_S:
        click.echo(f"Warning: the schedule was not kept: up to {counts.late_max_s:,.1f} s behind", err=True)
