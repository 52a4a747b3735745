"""Model versions: what scores is frozen, named by its content, and plain to read.

Owns the version's shape, its canonical JSON and content hash, and loading with checks. Must not know
River, any file (callers bring the bytes), or how a version is scored with (models/scorer.py).

Formats 1 and 2 are a scaler and a logistic regression. Format 2 adds what the guardrails ask of a version: what it was
made on, and what became of held-back patients. Format 1 is read on, under its old hash; it has neither, and the chain
says so of each of its scores. Format 3 holds an ensemble (models/weights.py) in place of scaler and logistic, what its
scores are explained against, and the whole of its lineage (docs/decisions/0029). What a format does not have is not
written, so every version keeps its bytes and its id.
"""

from __future__ import annotations

import math
from hashlib import sha256

import msgspec

from events import Millis
from models import likeness as likeness_of
from models import venn as venn_of
from models import weights as weights_of
from models.drift import served as served_of
from models.drift import summary as monitored_of
from models.drift.served import GroupCounts
from models.drift.summary import Reference
from models.ensemble_scorer import slopes_of
from models.explaining import background as background_of
from models.explaining.background import Background
from models.likeness import Likeness
from models.rows import Inputs
from models.venn import VennTable
from models.weights import Ensemble

VERSION_BYTES_MAX = 4 * 1024 * 1024
"""A logistic takes 10 KB, an ensemble of 300 trees and 400 pairs about 0.7 MB; a record of the log takes no more."""

INPUTS_MAX = 1024
"""Inputs of a version: four times what this release computes."""

HORIZON_H_MAX = 366 * 24
"""A year, as the longest settling time: an alert says until when it predicts, and a date must be able to hold that."""

WEIGHT_MAX = 1e6
"""A weight past this is no result of learning on clipped inputs."""

FORMAT = 2
"""The version of this file format that a logistic is written in."""
ENSEMBLE_FORMAT = 3
"""And an ensemble."""
FORMATS_READ = (1, 2, ENSEMBLE_FORMAT)
"""Another is refused."""

_SUMMARIES = ("likeness", "venn")
_OF_LOGISTIC = ("means", "deviations", "weights", "intercept", "clip_sd")
_OF_ENSEMBLE = ("ensemble", "background", "importance", "monitored", "groups")
FIELDS_LACKING: dict[int, tuple[str, ...]] = {
    1: (*_SUMMARIES, *_OF_ENSEMBLE),
    2: _OF_ENSEMBLE,
    ENSEMBLE_FORMAT: _OF_LOGISTIC,
}
"""What a format does not have."""
LINEAGE_SINCE_3 = (
    "data_digest", "learned_until", "outcome", "code_commit", "lock_digest", "configuration_hash", "parent",
)  # fmt: skip
"""What the lineage of formats 1 and 2 does not have."""
WRITTEN_IF_ANY = ("groups",)
"""What versions of format 3 were first written without: where there is nothing of it, it is not written either."""


class VersionError(ValueError):
    """A model version that cannot be used. The blame is the operator's, who named it, or ours, who wrote it."""


class MalformedVersionError(VersionError):
    """Not the JSON of a model version: too long, wrong types, non-finite or inconsistent numbers."""


class VersionMismatchError(VersionError):
    """The content does not have the hash it is named by."""


class SchemaMismatchError(VersionError):
    """The version was trained on other inputs than this release computes."""


