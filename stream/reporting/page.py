"""The page: one HTML file with its style and its plots inside, readable without scripts, on paper and by voice.

Owns the frame, the style and the order of sections. Must not know what a section says. Nothing is loaded from anywhere.
"""

from __future__ import annotations

from html import escape

from stream.evaluating.shape import Evaluation
from stream.reporting.acting_sections import alerts, decision, utility
from stream.reporting.group_sections import limits, subgroups
from stream.reporting.opening import foretold, made_of, opening
from stream.reporting.sections import calibration, discrimination, time
from stream.reporting.words import Section

STYLE = """
:root { color-scheme: light; --ink: #1a1a1a; --quiet: #4a4a4a; --line: #c9c9c9; --ground: #fff; --note: #f3f5f7; }
* { box-sizing: border-box; }
html { background: var(--ground); color: var(--ink); font: 100%/1.55 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 1.5rem 0 .5rem; }
h2 { border-top: 2px solid var(--ink); font-size: 1.35rem; margin: 3rem 0 .75rem; padding-top: .6rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .4rem; }
p, ul { margin: .5rem 0; max-width: 46rem; }
li { margin: .2rem 0; }
a { color: #00558c; }
.skip { left: -999rem; position: absolute; }
.skip:focus { position: static; }
.warning { border: 2px solid var(--ink); font-weight: 600; max-width: 46rem; padding: .5rem .75rem; }
.limit { background: var(--note); border-left: 4px solid #b23a00; padding: .4rem .75rem; }
.answers { border-left: 4px solid #00558c; padding-left: .75rem; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
figure { flex: 1 1 20rem; margin: 1rem 0; max-width: 36rem; min-width: 0; }
figure svg { display: block; height: auto; max-width: 100%; width: 100%; }
figcaption { color: var(--quiet); font-size: .9rem; }
.wide { margin: 0 0 1rem; max-width: 100%; overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
.caption { color: var(--quiet); font-size: .9rem; margin: 1.2rem 0 .3rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem; text-align: right; vertical-align: top; }
th, td { white-space: nowrap; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; white-space: normal; }
.words th, .words td { text-align: left; white-space: normal; }
th:first-child { padding-left: 0; text-align: left; }
tbody th { font-weight: 400; }
code { font-size: .9em; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  body { padding: .5rem .75rem 3rem; }
  h1 { font-size: 1.5rem; }
  tbody th { min-width: 9rem; white-space: normal; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .skip { display: none; }
  h2, h3, .caption { break-after: avoid; }
  figure, table, .limit, .answers { break-inside: avoid; }
  figure { max-width: 9cm; }
  .wide { overflow: visible; }
  th, td { padding: .15rem .4rem; white-space: normal; }
}
"""


def page(evaluation: Evaluation) -> str:
    """Lay out the whole report."""
    sections: list[Section | None] = [
        discrimination(evaluation),
        time(evaluation),
        calibration(evaluation),
        alerts(evaluation),
        utility(evaluation),
        decision(evaluation),
        subgroups(evaluation),
        limits(evaluation),
        made_of(evaluation),
    ]
    shown = [section for section in sections if section is not None]
    links = "".join(f'<li><a href="#{one.name}">{escape(one.title)}</a></li>\n' for one in shown)
    body = "".join(
        f'<section aria-labelledby="{one.name}"><h2 id="{one.name}">{escape(one.title)}</h2>\n{one.body}</section>\n'
        for one in shown
    )
    title = f"Evaluation: {', '.join(evaluation.outcomes)} {foretold(evaluation)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#report">To the report</a>\n'
        f'<main id="report">\n<h1>{escape(title)}</h1>\n{opening(evaluation)}'
        f'<nav aria-label="Sections"><ul>\n{links}</ul></nav>\n{body}</main>\n</body>\n</html>\n'
    )
