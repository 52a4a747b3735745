"""What is mapped to nothing, from a sample or from a log, and a list of candidates for a person to confirm.

Owns the join of the survey's codes with the form of a code map. Must not know files. Nothing here is applied: a row
without a reviewer never is.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.terminology.rows import TEXT_CHARS_MAX, MapRow
from events import Correction, Envelope, Observation
from features import Feature, UnitFault
from features.catalogue import Catalogue
from features.units import conversion
from stream.conformance.coding import TEXT_CHARS_MAX as CODE_CHARS_TOLD
from stream.conformance.coding import Codes
from stream.conformance.shape import CodeUse


def take_envelope(codes: Codes, envelope: Envelope, place: str) -> int:
    """Count the results of one record of a log; give how many there were."""
    count = 0
    for event in envelope.events:
        result = event.observation if isinstance(event, Correction) else event
        if isinstance(result, Observation):
            codes.take(result, envelope.patient, envelope.received_time, place)
            count += 1
    return count


def candidate_rows(uses: Iterable[CodeUse], catalogue: Catalogue) -> tuple[list[MapRow], int]:
    """Give a row for each code, most frequent first, without a reviewer; and how many codes are too long for one.

    The target is the likeliest candidate that its unit can be converted for, empty where there is none; what else is
    known stands in the comment.

    >>> from features import default_catalogue
    >>> from stream.conformance.shape import Candidate
    >>> use = CodeUse("LAB", "K", "Potassium", "mmol/L", 7, 2, "#1",
    ...     candidates=(Candidate("potassium", "2823-3", 1.0, ("name", "unit")),))
    >>> [row], _ = candidate_rows([use], default_catalogue())
    >>> row.target, row.reviewer, row.comment
    ('potassium', '', '7 results of 2 patients; potassium by name, unit (LOINC 2823-3)')
    """
    by_code: dict[tuple[str, str], list[CodeUse]] = {}
    for use in uses:
        by_code.setdefault((use.system, use.code), []).append(use)
    rows, left_out = [], 0
    for (system, code), same in by_code.items():
        if not code or len(code) >= CODE_CHARS_TOLD or len(system) >= CODE_CHARS_TOLD or not _told(system + code):
            left_out += 1
            continue
        first = same[0]
        likely = first.candidates
        target = next((one.feature for one in likely if _converts(first.unit, catalogue.by_name(one.feature))), "")
        said = [f"{sum(use.count for use in same):,} results of {max(use.patients for use in same):,} patients"]
        if others := [use.unit or "no unit" for use in same[1:]]:
            said.append(f"also in {', '.join(others)}")
        said += [
            f"{one.feature} by {', '.join(one.reasons)}" + (f" (LOINC {one.loinc})" if one.loinc else "")
            for one in likely
        ]
        rows.append(
            MapRow(
                system,
                code,
                display=_clean(first.name),
                unit=_clean(first.unit),
                target=target,
                comment=_clean("; ".join(said)),
            )
        )
    return rows, left_out


def _converts(unit: str, feature: Feature) -> bool:
    return feature.kind != "numeric" or not unit or not isinstance(conversion(unit, feature), UnitFault)


def _told(text: str) -> bool:
    return text.isprintable() and text.strip() == text


def _clean(text: str) -> str:
    return "".join(character for character in text if character.isprintable()).strip()[:TEXT_CHARS_MAX]
