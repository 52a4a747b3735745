"""The live service end to end: bytes on hl7v2.ingest.v1 to alerts on alerts.v1, broker and Redis on the same machine.

Owns the phases, their figures and the report. Must not know how a stage works. It starts a broker, a Redis and real
`wardstream worker` processes of its own; 100,000 patients have a day of history each (`live_states`).

Run: `make bench-live`; ten minutes of it: `.venv/bin/python benchmarks/live.py --seconds 600 --per-s 1000 1700`.
A run at half the target follows, for the latencies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from live_bench import INGEST, Installation, quantile
from live_peer import Peer
from live_states import preload
from live_traffic import Traffic

from connectors.kafka.reading import log_range, read_topic
from events import from_iso
from stream.cli.options import read_pseudonyms

PATIENTS = 100_000
PARTITIONS = 8
MINUTE_SHARE = 0.1
PER_S_TARGET = 1_000
P99_MS_TARGET = 500.0
PEER_RATIO_TARGET = 5.0
PEER_PER_S = 1_000.0
"""More than the peer can do, and not so much that the broker is busy with it."""
PEER_SECONDS = 30.0
FLAT_OUT_PER_S = 5_000.0
"""More than can be done: how long until all of it is through says how much can."""
FLAT_OUT_SECONDS = 15.0
WARM_PER_S = 4_000
DRAIN_S = 900.0
KEPT_UP = 0.98
"""Of a rate: a run's last messages are on their way when the others are through."""
BEHIND_S_MAX = 3.0
"""A rate is kept up with where all is through so soon after the last message: the waits of three stages, and a look."""
LAYOUTS = {
    "1": {"w1": "parse,patient,ward"},
    "2": {"w1": "parse,patient,ward", "w2": "parse,patient,ward"},
    "4": {f"w{number}": "parse,patient,ward" for number in range(1, 5)},
    "split": {"parse": "parse", "patient": "patient", "ward": "ward"},
}
"""Workers by name and stages."""


