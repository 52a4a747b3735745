"""The ward board in a terminal.

Owns the table's columns and colours. Must not know where the rows come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from alerts.contract import AlertEvent
from events import MILLIS_PER_MINUTE, Millis, to_iso
from models.news2 import News2
from stream.board import LIVE_STATES, Board, Row
from stream.feeds import FeedCounts

BAND_STYLE = {"high": "bold white on red", "medium": "black on yellow", "low_medium": "yellow", "low": "green"}
PATIENT_SHOWN = 8


def render_board(board: Board, *, rows_max: int = 14, title: str = "Ward board") -> RenderableType:
    """Render the sickest patients, what was told last, and what was held back."""
    now = board.clock()
    rows = board.rows()
    table = Table(title=f"{title} at {to_iso(now)}: {len(rows)} patients", expand=False)
    for column, justify in (
        ("ward, bed", "left"),
        ("patient", "left"),
        ("NEWS2", "right"),
        ("bounds", "right"),
        ("why", "left"),
        ("risk", "right"),
        ("age", "right"),
        ("alert", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type] # a literal by construction
    for row in rows[:rows_max]:
        table.add_row(*_cells(row, now))
    return Group(_wards(rows), table, _told(board), _withheld(board))


def _wards(rows: Sequence[Row]) -> RenderableType:
    """Render each ward in a line: how many lie there, how sick they are, how many alerts are open."""
    table = Table(title="Wards", box=None, title_justify="left")
    columns = ("patients", "high", "medium", "red score", "open alerts")
    for column in ("ward", *columns):
        table.add_column(column, justify="left" if column == "ward" else "right")
    for ward in sorted({row.location.ward for row in rows}):
        here = [row for row in rows if row.location.ward == ward]
        bands = Counter(row.score.news2.band for row in here if row.score is not None)
        alerts = sum(row.alert is not None and row.alert.state in LIVE_STATES for row in here)
        counts = (len(here), bands["high"], bands["medium"], bands["low_medium"], alerts)
        table.add_row(ward or "(none)", *(Text(str(n), style="" if n else "dim") for n in counts))
    return table


def render_feeds(feeds: Mapping[str, FeedCounts], now: Millis) -> RenderableType:
    """Render who speaks to us, what became of it, and how long each has been silent."""
    table = Table(title="Feeds", box=None, title_justify="left")
    for column in ("feed", "messages", "dead letters", "duplicates", "silent"):
        table.add_column(column, justify="left" if column == "feed" else "right")
    for name, counts in feeds.items():
        silent = _age(now - counts.last_received)
        table.add_row(name, *(f"{n:,}" for n in (counts.messages, counts.dead_letters, counts.duplicates)), silent)
    return table


def _cells(row: Row, now: Millis) -> tuple[RenderableType, ...]:
    who = (f"{row.location.ward}, {row.location.bed}", row.patient[:PATIENT_SHOWN])
    alert = "" if row.alert is None else _alerts(row.alert, row.also)
    if row.score is None:
        return (*who, "", "", Text("nothing charted yet", style="dim"), "", "", alert)
    news2 = row.score.news2
    risk = row.score.probability
    return (
        *who,
        Text(f" {news2.total} ", style=BAND_STYLE[news2.band]),
        f"{news2.low}-{news2.high}",
        _why(news2),
        "" if risk is None else f"{risk:.0%}",
        _age(now - row.score.event_time),
        alert,
    )


def _alerts(alert: AlertEvent, also: Sequence[AlertEvent]) -> Text:
    """Render the gravest alert, and why the model speaks, be it in this one or beside it."""
    said = Text(f"{alert.trigger.replace('news2_floor', 'NEWS2')} {alert.state}{_mark(alert.disposition)}")
    why = next(filter(None, map(main_reason, (alert, *also))), "")
    return said.append(f"\n{'' if alert.trigger == 'model' else 'model: '}{why}", style="dim") if why else said


def main_reason(alert: AlertEvent) -> str:
    """Say what most raised the risk that a model's alert tells of, and when; nothing where the alert does not say."""
    told = alert.explanation
    return "" if told is None or told.main is None else f"{to_iso(told.as_of)[11:16]} {told.main.brief}"


def _mark(disposition: str) -> str:
    return "" if disposition == "told" else f" ({disposition})"


def _why(news2: News2) -> str:
    names = ("respiration_rate", "spo2", "oxygen", "systolic_bp", "pulse", "consciousness", "temperature")
    points = sorted(((getattr(news2, name) or 0, name) for name in names), key=lambda item: (-item[0], item[1]))
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for value, name in points[:3] if value)
    missing = f" (missing: {', '.join(name.replace('_', ' ') for name in news2.missing)})" if news2.missing else ""
    return told + missing


def _age(millis: Millis) -> str:
    minutes = max(millis, 0) // MILLIS_PER_MINUTE
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def _told(board: Board) -> RenderableType:
    table = Table(title="Told last", show_header=False, box=None)
    for event in list(board.recent)[-6:]:
        mark = "bold red" if event.priority == "interrupt" else "yellow"
        table.add_row(
            to_iso(event.received_time)[5:16].replace("T", " "),
            Text(event.priority, style=mark),
            event.trigger,
            event.state,
            event.reason,
            f"{event.ward}, {event.bed}",
            main_reason(event) or ("late" if event.late else ""),
        )
    return table


def _withheld(board: Board) -> RenderableType:
    held = ", ".join(f"{reason} {count}" for reason, count in board.withheld.most_common()) or "nothing"
    return Text(f"Held back: {held}", style="dim")
