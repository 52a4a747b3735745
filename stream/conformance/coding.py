"""The codes of a sample: what each is mapped to, in which units it comes, and what becomes of its values.

Owns the counting by code and unit. Must not know messages. What becomes of a value is said by the very function by
which the fold takes it in (`features.value.in_steps`).
"""

from __future__ import annotations

from collections import Counter

from events import Coding, Millis, Observation
from features import Intake
from features.catalogue import Catalogue, Resolution
from features.value import in_steps
from stream.conformance.counting import Counted, Spread
from stream.conformance.shape import CodeUse
from stream.conformance.suggestions import candidates

CODES_MAX = 20_000
"""Codes and units told apart; those after them count as one. A hospital has some thousands."""
PATIENTS_MAX = 10_000
"""Patients counted apart of one code."""
NUMBERS_MIN = 10
"""Of fewer numbers no quantile is told: it would be somebody's value."""
USABLE = "usable"
TEXT_CHARS_MAX = 60


class _Use:
    """One code in one unit."""

    __slots__ = ("count", "example", "fates", "numbers", "patients")

    def __init__(self, example: str) -> None:
        self.count = 0
        self.example = example
        self.fates: Counter[str] = Counter()
        self.numbers = Spread()
        self.patients: set[str] = set()


class Codes:
    """All codes of a sample."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._uses: dict[tuple[Coding, str, str], _Use] = {}
        self._resolutions: dict[tuple[Coding, str, str], Resolution | None] = {}
        self._names: dict[Coding, str] = {}
        self.statuses = Counted()
        self.unknown_answers = Counted()
        self.results = 0
        self.future = 0
        self.future_example = ""

    def name(self, coding: Coding, name: str) -> None:
        """Remember what a sender calls a code."""
        if name and len(self._names) < CODES_MAX:
            self._names.setdefault(coding, name)

    def take(self, one: Observation, patient: str, received: Millis, example: str) -> str:
        """Count a result; give the name of its feature, empty where its value is not usable."""
        resolution = self._catalogue.resolution(one.codings, one.unit, one.qualifiers)
        coding = one.codings[0] if one.codings else ("", "")
        key = (coding, one.unit, "" if resolution is None else resolution.name)
        use = self._uses.get(key)
        if use is None:
            if len(self._uses) >= CODES_MAX:
                key = (("", "(other)"), "", "")
            use = self._uses.setdefault(key, _Use(example))
            self._resolutions[key] = resolution
        use.count += 1
        if len(use.patients) < PATIENTS_MAX:
            use.patients.add(patient)
        if one.value is not None:
            use.numbers.add(one.value)
        self.results += 1
        self.statuses.add(one.status, example)
        fate = self._fate(one, resolution, received, example)
        use.fates[fate] += 1
        return resolution.name if resolution is not None and fate == USABLE else ""

    def _fate(self, one: Observation, resolution: Resolution | None, received: Millis, example: str) -> str:
        if resolution is None:
            return "unmapped"
        if one.status == "withdrawn":
            return "withdrawn"
        steps = in_steps(one, resolution, received)
        if not isinstance(steps, Intake):
            return USABLE
        if steps.reason == "future_time":
            self.future += 1
            self.future_example = self.future_example or example
        elif steps.reason == "unknown_answer":
            self._unknown(one, resolution, example)
        return "absent" if steps.outcome == "absent" else steps.reason

    def _unknown(self, one: Observation, resolution: Resolution, example: str) -> None:
        """Count a coded answer that is in no table; a worded one may say anything, and is not told."""
        for system, code in one.answers[:1]:
            self.unknown_answers.add(f"{resolution.name}: {system}|{code}"[:TEXT_CHARS_MAX], example)
        if not one.answers:
            self.unknown_answers.add(f"{resolution.name}: (a text)", example)

    def unit_faults(self) -> int:
        """Give how many numbers are quarantined for their unit."""
        faults = ("unknown_unit", "unit_mismatch", "missing_unit")
        return sum(use.fates[fault] for use in self._uses.values() for fault in faults)

    def mapped(self) -> list[CodeUse]:
        """Give the codes that are mapped, most frequent first."""
        return [use for use in self._told() if use.feature]

    def unmapped(self) -> list[CodeUse]:
        """Give the codes that are mapped to nothing, most frequent first, each with what it may mean."""
        return [use for use in self._told() if not use.feature]

    def _told(self) -> list[CodeUse]:
        uses = [self._use(*key, use) for key, use in self._uses.items()]
        return sorted(uses, key=lambda one: (-one.count, one.system, one.code, one.unit, one.feature))

    def _use(self, coding: Coding, unit: str, feature: str, use: _Use) -> CodeUse:
        system, code = coding
        resolution = self._resolutions[coding, unit, feature]
        name = self._names.get(coding, "")
        enough = use.numbers.count >= NUMBERS_MIN
        quantiles = [use.numbers.quantile(share) if enough else None for share in (0.05, 0.5, 0.95)]
        meant = () if feature else tuple(candidates(name, code, [unit], use.numbers, self._catalogue))
        return CodeUse(
            system=system[:TEXT_CHARS_MAX],
            code=code[:TEXT_CHARS_MAX],
            name=name,
            unit=unit[:TEXT_CHARS_MAX],
            count=use.count,
            patients=len(use.patients),
            example=use.example,
            feature=feature,
            unit_fault="" if resolution is None else resolution.fault,
            fates=tuple(sorted(use.fates.items(), key=lambda item: (-item[1], item[0]))),
            low=quantiles[0],
            middle=quantiles[1],
            high=quantiles[2],
            candidates=meant,
        )
