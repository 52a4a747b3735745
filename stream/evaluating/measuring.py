"""Measuring: every figure of one model on the chosen rows, by the functions of `models.figures`.

Owns which figure is of which rows: labelled rows for discrimination and calibration, every score for alerts, every hour
for the challenge's utility. Must not know how a figure is computed, how a model came to its scores, or files.

All random draws begin at one seed, so each model is drawn the same stays, and the same call gives the same figures.
"""

from __future__ import annotations

import msgspec
import numpy as np

from events import MILLIS_PER_DAY, MILLIS_PER_HOUR, Millis
from models.figures.alert_episodes import Onsets
from models.figures.alert_episodes import observed_days as days_observed
from models.figures.bootstrap import Difference, Metric, bootstrap_interval, paired_difference
from models.figures.calibration import calibration_figures
from models.figures.challenge_utility import challenge_utility, utility_curve, utility_interval
from models.figures.decision_curve import decision_curve
from models.figures.discrimination import auroc, average_precision, stay_level
from models.figures.operating_points import (
    RELEASE_SHARE,
    AlertPoint,
    alert_curve,
    alert_point,
    alerts_at_sensitivity_of,
    hours_at_sensitivity_of,
    hours_share_interval,
    operating_curve,
)
from models.figures.proportions import Measured
from models.figures.rolling import WindowPoint, rolling
from models.figures.scored_rows import Labels, Scores
from models.figures.subgroups import SubgroupFigures, age_band, subgroup_figures
from stream.evaluating.scored_set import Bools, Chosen, Floats, Hours, Ints, ScoredSet
from stream.evaluating.shape import Discrimination, Kind, ModelFigures, UtilityFigures

SEED = 20261129
NEWS2_URGENT = 5.0
"""RCP 2017: a total of 5 or more wants an urgent review."""
WINDOWS = 12
"""A window over time is about so great a part of the whole, in whole days."""
STEPS = 4
"""Windows overlap by three quarters."""
CURVE_POINTS = 60
ALERT_POINTS = 30


class Model(msgspec.Struct, frozen=True):
    """A model as its answers: one score a row, NaN where it said nothing."""

    name: str
    title: str
    kind: Kind
    scores: Floats

    @property
    def gives_probabilities(self) -> bool:
        """Whether its scores promise a share; a rule's total does not."""
        return self.kind != "rule"


class Ground(msgspec.Struct, frozen=True):
    """What models are measured on: the same for all of them."""

    run: ScoredSet
    chosen: Chosen
    compared: Bools
    """Of the labelled rows, those of which every model with probabilities said something."""
    onsets: Onsets
    hours: Hours | None
    """None where the challenge's utility means nothing: another source, or another outcome."""
    horizon_ms: Millis
    rounds: int

    @property
    def labels(self) -> Bools:
        """The labels of the compared rows."""
        return self.chosen.positive[self.compared]

    @property
    def rows(self) -> Ints:
        """The compared rows."""
        return self.chosen.labelled[self.compared]

    @property
    def stays(self) -> Ints:
        """The stays of the compared rows."""
        return self.run.stay[self.rows]

    @property
    def times(self) -> Ints:
        """When the compared rows were scored."""
        return self.run.at[self.rows]

    def scores(self, model: Model) -> Floats:
        """A model's scores of the compared rows; nothing known counts as 0, which for a rule is what it says."""
        return np.nan_to_num(model.scores[self.rows], nan=0.0)


def ground_of(
    run: ScoredSet, chosen: Chosen, models: list[Model], hours: Hours | None, horizon_ms: Millis, rounds: int
) -> Ground:
    """Find the rows that all models with probabilities spoke of, and the outcomes of the chosen stays."""
    compared = np.ones(len(chosen.labelled), dtype=bool)
    for model in models:
        if model.gives_probabilities:
            compared &= ~np.isnan(model.scores[chosen.labelled])
    seen = np.unique(run.stay[chosen.scored])
    had = [(number, run.stays[number].onset) for number in seen.tolist() if run.stays[number].onset is not None]
    stays, times = (np.array(column, dtype=np.int64) for column in (zip(*had, strict=True) if had else ((), ())))
    return Ground(run, chosen, compared, Onsets(stays, times), hours, horizon_ms, rounds)


