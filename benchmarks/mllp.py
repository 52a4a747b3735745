"""`wardstream run` and `wardstream gateway` over MLLP beside servers that only acknowledge: python-hl7's and HAPI's.

Owns the turns, the report, and the proof that what was acknowledged is in our journal, or in Kafka: a service that is
fast by losing is caught here. Must not know how any server works. `run` decodes, stores with fsync before it answers,
scores every patient and publishes; the gateway answers when a broker (one, on this machine) has the message; the peers
parse, answer and forget. Say so beside every ratio.

Run: `deploy/clients.sh`, then `.venv/bin/python benchmarks/mllp.py --seconds 5 --rounds 3`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from live_bench import Installation
from mllp_load import CONNECTIONS, Frame, Phase, closed_loop, open_loop
from mllp_servers import GATEWAY, RUN, Server, start_gateway, start_hapi, start_python_hl7, start_wardstream
from peer import messages

from connectors.kafka.reading import read_topic
from connectors.mllp.client import control_id_of
from connectors.sqlite.journal import SqliteJournal

PATIENTS = 1_000
ROUND = timedelta(seconds=1)
BEHIND = timedelta(hours=1)
"""The first values are so old, and no run lasts until they would be of the future: every value counts as one of now."""
MESSAGES_MAX = 3_000_000
IN_FLIGHT = (1, 16)
"""A connection that waits for each answer, as MLLP senders do; and one that does not."""
WARM_UP_S = 3.0
WARM_UPS_MAX = 8
STEADY = 1.1
"""Nothing is counted until a server is no more than a tenth faster than the time before: a JVM compiles for a while."""
FIRST_GUESS_PER_S = 20_000
ROOM = 1.5
"""Rendered for a phase: half as many again as the fastest phase so far would take."""
PER_S_TARGET = 1_000
P99_MS_TARGET = 50.0
OPEN_S_MIN = 10.0
"""An open loop needs 5,000 messages for a p99 that is worth its name."""
FSYNCS = 200
NAME_WIDTH = 24
STARTED = ("wardstream", "gateway", "python_hl7", "hapi")
PARTITIONS = 4
INGEST = "hl7v2.ingest.v1"
OPEN_FIGURES = (
    "rate_per_s",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "max_ms",
    "server_cpu_us_a_message",
    "generator_late_p99_ms",
    "behind_s",
)
CHECKS = ("lost", "unmatched", "not_aa", "not_kept")
"""`not_kept`: acknowledged, and neither in the journal nor in Kafka; of our servers only."""


@dataclass
class Contender:
    """One server under test, its own copy of the same traffic, and what was measured."""

    server: Server
    traffic: Iterator[bytes]
    fastest_per_s: float = FIRST_GUESS_PER_S / ROOM
    closed: dict[int, list[dict[str, Any]]] = field(default_factory=lambda: {depth: [] for depth in IN_FLIGHT})
    opened: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: list[bytes] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHECKS, 0))

    def take(self, count: int) -> list[Frame]:
        """Render the next messages, each with its MSH-10 and between MLLP's marks."""
        return [
            Frame(message.split(b"|", 10)[9], b"\x0b" + message + b"\x1c\r") for message in islice(self.traffic, count)
        ]

    def median_per_s(self, depth: int) -> float:
        """Give the median of the rounds."""
        return statistics.median([float(one["messages_per_s"]) for one in self.closed[depth]])


def measure(one: Contender, phase_of: Any, frames: list[Frame]) -> dict[str, Any]:
    """Run one phase against one server, wait until it is idle, and give the figures."""
    cpu_s = one.server.cpu_s()
    phase: Phase = asyncio.run(phase_of(one.server.port, frames))
    settle_s = one.server.settle()
    used_s = one.server.cpu_s() - cpu_s
    answers = phase.codes.total()
    one.acknowledged += phase.acknowledged
    one.faults["lost"] += phase.lost
    one.faults["unmatched"] += phase.unmatched
    one.faults["not_aa"] += answers - phase.codes["AA"]
    late = sorted(phase.lateness_s) or [0.0]
    figures = {
        "sent": phase.sent,
        "answers": dict(phase.codes),
        "seconds": phase.seconds,
        "messages_per_s": phase.per_s,
        "done_with_per_s": answers / (phase.seconds + settle_s),
        "behind_s": settle_s,
        "p50_ms": phase.quantile_ms(0.50),
        "p90_ms": phase.quantile_ms(0.90),
        "p99_ms": phase.quantile_ms(0.99),
        "max_ms": phase.quantile_ms(1.0),
        "generator_late_p99_ms": late[int(0.99 * (len(late) - 1))] * 1e3,
        "generator_cpu_share": phase.own_cpu_s / phase.seconds,
        "server_cpu_us_a_message": used_s / answers * 1e6 if answers else 0.0,
    }
    del frames, phase
    gc.collect()
    return figures


