"""Says at the end of a run which ward stories await what is not built: an excuse that nobody reads is a silent skip."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.scenarios.loading import load_stories

FOLDER = Path(__file__).resolve().parents[2] / "scenarios"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each, with its reason."""
    awaiting = {name: story for name, story in load_stories(FOLDER).items() if story.awaits}
    if awaiting:
        terminalreporter.section(f"{len(awaiting)} ward stories await what is not built", sep="=", yellow=True)
    for name, story in sorted(awaiting.items()):
        terminalreporter.write_line(f"{name}: {story.awaits}")
