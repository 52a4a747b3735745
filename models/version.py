"""Model versions: what scores is frozen, named by its content, and plain to read.

Owns the version's shape, its canonical JSON and content hash, and loading with checks. Must not know
River, any file (callers bring the bytes), or how a version is scored with (models/scorer.py).

Format 2 adds what the guardrails ask of a version: what it was made on, and what became of held-back patients. Format 1
is read on, under its old hash; it has neither, and the chain says so of each of its scores.
"""

from __future__ import annotations

import math
from hashlib import sha256

import msgspec

from events import Millis
from models import likeness as likeness_of
from models import venn as venn_of
from models.likeness import Likeness
from models.rows import Inputs
from models.venn import VennTable

VERSION_BYTES_MAX = 1024 * 1024
"""A hundred inputs take about 10 KB; past a megabyte it is not one of ours."""

WEIGHT_MAX = 1e6
"""A weight past this is no result of learning on clipped inputs."""

FORMAT = 2
"""The version of this file format that is written."""
FORMATS_READ = (1, 2)
"""Another is refused."""
SUMMARIES = ("likeness", "venn")
"""What format 1 does not have."""


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


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen scaler and logistic regression. Tuples run in the order of `inputs.all_names()`."""

    inputs: Inputs
    schema_hash: str
    """Hash of what the inputs mean (models/inputs.py): names, units, indicators."""
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    """Standard deviations; 0 where an input never varied, and then it says nothing."""
    weights: tuple[float, ...]
    intercept: float
    clip_sd: float
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


def dump(version: ModelVersion) -> bytes:
    """Write a version as canonical JSON: keys sorted, floats in their shortest round-trip form.

    One of format 1 is written as that format has it, so that it keeps its id.
    """
    if version.format > 1:
        return _encoder.encode(version)
    fields = msgspec.structs.asdict(version)
    return _encoder.encode({name: value for name, value in fields.items() if name not in SUMMARIES})


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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedVersionError(str(error)) from None
    _check(found)
    if version is not None and found.version != version:
        raise VersionMismatchError(f"content is version {found.version}, asked for {version}")
    if schema_hash is not None and found.schema_hash != schema_hash:
        raise SchemaMismatchError(f"version {found.version} takes inputs {found.schema_hash}, we compute {schema_hash}")
    return found


def _check(found: ModelVersion) -> None:
    if found.format not in FORMATS_READ:
        raise MalformedVersionError(f"format {found.format}, this release reads {FORMATS_READ}")
    if found.format == 1 and (found.likeness or found.venn):
        raise MalformedVersionError("format 1 has no summaries")
    names = found.inputs.all_names()
    if (
        not found.inputs.names
        or len(set(names)) != len(names)
        or set(found.inputs.indicators) - set(found.inputs.names)
    ):
        raise MalformedVersionError("inputs are empty, doubled, or an indicator names no input")
    for label, values in (("means", found.means), ("deviations", found.deviations), ("weights", found.weights)):
        if len(values) != len(names):
            raise MalformedVersionError(f"{len(values)} {label} for {len(names)} inputs")
        if not all(math.isfinite(value) for value in values):
            raise MalformedVersionError(f"{label} are not all finite")
    if min(found.deviations) < 0 or max(abs(weight) for weight in (*found.weights, found.intercept)) > WEIGHT_MAX:
        raise MalformedVersionError("a negative deviation, or a weight beyond all reason")
    if not (math.isfinite(found.intercept) and 0 < found.clip_sd < math.inf):
        raise MalformedVersionError("intercept or clip is not finite")
    if not 0.0 < found.threshold_release <= found.threshold < 1.0 or found.horizon_h <= 0:
        raise MalformedVersionError("thresholds or horizon out of range")
    problem = (likeness_of.problem_of(found.likeness, found.inputs.names) if found.likeness else "") or (
        venn_of.problem_of(found.venn) if found.venn else ""
    )
    if problem:
        raise MalformedVersionError(problem)