def run_closed(one: Contender, depth: int, seconds: float) -> dict[str, Any]:
    """Measure how many messages a second a server answers."""
    frames = one.take(int(ROOM * one.fastest_per_s * seconds))
    figures = measure(one, lambda port, given: closed_loop(port, iter(given), in_flight=depth, seconds=seconds), frames)
    one.fastest_per_s = max(one.fastest_per_s, figures["messages_per_s"])
    return figures


def run_open(one: Contender, per_s: float, seconds: float) -> dict[str, Any]:
    """Measure latencies at a fixed rate."""
    figures = measure(
        one, lambda port, given: open_loop(port, given, per_s=per_s), one.take(max(1, int(per_s * seconds)))
    )
    return {"rate_per_s": per_s, **figures}


def say(text: str) -> None:
    """Report progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def take_turns(contenders: list[Contender], seconds: float, rounds: int) -> None:
    """Warm each server up, then measure all of them in turn, each way, round by round."""
    for one in contenders:
        rates = [0.0]
        while len(rates) < 2 or (rates[-1] > STEADY * rates[-2] and len(rates) <= WARM_UPS_MAX):
            rates.append(run_closed(one, max(IN_FLIGHT), WARM_UP_S)["messages_per_s"])
            say(f"warming up, {one.server.name}: {rates[-1]:,.0f}/s")
        one.fastest_per_s = max(rates)
    for number in range(rounds):
        for depth in IN_FLIGHT:
            for one in contenders:
                figures = run_closed(one, depth, seconds)
                one.closed[depth].append(figures)
                say(
                    f"round {number + 1}/{rounds}, {depth} in flight, {one.server.name}: "
                    f"{figures['messages_per_s']:,.0f}/s, busy {figures['behind_s']:.1f} s longer"
                )
    for number in range(rounds + 1):
        for one in contenders:
            rate = PER_S_TARGET / 2 if number < rounds else one.median_per_s(1) / 2
            figures = run_open(one, rate, max(seconds, OPEN_S_MIN))
            one.opened.append(figures)
            say(f"open loop at {rate:,.0f}/s, {one.server.name}: p99 {figures['p99_ms']:.1f} ms")


def check_journal(one: Contender, folder: Path) -> int:
    """Count what was acknowledged with AA and is not in the journal; the service has stopped."""
    journal = SqliteJournal(folder, read_only=True)
    stored = {envelope.message_id for _offset, envelope in journal.read() if envelope.patient}
    journal.close()
    one.faults["not_kept"] = sum(control_id.decode() not in stored for control_id in one.acknowledged)
    return len(stored)


async def check_topic(one: Contender, installation: Installation) -> int:
    """Count what was acknowledged with AA and is not in the topic that the gateway writes."""
    stored = {control_id_of(record.value or b"") async for record in read_topic(installation.kafka, INGEST)}
    one.faults["not_kept"] = sum(control_id not in stored for control_id in one.acknowledged)
    return len(stored)


def probe_disk(folder: Path) -> dict[str, Any]:
    """Say what a file system the data lie on, and what one fsync of a page costs there."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    under = [(len(at), kind) for _device, at, kind, *_ in mounts if folder.resolve().is_relative_to(at)]
    times_s = []
    with (folder / "probe").open("wb") as file:
        for _ in range(FSYNCS):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times_s.append(time.perf_counter() - began)
    (folder / "probe").unlink()
    times_s.sort()
    return {
        "file_system": max(under)[1],
        "fsync_p50_ms": times_s[FSYNCS // 2] * 1e3,
        "fsync_p99_ms": times_s[int(FSYNCS * 0.99)] * 1e3,
    }


def report(contenders: list[Contender], disk: dict[str, Any]) -> bool:
    """Print the tables; give whether nothing was lost, refused or confused."""
    print(
        f"\n{CONNECTIONS} connections, messages of 8 observations, {PATIENTS:,} patients; {os.cpu_count()} cores; "
        f"{disk['file_system']}, fsync {disk['fsync_p50_ms']:.2f} ms (p99 {disk['fsync_p99_ms']:.2f})"
    )
    for depth in IN_FLIGHT:
        print(f"\nclosed loop, {depth} in flight a connection (median of {len(contenders[0].closed[depth])} rounds)")
        columns = ("msg/s", "least", "most", "ours is", "done/s", "p99 ms", "CPU µs", "gen CPU")
        print(" " * NAME_WIDTH + "".join(f"{column:>9}" for column in columns))
        ours = next((one.median_per_s(depth) for one in contenders if one.server.name == RUN), 0.0)
        for one in contenders:
            rates = [figures["messages_per_s"] for figures in one.closed[depth]]
            median = {
                name: statistics.median(figures[name] for figures in one.closed[depth])
                for name in ("done_with_per_s", "p99_ms", "server_cpu_us_a_message", "generator_cpu_share")
            }
            print(
                f"{one.server.name:{NAME_WIDTH}}{statistics.median(rates):9,.0f}{min(rates):9,.0f}{max(rates):9,.0f}"
                f"{ours / statistics.median(rates):8.2f}x{median['done_with_per_s']:9,.0f}{median['p99_ms']:9.1f}"
                f"{median['server_cpu_us_a_message']:9,.0f}{median['generator_cpu_share']:9.0%}"
            )
    print("\nopen loop, ms from when a message was due to its answer (median of the rounds; at half of its most: one)")
    columns = ("rate/s", "p50", "p90", "p99", "max", "CPU µs", "gen late", "behind s")
    print(" " * NAME_WIDTH + "".join(f"{column:>9}" for column in columns))
    for one in contenders:
        for runs in (one.opened[:-1], one.opened[-1:]):
            median = {name: statistics.median(figures[name] for figures in runs) for name in OPEN_FIGURES}
            print(f"{one.server.name:{NAME_WIDTH}}" + "".join(f"{median[name]:9,.1f}" for name in OPEN_FIGURES))
    print(
        "\ndone/s: answers until the server was idle again; ours scores after it has answered. CPU µs: of the server, a"
        "\nmessage, until then. gen: the load generator's own share of a core, and how late it was itself (p99, in ms)."
    )
    sound = True
    for one in contenders:
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in one.faults.items())
        print(f"{one.server.name}: {len(one.acknowledged):,} acknowledged with AA; {told}")
        sound = sound and not any(one.faults.values())
    for one in contenders:
        if one.server.name == RUN:
            best = one.median_per_s(1)
            p99_ms = statistics.median(figures["p99_ms"] for figures in one.opened[:-1])
            scored = statistics.median(figures["done_with_per_s"] for figures in one.closed[max(IN_FLIGHT)])
            print(
                f"\ntarget: at least {PER_S_TARGET:,} messages/s answered, each waiting for the one before: "
                f"{best:,.0f}: {_met(best >= PER_S_TARGET)}\n"
                f"target: p99 below {P99_MS_TARGET:.0f} ms at {PER_S_TARGET // 2}/s: {p99_ms:.1f}: "
                f"{_met(p99_ms < P99_MS_TARGET)}\n"
                f"beside it: answered and scored, what can go on for ever: {scored:,.0f} messages/s"
            )
    return sound