def say(text: str) -> None:
    """Report progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Bench:
    """One installation with its patients, and the place in the traffic."""

    def __init__(self, folder: Path, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.traffic = Traffic(chosen.patients, chosen.partitions)
        per_partition = -(-chosen.patients // chosen.partitions) * 2
        live = {"live_records_max": per_partition, "canary": False, **dict(chosen.live)}
        self.installation = Installation(folder, chosen.partitions, live, profiled=chosen.profile)
        self.next = 0

    def load(self, per_s: float, count: int, *, well: bool = False, topic: str = INGEST) -> subprocess.Popen[str]:
        """Start the generator on the next messages."""
        kafka = self.installation.kafka
        told = {
            "bootstrap": kafka.bootstrap, "prefix": kafka.prefix, "partitions": kafka.partitions,
            "patients": self.traffic.patients, "per_s": per_s, "first": self.next, "count": count, "well": well,
            "topic": topic,
        }  # fmt: skip
        self.next += count if topic == INGEST else 0
        program = str(Path(__file__).with_name("live_load.py"))
        return subprocess.Popen(  # noqa: S603 - our own generator
            [sys.executable, program, json.dumps(told)], stdout=subprocess.PIPE, text=True
        )

    def warm_up(self) -> dict[str, float]:
        """Let the workers meet every patient once, so that their records are in memory as they are in service."""
        began = time.perf_counter()
        generator = self.load(WARM_PER_S, self.traffic.patients, well=True)
        generated = json.loads(_answer(generator))
        ended = self.installation.drain(DRAIN_S)
        return {"seconds": ended - began, "per_s": generated["sent"] / (ended - began)}

    def run(self, per_s: float, seconds: float) -> dict[str, Any]:
        """Send at a rate for a time, let all of it drain, and give the figures."""
        installation = self.installation
        since = {number: end for number, (_, end) in asyncio.run(log_range(installation.kafka, "alerts.v1")).items()}
        outputs = asyncio.run(installation.ends("scores.v1", "deadletters.v1"))
        before, done_before, wall = installation.used(), installation.done(), time.time()
        generator = self.load(per_s, int(per_s * seconds))
        peak = self._watch(generator, done_before)
        generated = json.loads(_answer(generator))
        ended = installation.drain(DRAIN_S)
        used = installation.used().since(before)
        used.cpu_s["generator"] = generated["cpu_s"]
        took_s = ended - before.at - (generated["begun"] - wall)
        sent = generated["sent"]
        latencies = asyncio.run(self._latencies(since))
        after = asyncio.run(installation.ends("scores.v1", "deadletters.v1"))
        return {
            "offered_per_s": per_s,
            "sent": sent,
            "seconds": took_s,
            "per_s": sent / took_s,
            "behind_s": took_s - generated["seconds"],
            "steady_per_s": peak,
            "scores": after["scores.v1"] - outputs["scores.v1"],
            "dead_letters": after["deadletters.v1"] - outputs["deadletters.v1"],
            "floor_alerts": len(latencies),
            "p50_ms": quantile(latencies, 0.5),
            "p99_ms": quantile(latencies, 0.99),
            "max_ms": quantile(latencies, 1.0),
            "generator_late_p99_ms": generated["late_p99_ms"],
            "cpu_us_a_message": {name: cpu / sent * 1e6 for name, cpu in used.cpu_s.items()},
            "cpu_share": {name: cpu / took_s for name, cpu in used.cpu_s.items()},
            "resident_mb": installation.resident_mb(),
        }

    def run_peer(self, workers: int, per_s: float, seconds: float) -> dict[str, Any]:
        """Have the peer do the same work on the same servers."""
        peer = Peer(self.installation, self.traffic, workers)
        try:
            peer.prepare(self.chosen.minute_share)
            peer.start()
            return peer.measure(self.load(per_s, int(per_s * seconds), topic="peer.ingest"))
        finally:
            peer.stop()

    def _watch(self, generator: subprocess.Popen[str], before: dict[str, int]) -> dict[str, float]:
        """Follow the stages until the generator ends; give each one's records a second over the second half."""
        began = time.perf_counter()
        looks: list[tuple[float, dict[str, int]]] = [(began, before)]
        told = began
        while generator.poll() is None:
            time.sleep(0.5)
            looks.append((time.perf_counter(), self.installation.done()))
            if looks[-1][0] - told > 10:
                told = looks[-1][0]
                rates = _rates(looks[max(0, len(looks) - 20)], looks[-1])
                say("  " + ", ".join(f"{stage} {rate:,.0f}/s" for stage, rate in rates.items()))
            if len(looks) > 2 and generator.poll() is not None:
                break
            self._check()
        return _rates(looks[len(looks) // 2], looks[-1])

    def _check(self) -> None:
        if dead := self.installation.dead():
            raise RuntimeError(f"workers died: {dead}")

    async def _latencies(self, since: dict[int, int]) -> list[float]:
        """Give, of each floor alert raised, the ms from when its cause was received to its record's time."""
        found = []
        async for record in read_topic(self.installation.kafka, "alerts.v1", since=since):
            alert = msgspec.json.decode(record.value or b"{}")
            if alert["trigger"] == "news2_floor" and alert["state"] == "raised":
                found.append(float(record.record_time - from_iso(alert["received_time"])))
        return found


def _answer(process: subprocess.Popen[str]) -> str:
    answer, _ = process.communicate()
    if process.returncode:
        raise RuntimeError("the load generator failed; what it says is above")
    return answer


def _rates(first: tuple[float, dict[str, int]], last: tuple[float, dict[str, int]]) -> dict[str, float]:
    took_s = max(last[0] - first[0], 1e-9)
    return {stage: (last[1][stage] - first[1][stage]) / took_s for stage in last[1]}


def tell(layout: str, figures: dict[str, Any]) -> None:
    """Print one run."""
    print(
        f"\n{layout} workers, {figures['offered_per_s']:,.0f}/s offered: {figures['sent']:,} messages in "
        f"{figures['seconds']:.1f} s = {figures['per_s']:,.0f}/s, {figures['behind_s']:.1f} s behind at the end; "
        f"{figures['scores']:,} scores; {figures['floor_alerts']:,} floor alerts, p50 {figures['p50_ms']:.0f} ms, "
        f"p99 {figures['p99_ms']:.0f}, max {figures['max_ms']:.0f}; generator late p99 "
        f"{figures['generator_late_p99_ms']:.0f} ms"
    )
    for title, name, form in (
        ("CPU µs a message", "cpu_us_a_message", "{:,.0f}"),
        ("share of a core", "cpu_share", "{:.0%}"),
        ("resident MB", "resident_mb", "{:,.0f}"),
    ):
        told = ", ".join(f"{process} {form.format(used)}" for process, used in figures[name].items())
        print(f"  {title:17} {told}; together {form.format(sum(figures[name].values()))}")
    sys.stdout.flush()


def conclude(results: list[dict[str, Any]]) -> bool:
    """Print what was aimed at beside what was reached; give whether every message came to a score."""
    ours = [one for one in results if "floor_alerts" in one]
    lost = sum(max(one["sent"] - one["scores"], 0) + one["dead_letters"] for one in ours)
    print(f"\n{sum(one['sent'] for one in ours):,} messages sent, {lost} without a score")
    steady = [one for one in ours if one["kind"] == "rate" and one["behind_s"] < BEHIND_S_MAX]
    best = max((one["per_s"] for one in steady), default=0.0)
    if any(one["kind"] == "rate" for one in ours):
        print(f"target: {PER_S_TARGET:,} messages/s kept up with: {best:,.0f}: {_met(best >= KEPT_UP * PER_S_TARGET)}")
    halves = [one["p99_ms"] for one in ours if one["kind"] == "half"]
    if halves:
        met = _met(max(halves) < P99_MS_TARGET)
        print(f"target: p99 of floor alerts below {P99_MS_TARGET:.0f} ms at half of it: {max(halves):.0f}: {met}")
    peers = [one for one in results if one["kind"] == "peer"]
    of_workers = {one["layout"]: one["per_s"] for one in ours if one["kind"] == "flat out"}
    flat = [of_workers[str(one["workers"])] for one in peers if str(one["workers"]) in of_workers]
    if flat:
        peer = peers[0]["per_s"]
        ratio = flat[0] / peer
        print(
            f"target: {PEER_RATIO_TARGET:.0f} times the peer: {flat[0]:,.0f}/s flat out, the peer {peer:,.0f}/s: "
            f"{ratio:.1f}: {_met(ratio >= PEER_RATIO_TARGET)} (the peer does less: see its docstring)"
        )
    return not lost


def _met(reached: bool) -> str:  # noqa: FBT001 - one word of the report
    return "reached" if reached else "NOT REACHED"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=60.0, help="of each run at a rate")
    arguments.add_argument("--per-s", type=float, nargs="*", default=[1_000.0, 1_700.0], help="offered, one run each")
    arguments.add_argument("--layouts", nargs="+", default=["2"], choices=LAYOUTS, help="the rates are the first's")
    arguments.add_argument("--no-flat-out", action="store_true", help="only the rates")
    arguments.add_argument("--patients", type=int, default=PATIENTS)
    arguments.add_argument("--partitions", type=int, default=PARTITIONS)
    arguments.add_argument("--minute-share", type=float, default=MINUTE_SHARE, help="of patients, charted each minute")
    arguments.add_argument("--peer", type=int, default=0, metavar="WORKERS", help="the peer too, with so many workers")
    arguments.add_argument("--no-warm-up", action="store_true", help="records come from Redis as they are met")
    arguments.add_argument("--live", nargs="*", default=[], metavar="KEY=JSON", help="further [live] settings")
    arguments.add_argument("--profile", action="store_true", help="profile the workers: no figure of such a run counts")
    arguments.add_argument("--folder", type=Path, help="where the servers' data are made")
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    chosen.live = [(key, json.loads(value)) for key, _, value in (one.partition("=") for one in chosen.live)]
    return chosen


def run_layout(bench: Bench, layout: str, rates: list[float]) -> list[dict[str, Any]]:
    """Measure one set of workers: flat out, at each rate, and at half the target."""
    chosen, installation = bench.chosen, bench.installation
    installation.start_workers(LAYOUTS[layout])
    if not chosen.no_warm_up:
        say(f"{layout}: warm-up {bench.warm_up()}")
    runs = [] if chosen.no_flat_out else [("flat out", FLAT_OUT_PER_S, FLAT_OUT_SECONDS)]
    runs += [("rate", per_s, chosen.seconds) for per_s in rates]
    runs += [("half", PER_S_TARGET / 2, chosen.seconds)] if rates else []
    results = []
    for kind, per_s, seconds in runs:
        figures = {"layout": layout, "kind": kind, **bench.run(per_s, seconds)}
        tell(layout, figures)
        results.append(figures)
    installation.stop_workers()
    if chosen.profile:
        for name in LAYOUTS[layout]:
            print(f"\n{name}: {installation.log_of(name).decode().partition('profile:')[2]}")
    return results


def main() -> int:
    """Prepare, run, report."""
    chosen = parse_arguments()
    # A run that is told to stop ends its broker, its Redis and its workers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results: list[dict[str, Any]] = []
    if chosen.folder is not None:
        chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as made:
        bench = Bench(Path(made), chosen)
        installation = bench.installation
        try:
            installation.start_servers()
            prepared = preload(bench.traffic, installation.redis, read_pseudonyms(), chosen.minute_share)
            say(f"{prepared}")
            installation.promote()
            for place, layout in enumerate(chosen.layouts):
                results += run_layout(bench, layout, [] if place else chosen.per_s)
            if chosen.peer:
                figures = {"kind": "peer", **bench.run_peer(chosen.peer, PEER_PER_S, PEER_SECONDS)}
                results.append(figures)
                print(f"\nthe peer, {chosen.peer} workers: {figures['per_s']:,.0f}/s; {figures['cpu_us_a_message']}")
        finally:
            installation.stop()
    sound = conclude(results)
    if chosen.json:
        told = {"cores": os.cpu_count(), "prepared": prepared, "runs": results}
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
