"""What is done about a finding: a declared table, decided without a look at anything else.

Owns the table. Must not know how a finding came about, nor how a decision is written (stream/promotion.py). NEWS2's own
alerts are touched by none of them.

- `annotate`: it is shown and counted, and every report of that time names it.
- `hold_promotion`: and no challenger is promoted by itself while it stands (models/change_control.py, gate `monitors`).
- `demote`: and the version is not asked any more: NEWS2 alone, or the former champion, until a person restores it.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from models.change_control import Response
from models.drift.labels import Level

Monitor = Literal[
    "input_values",
    "input_missing",
    "inputs_many",
    "feed_values",
    "upstream",
    "label_rate",
    "calibration",
    "discrimination",
    "alert_flood",
    "alert_drought",
    "subgroup_gap",
]
MONITORS: tuple[Monitor, ...] = get_args(Monitor)
RESPONSES: tuple[Response, ...] = get_args(Response)
"""From the mildest to the hardest; a harder one includes those before it."""


class Rule(msgspec.Struct, frozen=True):
    """What is done about one monitor's findings of one level."""

    monitor: Monitor
    level: Level
    response: Response
    why: str


RULES: tuple[Rule, ...] = (
    Rule("input_values", "notice", "annotate", "one input of many; the chain's own filters see each unlike row"),
    Rule("input_values", "serious", "hold_promotion", "a challenger would learn what may be a fault upstream"),
    Rule("input_missing", "notice", "annotate", "charting habits change; NEWS2's freshness is filter 2's"),
    Rule("input_missing", "serious", "hold_promotion", "a challenger would learn the gap"),
    Rule("inputs_many", "notice", "hold_promotion", "other patients, or another system"),
    Rule("inputs_many", "serious", "demote", "the version is asked about what it was not made for"),
    Rule("feed_values", "notice", "annotate", "one feed's feature, and not yet the inputs"),
    Rule("feed_values", "serious", "hold_promotion", "an analyser or a scale has changed"),
    Rule("upstream", "notice", "annotate", "a code or unit has changed that the version does not read"),
    Rule("upstream", "serious", "hold_promotion", "a code, unit or scale has changed that it reads"),
    Rule("label_rate", "notice", "hold_promotion", "outcomes are charted otherwise, or their number has changed"),
    Rule("label_rate", "serious", "hold_promotion", "the same: the version in force is judged by its calibration"),
    Rule("calibration", "notice", "hold_promotion", "the gates judge by labels that may have changed"),
    Rule("calibration", "serious", "demote", "a probability that is wrong by half again misleads"),
    Rule("discrimination", "notice", "hold_promotion", "what to promote against is itself in doubt"),
    Rule("discrimination", "serious", "demote", "it ranks far worse than it was promoted for"),
    Rule("alert_flood", "notice", "annotate", "the ward's budget already bounds what is told"),
    Rule("alert_flood", "serious", "demote", "a flood teaches a ward to look away"),
    Rule("alert_drought", "notice", "annotate", "fewer alerts may be fewer patients at risk"),
    Rule("alert_drought", "serious", "hold_promotion", "it may have fallen silent; NEWS2 speaks on"),
    Rule("subgroup_gap", "notice", "hold_promotion", "the gate asks that no group loses"),
    Rule("subgroup_gap", "serious", "hold_promotion", "a person weighs the group against all; the guardrail annotates"),
)
"""The table in force. A site's own is handed to `response_to`; it may be stricter or milder in every line."""


def response_to(monitor: Monitor, level: Level, rules: tuple[Rule, ...] = RULES) -> Response:
    """Give what the table says; a finding that it does not name is annotated, never dropped.

    >>> response_to("calibration", "serious"), response_to("calibration", "serious", rules=())
    ('demote', 'annotate')
    """
    for rule in rules:
        if (rule.monitor, rule.level) == (monitor, level):
            return rule.response
    return "annotate"