def _met(reached: bool) -> str:  # noqa: FBT001 - one word of the report
    return "reached" if reached else "NOT REACHED"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=5.0, help="of each phase")
    arguments.add_argument("--rounds", type=int, default=3, help="of turns; the median counts")
    arguments.add_argument("--folder", type=Path, help="where the data folder is made; on a real disk")
    arguments.add_argument("--only", nargs="+", choices=STARTED, help="these servers only")
    arguments.add_argument("--json", type=Path)
    return arguments.parse_args()


def start(name: str, folder: Path, installation: Installation) -> Server:
    """Start one server by its name in `STARTED`. Raises `FileNotFoundError` where what it needs is absent."""
    if name == "wardstream":
        return start_wardstream(folder / "data")
    if name == "gateway":
        installation.start_servers()
        return start_gateway(installation.config)
    return (start_python_hl7 if name == "python_hl7" else start_hapi)(folder)


def main() -> int:
    """Start the servers, take turns, stop them, check what is kept, report."""
    chosen = parse_arguments()
    first_time = datetime.now(UTC).replace(microsecond=0) - BEHIND
    contenders: list[Contender] = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as made:
        folder = Path(made)
        disk = probe_disk(folder)
        installation = Installation(folder, PARTITIONS, {})
        try:
            for name in chosen.only or STARTED:
                try:
                    server = start(name, folder, installation)
                except FileNotFoundError as absent:
                    print(absent, file=sys.stderr)
                    continue
                traffic = messages(PATIENTS, MESSAGES_MAX, first_time=first_time, step=ROUND)
                contenders.append(Contender(server, traffic))
            take_turns(contenders, chosen.seconds, chosen.rounds)
            resident = {one.server.name: one.server.resident_mib_max() for one in contenders}
            codes = {one.server.name: one.server.stop() for one in contenders}
            for one in contenders:
                if one.server.name == RUN:
                    stored = check_journal(one, folder / "data")
                    say(f"{len(one.acknowledged):,} acknowledged, {stored:,} in the journal")
                elif one.server.name == GATEWAY:
                    stored = asyncio.run(check_topic(one, installation))
                    say(f"{len(one.acknowledged):,} acknowledged, {stored:,} in Kafka")
        finally:
            for one in contenders:
                one.server.stop()
            installation.stop()
    sound = report(contenders, disk) and not any(codes.get(name, 0) for name in (RUN, GATEWAY))
    if chosen.json:
        figures = {
            one.server.name: {
                "closed": {str(depth): one.closed[depth] for depth in IN_FLIGHT},
                "open": one.opened,
                "faults": one.faults,
                "acknowledged": len(one.acknowledged),
                "resident_mib_max": resident[one.server.name],
                "exit_code": codes[one.server.name],
            }
            for one in contenders
        }
        chosen.json.write_text(json.dumps({"disk": disk, "cores": os.cpu_count(), "servers": figures}, indent=2) + "\n")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
