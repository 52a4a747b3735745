"""What we know now of each patient: the catalogue, the windows, the per-patient fold, the store port.

Owns the turning of clinical events into a patient's current state, and of that state into readings and vectors as of an
instant. Must not know brokers, stores, models or what any feature is used for.
"""

from features.catalogue import Catalogue, Feature, default_catalogue
from features.intake import Intake, Outcome
from features.reading import Reading
from features.state import PatientState
from features.store import FencedError, MemoryStateStore, StateStore
from features.units import UnitFault, to_canonical
from features.value import FUTURE_TOLERANCE_MS
from features.vector import VectorSpec

__all__ = [
    "FUTURE_TOLERANCE_MS",
    "Catalogue",
    "Feature",
    "FencedError",
    "Intake",
    "MemoryStateStore",
    "Outcome",
    "PatientState",
    "Reading",
    "StateStore",
    "UnitFault",
    "VectorSpec",
    "default_catalogue",
    "to_canonical",
]
