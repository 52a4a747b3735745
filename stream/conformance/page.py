"""A report as one HTML page, with its style inside: to be sent to whoever runs the engine.

Owns the frame and the style. Must not know what is in a table. Nothing is loaded from anywhere, and no script runs.
"""

from __future__ import annotations

from html import escape

from stream.conformance.shape import Finding, Report
from stream.conformance.tables import Shown, tables_of
from stream.conformance.terminal import VERDICTS

STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.25rem 4rem; color: #1a1a1a; background: #fff;
  font: 100%/1.5 system-ui, sans-serif; }
h2 { border-top: 1px solid #c9c9c9; font-size: 1.15rem; margin: 2rem 0 .4rem; padding-top: .6rem; }
p { margin: .4rem 0; max-width: 50rem; }
.verdict { border-left: .5rem solid; font-size: 1.2rem; font-weight: 600; padding: .4rem .75rem; }
.ready { border-color: #1c7c3c; } .ready_with_findings { border-color: #b98600; } .not_ready { border-color: #b00020; }
ol { padding-left: 1.4rem; } li { margin: .5rem 0; max-width: 60rem; }
.must b { color: #b00020; } .should b { color: #8a6100; } .note b { color: #4a4a4a; }
.do { color: #1a1a1a; font-style: italic; } .quiet { color: #4a4a4a; font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #d8d8d8; padding: .25rem .6rem; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #1a1a1a; }
@media print { body { max-width: none; font-size: 10pt; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
"""


def page_of(report: Report) -> str:
    """Write a report as HTML.

    >>> from stream.conformance.survey import Survey
    >>> from stream.settings import Settings
    >>> page_of(Survey(Settings(), now=0).report(sources=1, skipped=0)).startswith("<!doctype html>")
    True
    """
    _colour, word, meaning = VERDICTS[report.verdict]
    findings = "".join(map(_finding, report.findings))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Conformance of a feed</title>'
        '<meta name="viewport" content="width=device-width"><style>'
        f"{STYLE}</style></head><body>\n<h1>Conformance of a feed</h1>\n"
        f'<p class="verdict {report.verdict}">{escape(word)}: {escape(meaning)}.</p>\n'
        f"<p>{report.account.messages:,} messages; configuration {escape(report.configuration)}. "
        "No name, number or value of a patient is in this page; codes, units, senders, authorities and wards are the "
        "feed's own words.</p>\n"
        f"<h2>What to do</h2>\n<ol>\n{findings}</ol>\n"
        f"{''.join(map(_table, tables_of(report)))}</body></html>\n"
    )


def _finding(finding: Finding) -> str:
    where = f' <span class="quiet">[{escape(finding.example)}]</span>' if finding.example else ""
    return (
        f'<li class="{finding.severity}"><b>{finding.severity.upper()}</b> {escape(finding.title)}{where}'
        f'<br><span class="do">→ {escape(finding.action)}</span></li>\n'
    )


def _table(shown: Shown) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in shown.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in shown.rows)
    remark = f'<p class="quiet">{escape(shown.remark)}</p>\n' if shown.remark else ""
    return (
        f'<h2>{escape(shown.title)}</h2>\n{remark}<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{rows}</tbody></table></div>\n"
    )
