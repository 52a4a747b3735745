"""What becomes of each row of the guide, by the reviewed list beside this file.

Owns the reading of `reviewed.toml` and the verdict of a row. Must not know whether it is true: the tests do.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from tests.v2_to_fhir.cases import longest
from tests.v2_to_fhir.guide import SEGMENT_MAPS, Guide, Row

Verdict = Literal["agrees", "partly", "not kept", "differs"]
REPEATED = "each repetition is an Observation of its own, and no component"
_COMPONENTS, _WHOLE = "OBX[Observation-Component]", "OBX[Observation]"


class Reviewed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reviewed list: by map and key what is not as the guide says, and why."""

    reasons: dict[str, str]
    not_kept: dict[str, dict[str, str]]
    differs: dict[str, dict[str, str]]
    partly: dict[str, dict[str, str]]
    concepts: dict[str, dict[str, str]]


REVIEWED = msgspec.convert(tomllib.loads((Path(__file__).parent / "reviewed.toml").read_text()), Reviewed)


class Judged(msgspec.Struct, frozen=True):
    """A row and what becomes of it; `why` is empty where it agrees."""

    row: Row
    verdict: Verdict
    why: str = ""
    key: str = ""
    """The key of the list that holds."""


def judge(row: Row) -> Judged:
    """Give a row's verdict: of the keys that fit, the longest holds; with none it agrees."""
    rules = _WHOLE if row.map == _COMPONENTS else row.map
    name = row.key.partition(" ")[2].replace("component[each].", "")
    found: list[tuple[str, Verdict, str]] = []
    for verdict, table in (
        ("not kept", REVIEWED.not_kept),
        ("differs", REVIEWED.differs),
        ("partly", REVIEWED.partly),
    ):
        key = longest(name, {k: v for k, v in table.get(rules, {}).items() if _fits(k, name)})
        if key:
            found.append((key, verdict, table[rules][key]))  # type: ignore[arg-type]
    key, verdict, why = max(found, key=lambda one: len(one[0]), default=("", "agrees", ""))
    if row.map == _COMPONENTS and "component[each]" in row.path and verdict != "not kept":
        return Judged(row, "differs", REPEATED)
    return Judged(row, verdict, why, key)  # type: ignore[arg-type]


def _fits(key: str, name: str) -> bool:
    """Whether a key ends at a word's end: PID-3 is not the beginning of PID-30."""
    return name.startswith(key) and not (key[-1].isdigit() and name[len(key) : len(key) + 1].isdigit())


def judged(guide: Guide, name: str) -> Iterator[Judged]:
    """Judge a segment's map: a field as a whole where one word holds for it, else by its data type's components."""
    for row in guide.segment(name):
        whole = judge(row)
        if whole.verdict == "not kept" and " -> " not in whole.key and "." not in whole.key:
            yield whole
            continue
        yield from (judge(part) for part in guide.components(row))


def all_judged(guide: Guide) -> list[Judged]:
    """Judge every map of the four segments."""
    return [one for name in SEGMENT_MAPS for one in judged(guide, name)]