class Lineage(msgspec.Struct, frozen=True):
    """Where a version comes from. Times are stream times (milliseconds), never the wall clock's."""

    source: str
    """The data, in words: `simulated hospital`, `physionet2019`."""
    rows: int
    positives: int
    seed: int | None = None
    """The seed of the simulated data; the learner itself draws nothing."""
    first_time: Millis | None = None
    last_time: Millis | None = None
    patients: int | None = None
    outcome_kinds: tuple[str, ...] = ()
    code_version: str = ""
    evaluation: dict[str, float | int | None] = {}
    """Figures measured while training (prequential unless said otherwise)."""
    note: str = ""
    data_digest: str = ""
    """SHA-256, hexadecimal, over the rows that were learned, in their order."""
    learned_until: Millis | None = None
    """The newest moment at which a learned row's label was known; `first_time` and `last_time` are of the rows."""
    outcome: str = ""
    """Names the definition of the outcome, horizon included: two versions predict the same where it is equal."""
    code_commit: str = ""
    lock_digest: str = ""
    """SHA-256 over the names and versions of the libraries it was learned with, as they were installed."""
    configuration_hash: str = ""
    parent: str = ""
    """The version that it was learned on from; empty for one that began from nothing."""


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen model: in formats 1 and 2 a scaler and logistic regression, in format 3 an ensemble.

    The logistic's tuples run in the order of `inputs.all_names()`, all of the ensemble's in that of `inputs.names`.
    """

    inputs: Inputs
    schema_hash: str
    """Hash of what the inputs mean (models/inputs.py): names, units, indicators."""
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    """Standard deviations; 0 where an input never varied, and then it says nothing."""
    weights: tuple[float, ...] = ()
    intercept: float = 0.0
    clip_sd: float = 0.0
    ensemble: Ensemble | None = None
    background: Background | None = None
    """What its scores are explained against; None where no rows were at hand when it was frozen."""
    importance: tuple[float, ...] = ()
    """For each input how far it moved the score, on average over those rows (absolute log-odds). Empty: unknown."""
    monitored: Reference | None = None
    """What its monitors hold the present against; None: they take their first days for it."""
    horizon_h: int
    """The score is the probability of the outcome within this many hours."""
    threshold: float
    """Recommended probability at which to tell, from the declared costs; the ward's configuration decides."""
    threshold_release: float
    """Recommended probability below which a told episode has passed (hysteresis)."""
    cost_of_miss: float
    """One missed deterioration, in false alarms."""
    lineage: Lineage
    river_version: str
    likeness: Likeness | None = None
    """What it was made on, and how unlike that a row may be; None where too little was held back to say."""
    venn: VennTable | None = None
    """What became of held-back patients, by the probability they were given; None where they were too few."""
    groups: tuple[GroupCounts, ...] = ()
    """How it served each group of patients while it was made, of format 3; empty: nobody counted, or too few came."""
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """The content hash, `sha256:` and 64 hexadecimal digits."""
        return "sha256:" + sha256(dump(self)).hexdigest()

    @property
    def version(self) -> str:
        """The id people and scores use: the content hash's first 12 hexadecimal digits."""
        return self.digest[7:19]


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(ModelVersion)
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(ModelVersion)}


def dump(version: ModelVersion) -> bytes:
    """Write a version as canonical JSON: keys sorted, floats in their shortest round-trip form.

    What its format does not have is not written, so that a version of an older format keeps its bytes and its id.
    """
    fields = msgspec.structs.asdict(version)
    for name in (*FIELDS_LACKING.get(version.format, ()), *WRITTEN_IF_ANY):
        if fields.get(name) == _DEFAULTS[name]:
            fields.pop(name, None)
    if version.format < ENSEMBLE_FORMAT:
        lineage = msgspec.structs.asdict(version.lineage)
        fields["lineage"] = {
            name: value for name, value in lineage.items() if name not in LINEAGE_SINCE_3 or value not in ("", None)
        }
    return _encoder.encode(fields)


def load(data: bytes, *, schema_hash: str | None = None, version: str | None = None) -> ModelVersion:
    """Read and check what `dump` wrote.

    `schema_hash` is that of the inputs this release computes, `version` the id it is expected to have; either is
    checked where given. Raises `MalformedVersionError`, `SchemaMismatchError` or `VersionMismatchError`.

    >>> load(b"{}")
    Traceback (most recent call last):
    models.version.MalformedVersionError: Object missing required field `inputs`
    """
    if len(data) > VERSION_BYTES_MAX:
        raise MalformedVersionError(f"{len(data)} bytes, more than {VERSION_BYTES_MAX}")
    try:
        found = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedVersionError(str(error)) from None
    _check(found)
    if version is not None and found.version != version:
        raise VersionMismatchError(f"content is version {found.version}, asked for {version}")
    if schema_hash is not None and found.schema_hash != schema_hash:
        raise SchemaMismatchError(f"version {found.version} takes inputs {found.schema_hash}, we compute {schema_hash}")
    return found


