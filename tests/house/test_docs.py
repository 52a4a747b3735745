"""The documentation says what the tree says: links lead somewhere, and pictures and tables are those of the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from alerts.lifecycle import diagram
from connectors.decoded import Decoded
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from events import Correction, Observation, from_iso, to_iso
from features.state import PatientState
from models.news2 import score_news2

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("benchmarks/*.md")]
)
LAYERS = ("stream", "connectors", "alerts", "guardrails", "models", "features", "events")


def load_peer() -> ModuleType:
    """Load the benchmark's peer from its path: benchmarks are no package."""
    spec = importlib.util.spec_from_file_location("benchmark_peer", ROOT / "benchmarks" / "peer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(page: str) -> list[str]:
    """Give the first column of a page's tables."""
    return re.findall(r"^\| ([^|]+?) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page names a file or folder of the tree."""
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_picture_of_an_alert_is_the_table() -> None:
    """The state diagram in the architecture page is the one drawn from the transition table."""
    assert diagram().strip() in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_package_table_has_every_package_in_order() -> None:
    """The architecture page lists each package once, in the order of imports."""
    assert [row.strip("`") for row in rows("docs/architecture.md") if row.strip("`") in LAYERS] == list(LAYERS)


def test_files_named_in_the_contributors_tour_exist() -> None:
    """Each Python file that CONTRIBUTING names is in the tree."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = [name for name in re.findall(r"`([\w/]+\.(?:py|toml))`", text) if "/" in name]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_glossary_is_alphabetical() -> None:
    """The glossary's words stand in order, each once."""
    words = [re.sub(r"[^a-z0-9 -]", "", row.casefold()) for row in rows("docs/glossary.md")[1:]]
    words = [word for word in words if word.strip("-")]
    assert words == sorted(set(words))


def test_decisions_are_numbered_without_gaps() -> None:
    """Decision records are numbered from 1 without gaps, and each heading has its file's number."""
    files = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    assert all(file.read_text(encoding="utf-8").startswith(f"# {file.name[:4]}: ") for file in files)


@pytest.fixture
def charted() -> Decoded:
    """Decode the message that the architecture page follows, as it stands there."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    segments = re.findall(r"^    ((?:MSH|PID|OBR|OBX)\|.*)$", page, re.MULTILINE)
    decoded = decode("\r".join(segments).encode(), Hl7Settings())
    assert isinstance(decoded, Decoded)
    return decoded


def test_the_message_of_the_page_is_read_as_it_says(charted: Decoded) -> None:
    """The page's ORU decodes to observations at OBR-7, when nothing is said in OBX-14."""
    observations = [event for event in charted.events if isinstance(event, Observation)]
    assert [observation.value for observation in observations] == [26.0, 93.0]
    assert {to_iso(observation.event_time) for observation in observations} == {"2026-01-05T14:02:00Z"}
    assert charted.sent_time == from_iso("2026-01-05T14:10:00Z")


def test_the_message_of_the_page_scores_as_it_says(charted: Decoded) -> None:
    """The page's ORU gives the NEWS2 the page says: 5, red, between 5 and 19; corrected to 16, a total of 2."""
    received = from_iso("2026-01-05T14:10:00Z")
    state = PatientState()
    respiration, saturation = (event for event in charted.events if isinstance(event, Observation))
    for observation in (respiration, saturation):
        assert state.observe(observation, received, charted.message_id).outcome == "accepted"
    score = score_news2(state, received)
    assert (score.total, score.low, score.high, score.red, score.band) == (5, 5, 19, True, "medium")
    corrected = msgspec.structs.replace(respiration, value=16.0, status="corrected")
    state.correct(Correction(corrected), received, "M4712")
    after = score_news2(state, received)
    assert (after.total, after.red) == (2, False)


def test_a_benchmark_message_is_read_whole() -> None:
    """All eight observations of the peer's traffic are accepted: both sides of the comparison do the work."""
    state = PatientState()
    decoded = decode(next(load_peer().messages(patients=1, count=1)), Hl7Settings())
    assert isinstance(decoded, Decoded)
    observations = [event for event in decoded.events if isinstance(event, Observation)]
    outcomes = [state.observe(one, one.event_time, decoded.message_id).outcome for one in observations]
    assert outcomes == ["accepted"] * 8
    assert score_news2(state, observations[0].event_time).missing == ()
