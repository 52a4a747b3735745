"""`wardstream live`: a real broker, Redis, gateway, workers and learner on this machine, without Docker.

Owns the command: its options, signals, what it prints, and following the logs. Must not know what a process does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from typing import Any

import click

from connectors.local.ports import LOOPBACK
from connectors.local.processes import LocalError, mark_of, write_mark
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.live_bench import HERE, WORKERS_MAX, Bench, health_port, processes, stop_all, supervisor

FOLLOW_S = 0.25
"""How often logs are looked at for something new, and processes for one that died."""
DOWN_S = 150.0
"""How long `down` waits for `up` to stop everything in order before it does so itself."""
ANSWER_S = 2.0
"""How long a process may take to say how it is."""
READ_BYTES_MAX = 1 << 20
"""Of one log at a time: a process that writes without end does not keep the others from being shown."""

HELP = """Run the live service on this machine: Kafka, Redis, gateway, workers and learner, from one folder.

A bench for trying and testing, not a deployment: one broker and one Redis, on loopback, without passwords. What is
stored lives in the folder, and is there the next time. It needs Java, redis-server and Kafka's jars (`make broker`).

\b
Try it:
  wardstream live up --workers 2
  wardstream simulate mllp://127.0.0.1:2575 --start now --speed 60      (in another terminal)
  wardstream live status
  wardstream live down
"""

folder_option = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("live"),
    show_default=True,
    help="Where data, logs, pid files and configurations lie.",
)


@click.group("live", help=HELP)
def command() -> None:
    """Group `up`, `down` and `status`."""


@command.command("up")
@folder_option
@click.option("--workers", type=click.IntRange(1, WORKERS_MAX), default=1, show_default=True)
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A site's wardstream.toml: what is decided by is kept, the broker and Redis are the bench's.",
)
@click.option("--quiet", is_flag=True, help="Do not show the processes' logs; they are in the folder.")
def up(folder: Path, workers: int, config_path: Path | None, *, quiet: bool) -> int:
    """Start everything, say where each listens, follow the logs; Ctrl-C stops all."""
    folder.mkdir(parents=True, exist_ok=True)
    if supervisor(folder).running:
        raise LocalError(f"`wardstream live up` runs already in {folder}: see `wardstream live status`")
    base = config_path.read_text(encoding="utf-8") if config_path else ""
    with _told_to_stop() as told:
        mark = mark_of(os.getpid())
        assert mark is not None, "we run"
        write_mark(folder / HERE, mark)
        try:
            stop_all(folder, click.echo)  # what an `up` that was killed has left
            bench = Bench(folder, workers, base=base)
            logs = _Following(bench) if not quiet else None
            bench.start(click.echo, told)
            click.echo(f"{'ready':<10} any command finds this bench with --config {bench.site}; Ctrl-C stops it")
            while not told():
                bench.tend(click.echo)
                if logs is not None:
                    logs.show()
                time.sleep(FOLLOW_S)
        finally:
            stop_all(folder, click.echo)
            (folder / HERE).unlink(missing_ok=True)
    return EXIT_DONE


@command.command("down")
@folder_option
def down(folder: Path) -> int:
    """Stop what `up` started in this folder, and nothing else."""
    running = supervisor(folder)
    found = running.running or any(child.running for child in processes(folder))
    if not running.stop(DOWN_S):
        click.echo("`wardstream live up` did not end in order; what it left is stopped now", err=True)
    stop_all(folder, click.echo)
    click.echo("stopped" if found else f"nothing runs in {folder}")
    return EXIT_DONE


@command.command("status")
@folder_option
def status(folder: Path) -> int:
    """Say what runs and whether it is well, a line of JSON each; exit code 1 where anything is not."""
    well = True
    found = processes(folder)
    for child in [supervisor(folder), *found]:
        mark = child.mark
        line: dict[str, Any] = {"process": child.name, "running": mark is not None, "pid": mark.pid if mark else None}
        port = health_port(folder, child.name)
        if port:
            line |= {"health": f"http://{LOOPBACK}:{port}/health/ready"} | _ask_health(port)
        if child.log.exists():
            line["log"] = str(child.log)
        well = well and mark is not None and line.get("well", True)
        click.echo(json.dumps(line))
    return EXIT_DONE if well and found else EXIT_FAILED


def _ask_health(port: int) -> dict[str, Any]:
    """Ask a process how it is; one that does not answer is not well."""
    connection = HTTPConnection(LOOPBACK, port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        told = json.loads(answer.read())
        return {"well": answer.status == HTTPStatus.OK, "problems": told.get("problems", [])}
    except (OSError, HTTPException, ValueError) as fault:
        return {"well": False, "problems": [f"no answer: {type(fault).__name__}"]}
    finally:
        connection.close()


class _Following:
    """Shows what is new in each log, from now on, a line at a time with the process's name."""

    def __init__(self, bench: Bench) -> None:
        self._offsets = {name: (path, path.stat().st_size if path.exists() else 0) for name, path in bench.logs()}

    def show(self) -> None:
        for name, (path, offset) in self._offsets.items():
            if not path.exists():
                continue
            with path.open("rb") as log:
                log.seek(offset)
                whole, newline, _ = log.read(READ_BYTES_MAX).rpartition(b"\n")
            for line in whole.splitlines() if newline else ():
                click.echo(f"{name:<10} {line.decode(errors='replace')}")
            self._offsets[name] = (path, offset + len(whole) + len(newline))


@contextmanager
def _told_to_stop() -> Iterator[Callable[[], bool]]:
    """Give the question whether SIGINT or SIGTERM came while the block runs.

    It is asked between two steps: an exception in the middle of one could leave a process that no pid file names.
    """
    came: list[int] = []

    def told(number: int, _frame: FrameType | None) -> None:
        if not came:
            os.write(sys.stderr.fileno(), b"stopping\n")
        came.append(number)

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
