"""`wardstream demo`: a simulated hospital through the whole embedded service, over real MLLP and HTTP.

Owns the command and its view. Must not know physiology, nor decide what is said.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from connectors.http.client import FhirClient
from connectors.mllp.client import MllpClient
from events import MILLIS_PER_HOUR, Millis, to_iso
from stream.cli import EXIT_DONE
from stream.cli.board_view import render_board, render_feeds
from stream.cli.options import code_version, make_release, read_pseudonyms, warn
from stream.demonstration import WINDOW, Sender, Step, demo_steps, stamp_as_sent
from stream.logs import set_up_logs
from stream.run import RunningService
from stream.service import EmbeddedService
from stream.service_settings import PORT_MAX, ServiceSettings
from stream.settings import Settings

VIEW_S = 0.5
"""How often the view is drawn anew: it is asked of the fold, which has other work."""
HOST = "127.0.0.1"

HELP = """Show a simulated hospital through the whole service: HL7 v2 over MLLP and FHIR over HTTP in, alerts out.

The service is the same as `wardstream run`, on free ports of this machine; its board is at the printed address. The
model is enabled here and nowhere else, and the service's time is the hospital's. Kill it at any moment: with
--data-dir, the same command goes on where it was, and ends with the same digest.

\b
Examples:
  wardstream demo                        two simulated days in about five minutes, live
  wardstream demo --speed 60             a simulated hour a minute
  wardstream demo --once --data-dir ward/
"""


@click.command("demo", help=HELP)
@click.option("--once", is_flag=True, help="Run fast to the end, print the board and the summary, exit 0.")
@click.option(
    "--speed",
    default=600.0,
    show_default=True,
    type=click.FloatRange(1, 100_000),
    help="Times real time (without --once).",
)
@click.option("--seed", default=3, show_default=True, help="The same seed gives the same hospital and the same alerts.")
@click.option("--beds", default=60, show_default=True, type=click.IntRange(1, 500))
@click.option("--hours", default=36, show_default=True, type=click.IntRange(1, 720))
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the journal here. Default: a temporary folder.",
)
@click.option("--http-port", default=0, type=click.IntRange(0, PORT_MAX), help="Default: a free one, which is printed.")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Also write the board as SVG.")
def command(
    *,
    once: bool,
    speed: float,
    seed: int,
    beds: int,
    hours: int,
    data_dir: Path | None,
    http_port: int,
    picture: Path | None,
) -> int:
    """Run the demo."""
    with tempfile.TemporaryDirectory(prefix="wardstream-demo-") as scratch:
        folder = data_dir or Path(scratch)
        demo = _Demo(folder, demo_steps(seed, beds, hours), hours, None if once else speed, http_port)
        asyncio.run(demo.run())
        console = Console(record=picture is not None, width=118 if picture is not None else None)
        console.print(demo.closing)
        console.print(f"digest {demo.digest}", soft_wrap=True, highlight=False)
        if picture is not None:
            svg = console.export_svg(title="wardstream demo --once", unique_id="demo")
            # Rich's fonts come from a public server; a picture in a hospital's README asks nobody for anything.
            picture.write_text(re.sub(r"@font-face\s*{[^}]*}", "", svg))
    return EXIT_DONE


class _Demo:
    """One demo: a service, a hospital that speaks to it, and a view of the wards."""

    def __init__(self, folder: Path, steps: Iterator[Step], hours: int, speed: float | None, http_port: int) -> None:
        self._folder = folder
        self._steps = steps
        self._hours = hours
        self._speed = speed
        self._http_port = http_port
        self._console = Console(stderr=True)
        self._began = time.monotonic()
        self._first: Millis | None = None
        self.closing: RenderableType = ""
        self.digest = ""

    async def run(self) -> None:
        """Run it to the end of its hospital."""
        release, versions = make_release(Settings(), None, None, enabled=True)
        service = EmbeddedService(self._folder, release, versions, read_pseudonyms(), warn=warn)
        running = RunningService(
            self._folder,
            service,
            ServiceSettings(mllp_host=HOST, mllp_port=0, http_host=HOST, http_port=self._http_port),
            version=code_version(),
            log=set_up_logs("error"),
            now=lambda: service.host.pipeline.control.clock,
            stamp=stamp_as_sent,
        )
        mllp_port, http_port = await running.start()
        self._console.print(f"The ward board: http://{HOST}:{http_port}/   (HL7 v2 over MLLP: {HOST}:{mllp_port})")
        mllp, fhir = MllpClient(HOST, mllp_port, window=WINDOW), FhirClient(f"http://{HOST}:{http_port}/fhir")
        await mllp.open()
        try:
            sender = Sender(mllp, fhir)
            await (self._send_fast(sender) if self._speed is None else self._send_live(sender, running))
            await running.engine.idle()
            self.closing = await running.engine.ask(lambda one: Group(self._view(running), self._summary(one)))
            self.digest = await running.engine.ask(lambda one: one.digest())
        finally:
            await mllp.close()
            await fhir.close()
            await running.stop()

    async def _send_fast(self, sender: Sender) -> None:
        with Progress(
            TextColumn("a hospital's traffic"), BarColumn(), TextColumn("{task.fields[sent]} messages"),
            TimeElapsedColumn(), console=self._console, transient=True,
        ) as progress:  # fmt: skip
            task = progress.add_task("demo", total=self._hours, sent=0)

            def advanced(sent: int, at: Millis) -> None:
                self._first = at if self._first is None else self._first
                progress.update(task, completed=(at - self._first) / MILLIS_PER_HOUR, sent=sent)

            await sender.send(self._steps, ready=None, advanced=advanced)

    async def _send_live(self, sender: Sender, running: RunningService) -> None:
        assert self._speed is not None
        speed = self._speed
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def ready(at: Millis) -> None:
            self._first = at if self._first is None else self._first
            await asyncio.sleep(max(0.0, (at - self._first) / 1000 / speed - (loop.time() - began)))

        with Live(console=self._console, auto_refresh=False) as live:
            sending = asyncio.create_task(sender.send(self._steps, ready=ready, advanced=lambda _sent, _at: None))
            while not sending.done():
                live.update(await running.engine.ask(lambda _service: self._view(running)), refresh=True)
                await asyncio.wait([sending], timeout=VIEW_S)
            await sending

    def _view(self, running: RunningService) -> RenderableType:
        """Draw the wards (on the fold thread)."""
        board = running.view.board
        return Group(render_board(board), render_feeds(running.feeds.snapshot(), board.clock()))

    def _summary(self, service: EmbeddedService) -> Table:
        counts = service.journal.counts()
        tally = service.host.pipeline.tally
        table = Table(title="Summary", show_header=False)
        for name in ("messages", "accepted", "dead_letters", "duplicates"):
            table.add_row(name.replace("_", " "), f"{counts.get(name, 0):,}")
        table.add_row("observations", f"{tally.observations:,}")
        table.add_row(
            "quarantined", ", ".join(f"{reason} {count}" for reason, count in sorted(tally.quarantined.items())) or "0"
        )
        table.add_row("patients", f"{tally.patients:,}")
        table.add_row("scores", f"{tally.scores:,}")
        table.add_row("alerts", ", ".join(f"{name} {count}" for name, count in sorted(tally.alerts.items())) or "0")
        table.add_row("until", to_iso(service.host.pipeline.control.clock))
        table.add_row("wall", f"{time.monotonic() - self._began:.1f} s")
        return table
