"""A model version that answers as a story needs it.

Owns how one is made of the version that ships. Must not know a story's steps. Everything but the answer is the shipped
version's: its inputs, its horizon, what it was validated on.
"""

from __future__ import annotations

import math
from functools import lru_cache

import msgspec

from models.drift.served import GroupCounts, problem_of
from models.likeness import FALSE_RATE, Likeness, Shape
from models.venn import COVERAGE, Category, VennTable
from models.version import ENSEMBLE_FORMAT, FORMAT, ModelVersion
from models.weights import Crossed, Ensemble
from stream.scenarios.words import Model
from stream.versions import load_versions, shipped_version

ROWS, PATIENTS = 1_000, 100
"""What a stand-in says it was made on."""


class StandInError(ValueError):
    """A stand-in that cannot be made; the text says what is wrong with it."""


def risk_of(text: str) -> float:
    """Read `40 %`.

    >>> risk_of("40 %")
    0.4
    """
    try:
        risk = float(text.removesuffix("%").strip()) / 100
    except ValueError:
        risk = math.nan
    if not text.endswith("%") or not 0.0 < risk < 1.0:
        raise StandInError(f"risk {text!r}; expected a percentage between 0 and 100, such as `40 %`")
    return risk


def make_stand_in(model: Model) -> ModelVersion:
    """Make a version of a story's model; raises `StandInError`.

    >>> make_stand_in(Model(risk="50 %")).intercept
    0.0
    """
    shipped = msgspec.structs.replace(_shipped(), likeness=_likeness(model), venn=_venn(model), format=FORMAT)
    if model.served:
        return _served(model, shipped)
    if model.risk:
        weights = (0.0,) * len(shipped.weights)
        return msgspec.structs.replace(shipped, weights=weights, intercept=_logit(risk_of(model.risk)))
    names = shipped.inputs.all_names()
    if model.follows not in names or model.low is None or model.high is None or model.low.at == model.high.at:
        raise StandInError(f"follows: {model.follows!r}; expected an input of the model, with `low` and `high` apart")
    place = names.index(model.follows)
    at_low, at_high = _logit(risk_of(model.low.risk)), _logit(risk_of(model.high.risk))
    slope = (at_high - at_low) / (model.high.at - model.low.at)
    reach = abs(model.high.at - model.low.at)
    return msgspec.structs.replace(
        shipped,
        means=_put(shipped.means, place, model.low.at),
        deviations=_put(shipped.deviations, place, reach),
        weights=_put((0.0,) * len(names), place, slope * reach),
        intercept=at_low,
        clip_sd=max(shipped.clip_sd, 1.0),
    )


def _served(model: Model, shipped: ModelVersion) -> ModelVersion:
    """Make a version of format 3 that brings counts by group: an ensemble that says one risk of everybody."""
    groups = [
        GroupCounts(attribute, group, ROWS, outcomes, ROWS // 10, called, float(outcomes))
        for attribute, named in sorted(model.served.items())
        for group, (outcomes, called) in sorted(named.items())
    ]
    if not model.risk or (problem := problem_of(groups)):
        raise StandInError(problem if model.risk else "served: expected a `risk` beside it, one for everybody")
    width = len(shipped.inputs.names)
    nothing: tuple[tuple[float, ...], ...] = ((),) * width
    crossed = Crossed(nothing, ((0.0,),) * width, (), nothing, (), _logit(risk_of(model.risk)))
    return msgspec.structs.replace(
        shipped,
        format=ENSEMBLE_FORMAT,
        means=(),
        deviations=(),
        weights=(),
        intercept=0.0,
        clip_sd=0.0,
        ensemble=Ensemble(crossed, None, (1.0, 0.0)),
        groups=tuple(groups),
    )


def _likeness(model: Model) -> Likeness | None:
    """Make the summary of a version that was made on a range of one input."""
    if not model.usual:
        return None
    [(name, (low, high))] = model.usual.items()
    if low >= high:
        raise StandInError(f"usual {name}: the range is empty")
    shape = Shape(False, ROWS, ((low + high) / 2,), ((2 / (high - low),),), 1.0, FALSE_RATE, ROWS)
    return Likeness((name,), (shape,))


def _venn(model: Model) -> VennTable | None:
    if model.interval is None:
        return None
    low, high = map(risk_of, model.interval)
    return VennTable((), (Category(low, high, ROWS, ROWS // 10, PATIENTS),), COVERAGE)


@lru_cache(maxsize=1)
def _shipped() -> ModelVersion:
    versions, _wrong = load_versions()
    return versions[shipped_version(versions)]


def _put(values: tuple[float, ...], place: int, value: float) -> tuple[float, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _logit(risk: float) -> float:
    return math.log(risk / (1.0 - risk))
