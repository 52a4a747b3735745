"""The life of an alert as a page of documentation: docs/alerts.md is written from here, and a test holds it to that.

Owns the page's form. Must not know a state, a time or a reason: they are the tables' and the settings'. Write it anew
with `.venv/bin/python -m alerts.page > docs/alerts.md`.
"""

from __future__ import annotations

from alerts.configuration import AlertSettings
from alerts.lifecycle import TRANSITIONS, diagram
from alerts.limits import LIMIT_MS_MAX
from alerts.reasons import REASONS
from alerts.review import REVIEWED_MS, WAIT_MS_MAX
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, LimitKind, Millis
from guardrails.floor import LATE_AFTER_MS
from guardrails.late import LATE_HELD_MS

HEADER = """# The life of an alert

Written from `alerts/lifecycle.py`, `alerts/reasons.py` and the settings by `python -m alerts.page`; do not edit. How
the floor and the chain come to say something is in [the architecture](architecture.md) and
[decision 0009](decisions/0009-floor-and-alerts.md).

An alert is one thing a ward was told, and all that is said of it afterwards, each event with the next `seq`. A patient
has at most two open: the floor's (NEWS2) and the model's.

"""

WHY = """## Why

NEWS2's events carry its sub-scores, what is missing, and in `evidence` the values. The model's carry `explanation`:
the largest reasons in clinical words with value, age and direction, all others as one, adding up to the log-odds
exactly, as of the score that the ward was last told of (`as_of`). An abstention has none. See [the
explanation](explanation.md) and [decision 0038](decisions/0038-an-alert-explains-itself.md).

"""

ANSWERS = """## Answers

| what is sent | state, reason | then |
| --- | --- | --- |
| acknowledgement, or feedback `agree` | acknowledged, `acknowledged` | it waits for nobody |
| feedback `disagree` | acknowledged, `disagreed` | the same; the alert stands |
| feedback `dismissed`, with a coded reason | acknowledged, `dismissed` | the same; the alert stands |

No answer ends an alert, and none silences what comes after it: a rise of band, a new red parameter or a risk that rose
by its step untakes the alert, and its clock starts again. The first answer counts; a second one to the same news
changes nothing and is counted. What a clinician thinks of an alert goes to the learner as feedback of its own kind. It
is no outcome and changes no label.

"""

ESCALATION = """## Escalation

Unanswered for its band's time, an alert is `escalated`, by a tick in the log. Once for each thing told of it: what is
told anew (a rise, a new red parameter) starts its own clock, and danger that was due before stays due. Time alone does
not escalate it again. Whom to call next, and how often, is known where people are called: the ward's own system has the
rota, and the alert stands `escalated` on the board until somebody answers, the patient recovers or the evidence is too
old. A service that pages the same old news every quarter of an hour is one that the ward switches off.

"""

LATE = """## Late news

A rise whose values came just now and are older than {late_min} min is put on the board at once, `late`, with its age,
and told {held_s} s later, at the next whole minute, if it stands then: `late_stands`, with the time for an answer from
then on. Newer values that supersede it meanwhile leave it on the board, and so does its end. Fresh readings that say
the same tell it at once, and so does any other rise. Nothing that comes meanwhile puts it off, and no kill switch. An
answer to the board's row does not spare the telling. What rises without such values (a limit ended, good values were
withdrawn) is told at once. See [decision 0025](decisions/0025-late-news-waits-a-minute.md).

"""

