"""The options that say what an outcome is, over what the configuration says.

Owns the three options of `rows`, `evaluate` and `learner`. Must not know how an outcome is joined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from stream.outcomes import HORIZON_H_MAX, OutcomeDefinition
from stream.settings import SiteFile

OPTIONS = (
    click.option(
        "--outcome",
        "outcomes",
        multiple=True,
        help="What counts; may be repeated. Default: [outcome] kinds, or death, critical_care, cardiac_arrest.",
    ),
    click.option(
        "--critical-care-ward", "wards", multiple=True, help="A transfer to it is an outcome; may be repeated."
    ),
    click.option(
        "--horizon-h",
        default=None,
        type=click.IntRange(1, HORIZON_H_MAX),
        help="A score predicts an outcome within so many hours. Default: [outcome] horizon_h, or 12.",
    ),
)
"""What `[outcome]` says beside these (whole_stay, settle_min, planned_from_wards) is the configuration's alone."""


def outcome_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `outcomes`, `wards` and `horizon_h`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def chosen_definition(
    site: SiteFile, outcomes: tuple[str, ...], wards: tuple[str, ...], horizon_h: int | None
) -> OutcomeDefinition:
    """Give the site's definition, with what the command line says in its place.

    >>> chosen_definition(SiteFile(), ("sepsis",), (), 6).kinds
    ('sepsis',)
    """
    said: dict[str, Any] = {}
    if outcomes:
        said["kinds"] = outcomes
    if wards:
        said["critical_care_wards"] = frozenset(wards)
    if horizon_h is not None:
        said["horizon_h"] = horizon_h
    return msgspec.structs.replace(site.outcome, **said)
