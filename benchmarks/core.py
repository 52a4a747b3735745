"""The core against a straightforward pipeline, in one run: ORU^R01 bytes with 8 OBX to verdicts, on one core.

Owns the comparison and its report. Must not know how either side works. Run: `make bench`, or
`.venv/bin/python benchmarks/core.py --messages 20000`.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import time
from pathlib import Path

from peer import PeerPipeline, messages

from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from events import CodeVersion, Configuration, Envelope, Promotion
from features.catalogue import default_catalogue
from features.store import MemoryStateStore
from stream.control import Control
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages
from stream.pipeline import Pipeline
from stream.records import RecordShelf
from stream.settings import Settings, configuration_hash, configuration_text
from stream.versions import choose_version, load_versions

PATIENTS = 500
SLICE = 500
"""The two sides take turns, so that what else the machine does falls on both alike."""
BATCHES = (1, 50)
"""Each message through everything before the next; and as a host does it, who takes a batch in and then folds it."""
MESSAGES_PER_S_TARGET = 5_000
RATIO_TARGET = 15


class Core:
    """The core as a host drives it, without the host."""

    def __init__(self) -> None:
        catalogue = default_catalogue()
        versions, _wrong = load_versions()
        self.shelf = RecordShelf(MemoryStateStore(), catalogue)
        self.pipeline = Pipeline(self.shelf, Control(versions))
        settings = Settings()
        for event in (
            CodeVersion(0, "benchmark"),
            Configuration(0, configuration_hash(settings), configuration_text(settings)),
            Promotion(0, choose_version("", versions), enabled=True),
        ):
            self.pipeline.step(Envelope("control", "", 0, 0, (event,)))
        self.parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
        self.hl7 = Hl7Settings()

    def handle(self, batch: list[bytes]) -> object:
        """Take messages from bytes to effects in the order of a host: all decoded, all parsed, all folded."""
        decoded = [decode(message, self.hl7) for message in batch]
        parsed = [self.parser.step(one, one.sent_time or 0, "")[0] for one in decoded]
        step = self.pipeline.step
        return [step(envelope) for envelope in parsed if isinstance(envelope, Envelope)]


class Peer:
    """The peer, handed a batch: it has one order only."""

    def __init__(self) -> None:
        self.pipeline = PeerPipeline()

    def handle(self, batch: list[bytes]) -> object:
        """Take messages one by one."""
        return [self.pipeline.handle(message) for message in batch]


def compare(count: int, batch: int) -> dict[str, float]:
    """Give messages a second of both sides and the ratio; the first slice of each is warm-up and not counted."""
    core, peer = Core(), Peer()
    stream = list(messages(PATIENTS, count, seed=7))
    spent_s = {"core": 0.0, "peer": 0.0}
    counted = 0
    for start in range(0, count, SLICE):
        part = stream[start : start + SLICE]
        batches = [part[at : at + batch] for at in range(0, len(part), batch)]
        for name, handle in (("core", core.handle), ("peer", peer.handle)):
            began = time.perf_counter()
            for one in batches:
                handle(one)
            if start:
                spent_s[name] += time.perf_counter() - began
        counted += len(part) if start else 0
    return {
        "batch": batch,
        "messages": counted,
        "core_messages_per_s": counted / spent_s["core"],
        "peer_messages_per_s": counted / spent_s["peer"],
        "ratio": spent_s["peer"] / spent_s["core"],
    }


def profile(count: int, lines: int) -> None:
    """Print where the core's time goes."""
    core = Core()
    stream = list(messages(PATIENTS, count, seed=7))
    profiler = cProfile.Profile()
    profiler.enable()
    for message in stream:
        core.handle([message])
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(lines)


def main() -> None:
    """Run the comparison, print it and, where asked, write it as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=10_000)
    arguments.add_argument("--profile", type=int, default=0, metavar="LINES", help="print a profile instead")
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    if chosen.profile:
        profile(chosen.messages, chosen.profile)
        return
    results = [compare(chosen.messages, batch) for batch in BATCHES]
    for result in results:
        print(f"{result['batch']:3} messages a batch, one core, {result['messages']:,} messages")
        print(f"  core  {result['core_messages_per_s']:8,.0f} messages/s   (target {MESSAGES_PER_S_TARGET:,})")
        print(f"  peer  {result['peer_messages_per_s']:8,.0f} messages/s   python-hl7 + fhir.resources + River")
        print(f"  ratio {result['ratio']:8.1f}              (target {RATIO_TARGET})")
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