def _draws() -> np.random.Generator:
    return np.random.default_rng(SEED)


def _measured(metric: Metric, labels: Bools, scores: Floats, groups: Ints, rounds: int) -> Measured | None:
    value = metric(labels, scores)
    if value is None:
        return None
    return Measured(value, bootstrap_interval(metric, labels, scores, groups, _draws(), rounds))


def discriminate(ground: Ground, scores: Floats) -> Discrimination:
    """Measure discrimination by row and by stay."""
    labels, stays = ground.labels, ground.stays
    by_stay = stay_level(labels, scores, stays, ground.times, score="max")
    last = stay_level(labels, scores, stays, ground.times, score="last")
    return Discrimination(
        rows=len(labels),
        positives=int(labels.sum()),
        stays=len(by_stay.labels),
        positive_stays=int(by_stay.labels.sum()),
        auroc=_measured(auroc, labels, scores, stays, ground.rounds),
        average_precision=_measured(average_precision, labels, scores, stays, ground.rounds),
        stay_auroc=_measured(auroc, by_stay.labels, by_stay.scores, by_stay.groups, ground.rounds),
        stay_average_precision=_measured(
            average_precision, by_stay.labels, by_stay.scores, by_stay.groups, ground.rounds
        ),
        stay_last_auroc=_measured(auroc, last.labels, last.scores, last.groups, ground.rounds),
    )


