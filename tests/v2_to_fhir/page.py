"""The comparison with the HL7 v2-to-FHIR guide, as a page: docs/v2-to-fhir.md.

Owns the page. Must not know whether a verdict is true: `test_rows` holds each to a message.

Run: `python -m tests.v2_to_fhir.page > docs/v2-to-fhir.md`
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

from tests.v2_to_fhir.concepts import PLACES, compare
from tests.v2_to_fhir.guide import SEGMENT_MAPS, Guide
from tests.v2_to_fhir.review import REVIEWED, Judged, judged

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "v2-to-fhir.md"
FOLDER = Path("v2-to-fhir", "mappings")
SHOWN_MAX = 3
"""Paths named of a group of rows with one word for all."""
VERDICTS = ("agrees", "partly", "not kept", "differs")

HEAD = """# HL7 v2 to FHIR, beside HL7's guide

Written by `python -m tests.v2_to_fhir.page`; do not edit. An HL7 v2 message goes through our codec to canonical
events, and from these, by [v2_rendition.py](../connectors/fhir/v2_rendition.py), to FHIR R4B: Patient, Encounter,
Location, Observation. Each row of the HL7 v2-to-FHIR guide's maps for PID, PV1, OBR and OBX that names a FHIR element
is one of:

| word | what it means | what the test does with a message whose field is filled |
| --- | --- | --- |
| agrees | as the guide says | the guide's value stands at the guide's path, and not where the field is empty |
| partly | as the guide says, within limits | the same, within them |
| not kept | no event holds it | what was filled in stands nowhere, neither in the events nor in FHIR |
| differs | kept otherwise, or elsewhere | the guide's value does not stand at the guide's path |

Reviewed by hand is [reviewed.toml](../tests/v2_to_fhir/reviewed.toml); the tests are
[test_rows.py](../tests/v2_to_fhir/test_rows.py). A change of the codec that makes a word untrue fails them. A field's
data type is taken apart by the guide's map for it, where the parts do not all share one word. What is rendered is valid
R4B (fhir.resources). Microsoft's ADT messages are compared with the FHIR that its converter is expected to make of
them, for what we keep ([test_microsoft.py](../tests/v2_to_fhir/test_microsoft.py)). This rendering is a comparison,
not an interface: nothing of it is sent.
"""


def folder() -> Path:
    """Give the guide's folder, as the fixture `shared_data` does."""
    return Path(os.environ.get("WARDSTREAM_DATA", ROOT.parent / "shared" / "data")) / FOLDER


def page(guide: Guide) -> str:
    """Write the page."""
    by_map = {name: list(judged(guide, name)) for name in SEGMENT_MAPS}
    lines = [HEAD, "## Counts", "", f"| map | rows | {' | '.join(VERDICTS)} | the guide maps nowhere |"]
    lines.append("| --- | --: | --: | --: | --: | --: | --: |")
    total: Counter[str] = Counter()
    for name, rows in by_map.items():
        count = Counter(one.verdict for one in rows)
        total.update(count)
        total["unmapped"] += guide.unmapped(name)
        said = " | ".join(str(count[verdict]) for verdict in VERDICTS)
        lines.append(f"| {name} | {len(rows)} | {said} | {guide.unmapped(name)} |")
    said = " | ".join(str(total[verdict]) for verdict in VERDICTS)
    lines.append(f"| all | {sum(len(rows) for rows in by_map.values())} | {said} | {total['unmapped']} |")
    for name, rows in by_map.items():
        lines += ["", f"## {name}", "", f"`test_rows[{name}]`", ""]
        lines += ["| field | | FHIR | | |", "| --- | --- | --- | --- | --- |"]
        lines += [_line(list(group)) for _, group in groupby(rows, lambda one: (one.row.field, one.verdict, one.why))]
    lines += ["", "## Code systems", "", *_concept_lines(guide)]
    return "\n".join(lines) + "\n"


def _line(group: list[Judged]) -> str:
    first = group[0]
    components = list(dict.fromkeys(one.row.component for one in group if one.row.component))
    field = first.row.field + (f" {', '.join(components)}" if components else "")
    # Apart, for `performer[1](Practitioner)` would be a link.
    paths = list(dict.fromkeys(f"`{one.row.path.replace('](', '] (')}`" for one in group))
    shown = paths if first.verdict in {"agrees", "partly"} else paths[:SHOWN_MAX]
    more = f" and {len(paths) - len(shown)} more" if len(paths) > len(shown) else ""
    why = REVIEWED.reasons[first.why] if first.verdict == "not kept" else first.why
    return f"| {field} | {first.row.name} | {', '.join(shown)}{more} | {first.verdict} | {why} |"


def _concept_lines(guide: Guide) -> list[str]:
    lines = [
        "Each code of a concept map is sent, decoded and rendered (`test_concepts`). Where the guide names no target,",
        "ours is told, and there is nothing to agree with.",
        "",
        "| concept map | field | codes | agree | differ | the guide names no target |",
        "| --- | --- | --: | --: | --- | --- |",
    ]
    for place in PLACES:
        found = compare(place, guide)
        differ = [one for one in found if one.guide and not one.agrees]
        told = "; ".join(f"{one.code}: {one.guide}, ours {one.why}" for one in differ)
        if len({one.why for one in differ}) == 1 and len(differ) > 1:
            told = f"{', '.join(one.code for one in differ)}: ours {differ[0].why}"
        none = ", ".join(f"{one.code} ({one.ours or 'none'})" for one in found if not one.guide)
        agree = sum(one.agrees for one in found)
        field = f"{place.segment}-{place.field}"
        lines.append(f"| {place.map} | {field} | {len(found)} | {agree} | {told or '-'} | {none or '-'} |")
    return lines


if __name__ == "__main__":
    sys.stdout.write(page(Guide(folder())))