LIMITS = """## A clinician's limits

The one thing that changes what the floor tells. Each is an audited event in the log, an act but where a site lets
a record's Flags set two of them (docs/fhir.md), lasts until its
`expires_at` ({limit_days} days ahead at the most; longer is refused, not cut short) or until it is withdrawn, shows on
the board with its reason, by whom and until when, and is named in `limit_reason` of every alert event meanwhile.

| kind | what it changes |
| --- | --- |
{limits}
When one ends, by time or withdrawn, the patient is judged anew at that moment, and what now stands is told: with its
age, as late if it is. What a limit kept on the board is told as `now_audible`; what was unanswered when
`not_for_escalation` ended escalates then. Of `thresholds` and `end_of_life` the one recorded last speaks for the floor.
Limits follow the patient through transfers, merges (and back through an unmerge), a return within their time and a
change of partitions.

"""
LIMIT_ROWS: dict[LimitKind, str] = {
    "thresholds": (
        "the ward is told from `notify_at` and interrupted from `interrupt_at`; a single red parameter is told only "
        "with `tell_red`"
    ),
    "scale_2": "SpO2 is scored on NEWS2's second scale: confirmed hypercapnic failure with a prescribed 88-92 %",
    "end_of_life": (
        "the model is silent (`scope` abstains, `end_of_life`) and its learner hears no score; nothing escalates; the "
        "floor is the board's, unless `thresholds` are set with it or after it"
    ),
    "not_for_escalation": "what is told is told, and never `escalated` while it lasts",
    "pregnancy": "NEWS2 does not apply: the floor is silent and says so, and open alerts are taken back",
}

REVIEW = """## Review

A score that a filter defers, of a risk that would have been told otherwise, waits for a person: the board's row has
`review` (which score, since when, by which filter and why), and `reviews` lists them, the longest wait first. It waits
{wait_h} h after the newest such score. `tell` lets the patient's scores pass that filter for {reviewed_h} h and judges
the patient at once; `withhold` asks nobody for {reviewed_h} h, unless the risk rises by its step. The floor waits for
no review.

"""

COUNTED = """## What changes nothing

An answer to an unknown or ended alert, a review of a score that waits no more, a limit that is malformed, over, too
long or older than what is kept: each changes nothing, says nothing and is counted by its reason.
"""


def alerts_page() -> str:
    """Write the page as Markdown.

    >>> alerts_page().startswith("# The life of an alert")
    True
    """
    terms = {
        "late_min": LATE_AFTER_MS // MILLIS_PER_MINUTE,
        "held_s": LATE_HELD_MS // 1_000,
        "limits": "".join(f"| `{kind}` | {change} |\n" for kind, change in LIMIT_ROWS.items()),
        "limit_days": LIMIT_MS_MAX // (24 * MILLIS_PER_HOUR),
        "reviewed_h": REVIEWED_MS // MILLIS_PER_HOUR,
        "wait_h": WAIT_MS_MAX // MILLIS_PER_HOUR,
    }
    return "".join(
        [
            HEADER,
            f"```mermaid\n{diagram()}```\n\n",
            _transitions(),
            _reasons(),
            _timers(AlertSettings()),
            WHY,
            ANSWERS,
            ESCALATION,
            LATE.format(**terms),
            LIMITS.format(**terms),
            REVIEW.format(**terms),
            COUNTED,
        ]
    )


def _transitions() -> str:
    rows = [
        f"| {before} | {', '.join(afters) or 'nothing: it has ended'} |\n" for before, afters in TRANSITIONS.items()
    ]
    return "| after | may come |\n| --- | --- |\n" + "".join(rows) + "\n"


def _reasons() -> str:
    rows = [f"| `{reason}` | {', '.join(row.states)} | {row.means} |\n" for reason, row in REASONS.items()]
    return "## Reasons\n\n| reason | enters | means |\n| --- | --- | --- |\n" + "".join(rows) + "\n"


def _timers(settings: AlertSettings) -> str:
    rows = [
        (
            "escalate_interrupt_ms",
            settings.escalate_interrupt_ms,
            "NEWS2 of 7 or more, unanswered: escalated",
        ),
        (
            "escalate_notify_ms",
            settings.escalate_notify_ms,
            "NEWS2 of 5-6, a red parameter, the model's risk, inputs in doubt, unanswered: escalated",
        ),
        ("expire_ms", settings.expire_ms, "nothing newer that has a rank by itself: expired"),
        ("episode_gap_ms", settings.episode_gap_ms, "what is raised within it is of the episode before"),
    ]
    table = "".join(f"| `{name}` | {_time(value)} | {means} |\n" for name, value, means in rows)
    return (
        "## Times\n\nThe defaults of `[alerts]`. All fire by ticks in the log.\n\n"
        "| key | after | what |\n| --- | --- | --- |\n" + table + "\n"
    )


def _time(value: Millis) -> str:
    minutes = value // MILLIS_PER_MINUTE
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


if __name__ == "__main__":
    import sys

    sys.stdout.write(alerts_page())
