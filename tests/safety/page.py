"""The hazard log as a page: docs/safety.md is written from docs/safety/hazards.toml, and a test holds it to that.

Owns reading the log, rating by the matrix, and the page. Must not know what a control does: it checks that what a
control names is there, and that it is a test or a scenario which CI runs.

Run: `python -m tests.safety.page > docs/safety.md`
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

ROOT = Path(__file__).resolve().parents[2]
LOG = ROOT / "docs" / "safety" / "hazards.toml"
PAGE = ROOT / "docs" / "safety.md"

Severity = Literal["minor", "significant", "considerable", "major", "catastrophic"]
Likelihood = Literal["very low", "low", "medium", "high", "very high"]

SEVERITIES: tuple[Severity, ...] = ("minor", "significant", "considerable", "major", "catastrophic")
MATRIX: dict[Likelihood, tuple[int, ...]] = {
    "very high": (3, 4, 4, 5, 5),
    "high": (2, 3, 3, 4, 5),
    "medium": (2, 2, 3, 3, 4),
    "low": (1, 2, 2, 3, 4),
    "very low": (1, 1, 2, 2, 3),
}
"""Risk by likelihood and severity, as in the guidance to DCB0129 (NHS Digital 2018); columns as `SEVERITIES`."""
RESIDUAL_MAX = 3
"""Above it a risk is not acceptable whatever its controls: the service may not be used."""


HEAD = """# Safety: the hazard log

Written from `docs/safety/hazards.toml` by `python -m tests.safety.page`; do not edit. A link that leads nowhere fails
CI. It has the shape of DCB0129 and ISO 14971: hazard, cause, effect, initial risk, controls, residual risk. **It is the
makers' log.** A hospital's own safety officer rates each hazard anew for its site (DCB0160), and the service is **not
for clinical use** until a person who may say so has said so.

Risk is read from the matrix (1 to 5) by how bad the effect is and how likely: 4 and 5 are not acceptable, 3 only where
lowering it further is not practicable, 2 and 1 are acceptable.
"""


class Rating(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How bad, and how likely."""

    severity: Severity
    likelihood: Likelihood

    @property
    def risk(self) -> int:
        """The risk from 1 to 5.

        >>> Rating("catastrophic", "very low").risk
        3
        """
        return MATRIX[self.likelihood][SEVERITIES.index(self.severity)]


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What keeps a hazard down: in words, by which piece of code, and what shows that it does."""

    what: str
    by: str
    """`module.py:name`."""
    shown: tuple[str, ...]
    """`tests/….py::test_…` or `scenarios/….yaml`; at least one."""


class Hazard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One hazard of the log."""

    id: str
    hazard: str
    causes: tuple[str, ...]
    effect: str
    initial: Rating
    residual: Rating
    control: tuple[Control, ...]
    residual_note: str = ""
    """What remains, for the site's own safety case."""


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole log."""

    hazard: tuple[Hazard, ...]


def read_log(path: Path = LOG) -> tuple[Hazard, ...]:
    """Read the log; raises `msgspec.ValidationError` with the place of what is wrong."""
    return msgspec.convert(tomllib.loads(path.read_text()), Log).hazard


def faults(hazards: tuple[Hazard, ...]) -> Iterator[str]:
    """Name every link that leads nowhere, and every hazard without a control that something shows."""
    for number, hazard in enumerate(hazards, 1):
        if hazard.id != f"H{number:02}":
            yield f"{hazard.id}: should be H{number:02}; the log has no gaps"
        if not hazard.control:
            yield f"{hazard.id}: no control"
        if hazard.residual.risk > hazard.initial.risk or hazard.residual.risk > RESIDUAL_MAX:
            yield f"{hazard.id}: residual risk {hazard.residual.risk}"
        for control in hazard.control:
            if not control.shown:
                yield f"{hazard.id}: nothing shows: {control.what}"
            for link in (control.by, *control.shown):
                if not leads_somewhere(link):
                    yield f"{hazard.id}: {link} is not there"


def leads_somewhere(link: str) -> bool:
    """Whether the piece of code, test or scenario that a link names is there.

    >>> leads_somewhere("guardrails/floor.py:assess_floor"), leads_somewhere("guardrails/floor.py:no_such")
    (True, False)
    """
    if link.startswith("scenarios/"):
        return link.endswith(".yaml") and (ROOT / link).is_file()
    path, _, name = link.replace("::", ":").partition(":")
    return bool(name) and name in _names(ROOT / path)


@cache
def _names(path: Path) -> frozenset[str]:
    """Give what a module defines at its top."""
    if not path.is_file():
        return frozenset()
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


def stories_of(hazard_id: str) -> list[str]:
    """Give the ward stories that say they show a hazard.

    >>> "scenarios/steady_emergency_is_told_once.yaml" in stories_of("H03")
    True
    """
    return [path for path, text in _stories() if re.search(rf"\bhazard\.{hazard_id}\b", text)]


@cache
def _stories() -> tuple[tuple[str, str], ...]:
    paths = sorted((ROOT / "scenarios").glob("*.yaml"))
    return tuple((str(path.relative_to(ROOT)), path.read_text()) for path in paths)


def _linked(link: str) -> str:
    path, _, name = link.replace("::", ":").partition(":")
    return f"[{name or Path(path).stem}](../{path})"


def _rated(rating: Rating) -> str:
    return f"{rating.severity}, {rating.likelihood}: **{rating.risk}**"


def safety_page(hazards: tuple[Hazard, ...]) -> str:
    """Write the page."""
    lines = [
        HEAD,
        "| likelihood | " + " | ".join(SEVERITIES) + " |",
        "| --- |" + " --: |" * len(SEVERITIES),
    ]
    lines += [f"| {likelihood} | " + " | ".join(map(str, row)) + " |" for likelihood, row in MATRIX.items()]
    lines += [
        "",
        "| | hazard | initial | residual |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| [{one.id}](#{one.id.lower()}) | {one.hazard} | {_rated(one.initial)} | {_rated(one.residual)} |"
        for one in hazards
    ]
    for one in hazards:
        lines += ["", f"## {one.id}", "", f"**{one.hazard}.**", "", f"- Cause: {'; '.join(one.causes)}."]
        lines += [f"- Effect: {one.effect}.", f"- Initial risk: {_rated(one.initial)}.", ""]
        lines += ["| control | by | shown by |", "| --- | --- | --- |"]
        lines += [
            f"| {control.what} | {_linked(control.by)} | {', '.join(map(_linked, control.shown))} |"
            for control in one.control
        ]
        stories = stories_of(one.id)
        if stories:
            lines += ["", "Ward stories: " + ", ".join(map(_linked, stories)) + "."]
        lines += ["", f"Residual risk: {_rated(one.residual)}." + (f" {one.residual_note}" * bool(one.residual_note))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(safety_page(read_log()))