def measure_utility(ground: Ground, model: Model) -> UtilityFigures | None:
    """Measure the challenge's utility: the threshold from the earlier half of the stays, the figure from the later."""
    hours = ground.hours
    if hours is None or not hours.septic.any():
        return None
    scores = hours.scores(model.scores)
    numbers = np.unique(hours.stay)
    later = hours.stay >= numbers[len(numbers) // 2]
    curve = utility_curve(hours.septic, scores, hours.stay)
    earlier = utility_curve(hours.septic[~later], scores[~later], hours.stay[~later])
    if not earlier:
        return None
    threshold = max(earlier, key=lambda point: point.normalised).threshold
    truth, told, stay = hours.septic[later], scores[later] >= threshold, hours.stay[later]
    value = challenge_utility(truth, told, stay).normalised
    return UtilityFigures(
        threshold=threshold,
        earlier_stays=len(numbers) // 2,
        stays=len(numbers) - len(numbers) // 2,
        measured=None
        if value is None
        else Measured(value, utility_interval(truth, told, stay, _draws(), ground.rounds)),
        curve=tuple((point.threshold, point.normalised) for point in curve),
    )


def _spoken(ground: Ground, model: Model) -> tuple[Floats, Ints, Ints]:
    """Give (scores, stays, times) of every chosen score of which the model said something."""
    known = ground.chosen.scored & ~np.isnan(model.scores)
    return model.scores[known], ground.run.stay[known], ground.run.at[known]


def alerts_at(ground: Ground, model: Model, raise_at: float, release_at: float | None = None) -> AlertPoint | None:
    """Count a model's alerts at one threshold; None where it said nothing."""
    scores, stays, times = _spoken(ground, model)
    if not len(scores):
        return None
    return alert_point(scores, stays, times, ground.onsets, raise_at, release_at, horizon_ms=ground.horizon_ms)


def _alerts(ground: Ground, model: Model) -> tuple[AlertPoint, ...]:
    scores, stays, times = _spoken(ground, model)
    if not len(scores):
        return ()
    # A rule raises at a total and lets go below it; there is nothing between two totals.
    levels = None if model.gives_probabilities else np.unique(scores)
    share = RELEASE_SHARE if model.gives_probabilities else 1.0
    return alert_curve(scores, stays, times, ground.onsets, levels, share, ALERT_POINTS, ground.horizon_ms)


def measure(
    ground: Ground, model: Model, learner: Model, news2: Model, news2_alerts: AlertPoint | None, window_ms: Millis
) -> ModelFigures:
    """Measure one model, beside the evaluated learner and NEWS2 on the same rows."""
    labels, stays, scores = ground.labels, ground.stays, ground.scores(model)
    beyond: list[Difference | None] = [None, None]
    if model.name != learner.name and len(labels):
        ours = ground.scores(learner)
        beyond = [
            paired_difference(metric, labels, ours, scores, stays, _draws(), ground.rounds)
            for metric in (auroc, average_precision)
        ]
    probable = model.gives_probabilities
    urgent = ground.scores(news2) >= NEWS2_URGENT
    spoken = _spoken(ground, model)
    like = None
    if probable and news2_alerts is not None and len(spoken[0]):
        like = alerts_at_sensitivity_of(*spoken, ground.onsets, news2_alerts, horizon_ms=ground.horizon_ms)
    return ModelFigures(
        name=model.name,
        title=model.title,
        kind=model.kind,
        discrimination=discriminate(ground, scores),
        auroc_beyond=beyond[0],
        average_precision_beyond=beyond[1],
        calibration=calibration_figures(labels, scores, stays) if probable and len(labels) else None,
        curve=operating_curve(labels, scores, points=CURVE_POINTS),
        alerts=_alerts(ground, model),
        utility=measure_utility(ground, model),
        over_time=over_time(ground, model, window_ms, auroc, sure=model.name == learner.name),
        like_news2=hours_at_sensitivity_of(labels, scores, urgent) if probable else None,
        like_news2_interval=hours_share_interval(labels, scores, urgent, stays, _draws(), ground.rounds)
        if probable and (urgent & labels).any()
        else None,
        alerts_like_news2=like,
        net_benefit=tuple(point.model for point in decision_curve(labels, scores)) if probable else (),
    )


def window_of(ground: Ground) -> Millis:
    """Give the length of the windows over time: about a twelfth of the whole, in whole days.

    A window is judged by what was scored within it, so a figure at its end was known a horizon later.
    """
    times = ground.times
    span = int(times.max() - times.min()) if len(times) else 0
    return max(1, -(-span // WINDOWS // MILLIS_PER_DAY)) * MILLIS_PER_DAY


def over_time(
    ground: Ground, model: Model, window_ms: Millis, metric: Metric, *, sure: bool = False
) -> tuple[WindowPoint, ...]:
    """Measure a figure in rolling windows of the scores' own times; `sure`: with an interval by stay for each."""
    return rolling(
        metric,
        ground.labels,
        ground.scores(model),
        ground.times,
        window_ms,
        window_ms // STEPS,
        groups=ground.stays if sure else None,
        generator=_draws() if sure else None,
        rounds=ground.rounds,
    )


def happened_over_promised(labels: Labels, scores: Scores) -> float | None:
    """Give the outcomes that happened over those promised; None where nothing was promised.

    >>> happened_over_promised([True, False], [0.25, 0.25])
    2.0
    """
    promised = float(np.sum(scores))
    return float(np.sum(labels)) / promised if promised > 0 else None


def measure_subgroups(
    ground: Ground, model: Model, raise_at: float, clear_at: float
) -> dict[str, tuple[SubgroupFigures, ...]]:
    """Measure a model by group at a threshold: age band, sex, ward, and the ward a stay began in where that differs.

    Ethnicity only where the site records it.
    """
    run, rows = ground.run, ground.rows
    if not len(rows):
        return {}
    named = {"age band": age_band(run.age_years[rows])}
    named |= {
        "sex": run.facts["sex"][rows],
        "ward": run.facts["ward"][rows],
        "unit of origin": run.facts["origin"][rows],
        "ethnicity": run.facts["ethnicity"][rows],
    }
    if (run.facts["ward"] == run.facts["origin"]).all():
        del named["unit of origin"]
    found = {}
    for title, names in named.items():
        if len(np.unique(names)) > 1:
            found[title] = subgroup_figures(
                ground.labels, ground.scores(model), ground.stays, names, ground.times, raise_at, clear_at
            )
    return found


def observed_days(ground: Ground) -> float:
    """Give the patient-days between the first and the last chosen score of each stay, and an hour for the last."""
    return days_observed(ground.run.stay[ground.chosen.scored], ground.run.at[ground.chosen.scored], MILLIS_PER_HOUR)