def _check(found: ModelVersion) -> None:
    problem = (
        _problem_of_format(found)
        or _problem_of_inputs(found.inputs)
        or (_problem_of_logistic(found) if found.ensemble is None else _problem_of_ensemble(found, found.ensemble))
        or _problem_of_use(found)
        or (likeness_of.problem_of(found.likeness, found.inputs.names) if found.likeness else "")
        or (venn_of.problem_of(found.venn) if found.venn else "")
        or served_of.problem_of(found.groups)
    )
    if problem:
        raise MalformedVersionError(problem)


def _problem_of_format(found: ModelVersion) -> str:
    if found.format not in FORMATS_READ:
        return f"format {found.format}, this release reads {FORMATS_READ}"
    foreign = [name for name in FIELDS_LACKING[found.format] if getattr(found, name) != _DEFAULTS[name]]
    if found.format < ENSEMBLE_FORMAT:
        foreign += [f"lineage.{name}" for name in LINEAGE_SINCE_3 if getattr(found.lineage, name) not in ("", None)]
    if foreign:
        return f"format {found.format} has no {', '.join(foreign)}"
    if (found.format == ENSEMBLE_FORMAT) != (found.ensemble is not None):
        return f"format {found.format} without an ensemble"
    return ""


def _problem_of_inputs(inputs: Inputs) -> str:
    names = inputs.all_names()
    if not inputs.names or len(set(names)) != len(names) or set(inputs.indicators) - set(inputs.names):
        return "inputs are empty, doubled, or an indicator names no input"
    return f"{len(names)} inputs, more than {INPUTS_MAX}" if len(names) > INPUTS_MAX else ""


def _problem_of_logistic(found: ModelVersion) -> str:
    names = found.inputs.all_names()
    for label, values in (("means", found.means), ("deviations", found.deviations), ("weights", found.weights)):
        if len(values) != len(names):
            return f"{len(values)} {label} for {len(names)} inputs"
        if not all(math.isfinite(value) for value in values):
            return f"{label} are not all finite"
    if min(found.deviations) < 0 or max(abs(weight) for weight in (*found.weights, found.intercept)) > WEIGHT_MAX:
        return "a negative deviation, or a weight beyond all reason"
    if not (math.isfinite(found.intercept) and 0 < found.clip_sd < math.inf):
        return "intercept or clip is not finite"
    return ""


def _problem_of_ensemble(found: ModelVersion, ensemble: Ensemble) -> str:
    width = len(found.inputs.names)
    if problem := weights_of.problem_of(ensemble, width):
        return f"ensemble: {problem}"
    if (crossed := ensemble.crossed) is not None:
        lines = zip(crossed.knots, crossed.additive, strict=True)
        if not all(math.isfinite(slope) for knots, values in lines for slope in slopes_of(knots, values[1:])):
            return "ensemble: two knots are too close to draw a line between them"
    if found.background is not None and (problem := background_of.problem_of(found.background, ensemble)):
        return problem
    if found.monitored is not None and (problem := monitored_of.problem_of(found.monitored, found.inputs.names)):
        return problem
    if len(found.importance) not in (0, width) or not all(0.0 <= one < math.inf for one in found.importance):
        return "importance does not fit the inputs, or is negative or not finite"
    return "" if 0.0 < found.cost_of_miss < math.inf else "the cost of a miss is not above 0 and finite"


def _problem_of_use(found: ModelVersion) -> str:
    if not 0.0 < found.threshold_release <= found.threshold < 1.0 or not 0 < found.horizon_h <= HORIZON_H_MAX:
        return "thresholds or horizon out of range"
    return ""
