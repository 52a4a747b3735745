"""Training a first version on the simulated hospital, through the same pipeline as any replay.

Owns that run and its lineage. Must not know how a version scores or a hospital lives. The outcomes are read from the
traffic by the outcome definition, as at a real site, and mature as late as they would there.

The last third of the stream is held back: learning ends there, and of patients first scored from then on the version
gets its summaries (models/holding.py).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from connectors.hospital.hospital import START_TIME
from connectors.hospital.wards import CRITICAL_CARE_WARD
from connectors.memory import MemoryJournal
from events import MILLIS_PER_DAY
from features.store import MemoryStateStore
from models.version import Lineage, ModelVersion
from stream.candidates import frozen
from stream.host import EmbeddedHost
from stream.identity import IdentityMap, Pseudonyms
from stream.learning import LearnerFold
from stream.outcomes import OutcomeDefinition
from stream.parse import Parser, RecentMessages
from stream.release import Release
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

BATCH = 500
HELD_BACK_SHARE = 1 / 3
"""Of the stream: outcomes enough for a rate of 0.5 % to be stated of two thirds of its patients."""


def train_on_hospital(
    *, seed: int, beds: int, days: int, code_version: str, on_day: Callable[[int], None] = lambda _day: None
) -> tuple[ModelVersion, str]:
    """Train; give the version and one line on how it did. The same arguments give the same version, byte for byte."""
    settings = Settings()
    border = START_TIME + round(days * (1.0 - HELD_BACK_SHARE)) * MILLIS_PER_DAY
    fold = LearnerFold(OutcomeDefinition(critical_care_wards=frozenset({CRITICAL_CARE_WARD})), border)
    host = EmbeddedHost(
        MemoryJournal(),
        MemoryStateStore(),
        Parser(IdentityMap(Pseudonyms()), RecentMessages()),
        versions={},
        carry_out=lambda _effects, _offsets: None,
        learner=fold,
        durable=False,
    )
    host.release(Release(settings, code_version), START_TIME)
    arrivals = arrivals_of(hospital_stream(seed=seed, beds=beds, hours=days * 24), settings)
    while batch := list(islice(arrivals, BATCH)):
        host.accept(batch)
        host.fold()
        on_day(((batch[-1].received_time or START_TIME) - START_TIME) // MILLIS_PER_DAY)
    fold.finish()
    version = frozen(
        fold,
        Lineage(
            source="simulated hospital",
            rows=0,
            positives=0,
            seed=seed,
            first_time=fold.first_time,
            last_time=fold.last_time,
            patients=sum(first < border for first in fold.patients.values()),
            outcome_kinds=fold.joiner.kinds,
            code_version=code_version,
            note=f"{beds} beds, {days} days, the last third held back; rehearsal data of this project, no real patient",
        ),
    )
    figures = fold.prequential.accumulator.figures()
    beside = fold.news2.figures()
    return version, (
        f"{figures.rows} rows, {figures.positives} positives, prequential AUROC {figures.auroc:.3f} "
        f"(NEWS2 {beside.auroc:.3f}), calibration error {figures.calibration_error:.4f}"
    )
