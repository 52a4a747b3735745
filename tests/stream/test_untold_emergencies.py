"""The benchmark that counts untold emergencies is strict: late news is excused for its minute, and nothing else is."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from events import to_iso

MINUTE = 60_000
FLOOR = {"alert_id": "a", "episode_id": "e", "seq": 1, "patient": "p", "trigger": "news2_floor"}
RISE = {"state": "raised", "reason": "band_rise", "late": True, "disposition": "board", "priority": "board"}
STANDS = {"state": "updated", "reason": "late_stands", "late": True, "disposition": "told", "priority": "interrupt"}
OVER = {"state": "retracted", "reason": "merge", "late": True, "disposition": "board", "priority": "interrupt"}
Told = list[tuple[int, dict[str, Any]]]
Scores = list[tuple[int, int]]


@pytest.fixture
def burden_outputs() -> Any:
    """Load the benchmark from its path: benchmarks are no package."""
    name = "benchmark_burden_outputs"
    path = Path(__file__).parents[2] / "benchmarks" / "burden_outputs.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("told", "scores", "untold"),
    [
        ([(0, RISE), (MINUTE, STANDS)], [(0, 9), (MINUTE, 9)], 0),
        ([(0, RISE)], [(0, 9), (1000, 1), (5 * MINUTE, 1)], 0),
        ([(0, RISE), (1000, OVER)], [(0, 9), (5 * MINUTE, 9)], 0),
        ([(0, RISE)], [(0, 9), (MINUTE, 9)], 0),
        ([(0, RISE)], [(0, 9), (5 * MINUTE, 9)], 1),
        ([(0, RISE)], [(0, 9), (5 * MINUTE, 1)], 1),
        ([(0, RISE), (3 * MINUTE, STANDS)], [(0, 9), (3 * MINUTE, 9)], 1),
        ([(0, {**RISE, "late": False})], [(0, 9), (1000, 1)], 1),
        ([(0, RISE), (MINUTE, {**STANDS, "priority": "notify"})], [(0, 9), (MINUTE, 9), (9 * MINUTE, 9)], 1),
        ([], [(0, 9), (1000, 1)], 1),
    ],
    ids=[
        "told in time",
        "superseded in time",
        "over in time",
        "the log ends before",
        "never told",
        "superseded too late",
        "told too late",
        "not late",
        "told as less",
        "nothing said",
    ],
)
def test_late_news_is_excused_for_its_minute(
    burden_outputs: Any, tmp_path: Path, told: Told, scores: Scores, untold: int
) -> None:
    """A rise that came late is untold unless it is told, superseded or over within the time it may wait."""
    lines = [{**FLOOR, "event_id": f"e-{at}", "received_time": to_iso(at), **said} for at, said in told]
    (tmp_path / "alerts.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    counted = burden_outputs.Emergencies(burden_outputs.read_alerts(tmp_path))
    for at, total in scores:
        counted.scored("p", at, total, set())
    counted.end()
    assert (counted.rises, counted.untold) == (1, untold)
