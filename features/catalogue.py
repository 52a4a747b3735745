"""The catalogue: which code means which feature, in which unit, within which limits.

Owns `Feature`, `Catalogue` and the resolution of a coding, unit and qualifier into a ready conversion. Must not know
any patient. The rows are in `feature_table`; a site adds its own codes by configuration with `Catalogue.with_codes`.
Mapping is by table only: a code that is in no table is unmapped, counted and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from typing import Any, Literal

import msgspec

from events import MILLIS_PER_HOUR, Coding
from features.answers import ANSWERS
from features.feature_table import FEATURE_ROWS, REDIRECTED, FeatureRow
from features.thinning import is_device_reading
from features.units import Conversion, UnitFault, conversion

RESOLUTIONS_MAX = 4096
"""Distinct (codings, unit, qualifiers) kept resolved; a hospital sends some hundreds. When full, it starts anew."""


class Feature(msgspec.Struct, frozen=True):
    """One thing that is measured or charted.

    `unit` is canonical UCUM; `possible_min` and `possible_max` are in it, and a value outside is quarantined.
    `max_age_ms` is how long a value counts (None: always). `charted_decimals` is the precision it is charted in, which
    scores round to. `unit_optional` says a value without a unit is taken as canonical. `steps` is the fixed-point
    resolution: values are kept as whole numbers of 1/steps of the unit. `molar_mass` (g/mol), `valence`, and
    `molar_mass_by_code` allow conversion between mass, charge and amount. `answers` and `words` are for coded features.
    """

    index: int
    name: str
    unit: str
    possible_min: float
    possible_max: float
    max_age_ms: int | None
    codes: tuple[Coding, ...]
    charted_decimals: int
    kind: Literal["numeric", "coded"]
    answers: dict[Coding, int]
    words: dict[str, int]
    unit_optional: bool
    steps: int
    molar_mass: float
    valence: int
    molar_mass_by_code: dict[str, float]


class Resolution(msgspec.Struct, frozen=True):
    """A coding and unit resolved: `steps = floor(value * factor + offset)`, accepted within [low, high] steps.

    `plain` says that a number is all it takes: the feature is numeric, the unit without fault, and the reading no
    device's. `device` says that it is one's (`features.thinning`).
    """

    feature: Feature
    index: int
    factor: float
    offset: float
    low: int
    high: int
    fault: str
    plain: bool
    name: str
    steps: int
    device: bool = False


ResolutionKey = tuple[tuple[Coding, ...], str, tuple[Coding, ...]]
"""(codings, unit, qualifiers) as a sender gave them."""


class Resolutions(dict[ResolutionKey, Resolution | None]):
    """What has been resolved before; asked for anything else, it resolves and remembers it."""

    def __init__(self, resolve: Callable[[ResolutionKey], Resolution | None]) -> None:
        super().__init__()
        self._resolve = resolve

    def __missing__(self, key: ResolutionKey) -> Resolution | None:
        if len(self) >= RESOLUTIONS_MAX:
            self.clear()
        resolution = self[key] = self._resolve(key)
        return resolution


class UnknownFeatureError(KeyError):
    """A name that is in no catalogue: ours or the operator's configuration."""


def _feature(index: int, row: FeatureRow, more: tuple[Coding, ...] = ()) -> Feature:
    listed = (("loinc", row.loinc), ("mdc", row.mdc), ("snomed", row.snomed))
    codes = tuple((system, code) for system, codes in listed for code in codes.split())
    answers, words = ANSWERS[row.name] if row.coded else ({}, {})
    return Feature(
        index=index,
        name=row.name,
        unit=row.unit,
        possible_min=row.low,
        possible_max=row.high,
        max_age_ms=row.age_h * MILLIS_PER_HOUR,
        codes=codes + more,
        charted_decimals=row.decimals,
        kind="coded" if row.coded else "numeric",
        answers=answers,
        words=words,
        unit_optional=row.unit_optional,
        steps=row.steps,
        molar_mass=row.molar_mass,
        valence=row.valence,
        molar_mass_by_code=dict(row.molar_mass_by_code),
    )


class Catalogue:
    """All features, and the way from a code to one of them.

    >>> catalogue = default_catalogue()
    >>> catalogue.resolve((("loinc", "8867-4"),)).name
    'heart_rate'
    >>> catalogue.resolve((("local", "x"),)) is None
    True
    >>> catalogue.with_codes({("local", "x"): "temperature"}).resolve((("local", "x"),)).name
    'temperature'
    """

    __slots__ = ("_by_code", "_by_name", "_stands_for", "content_hash", "features", "index_of", "resolutions", "steps")

    def __init__(self, features: tuple[Feature, ...], stands_for: Mapping[Coding, Coding] | None = None) -> None:
        """`stands_for` has the local codes that mean one code of ours, and not only its feature."""
        self.features = features
        self._stands_for = dict(stands_for or {})
        self._by_name = {feature.name: feature for feature in features}
        self.index_of = {feature.name: feature.index for feature in features}
        self._by_code: dict[Coding, Feature] = {}
        for feature in features:
            for code in feature.codes:
                if self._by_code.setdefault(code, feature) is not feature:
                    raise ValueError(f"{code} is claimed by {feature.name} and {self._by_code[code].name}")
        self.steps = tuple(feature.steps for feature in features)
        self.resolutions = Resolutions(self._resolved)
        """By (codings, unit, qualifiers): a ready conversion, None where no coding is known (hot path)."""
        self.content_hash = _content_hash(features, self._stands_for)

    def by_name(self, name: str) -> Feature:
        """Give the feature of this name; raises `UnknownFeatureError`."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownFeatureError(name) from None

    def target(self, name: str) -> tuple[Feature, str]:
        """Give what a local code may be mapped to: a feature by name, or by a LOINC code of ours and that code.

        Raises `UnknownFeatureError`.

        >>> [(feature.name, code) for feature, code in map(default_catalogue().target, ("urea", "3094-0"))]
        [('urea', ''), ('urea', '3094-0')]
        """
        feature = self._by_code.get(("loinc", name))
        return (self.by_name(name), "") if feature is None else (feature, name)

    def with_codes(self, codes: Mapping[Coding, str]) -> Catalogue:
        """Give a catalogue that also understands these codings, by feature name or LOINC code (`target`).

        One that stands for a LOINC code has its molar mass, and what its specimen makes of it. Raises
        `UnknownFeatureError` for a name that is neither, `ValueError` for a code that means another already.
        """
        more: dict[str, list[Coding]] = {}
        stands_for = dict(self._stands_for)
        for code, name in sorted(codes.items()):
            feature, loinc = self.target(name)
            if loinc and code != ("loinc", loinc):
                if code in self._by_code and code[0] == "loinc":
                    raise ValueError(f"{code[0]}|{code[1]} means itself, and cannot be {loinc}")
                stands_for[code] = ("loinc", loinc)
            if code not in feature.codes:
                more.setdefault(feature.name, []).append(code)
        return Catalogue(
            tuple(
                msgspec.structs.replace(feature, codes=feature.codes + tuple(more.get(feature.name, ())))
                for feature in self.features
            ),
            stands_for,
        )

    def resolve(self, codings: tuple[Coding, ...], qualifiers: tuple[Coding, ...] = ()) -> Feature | None:
        """Find the feature that a result's codings mean: the first that is known, best first."""
        found = self._find(codings, qualifiers)
        return found[0] if found else None

    def resolution(self, codings: tuple[Coding, ...], unit: str, qualifiers: tuple[Coding, ...]) -> Resolution | None:
        """Resolve codings, unit and qualifiers into a ready conversion; None where no coding is known."""
        return self.resolutions[codings, unit, qualifiers]

    def _resolved(self, key: ResolutionKey) -> Resolution | None:
        codings, unit, qualifiers = key
        found = self._find(codings, qualifiers)
        return _resolution(found[0], found[1], unit, device=is_device_reading(codings, qualifiers)) if found else None

    def _find(self, codings: tuple[Coding, ...], qualifiers: tuple[Coding, ...]) -> tuple[Feature, str] | None:
        for coding in codings:
            feature = self._by_code.get(coding)
            if feature is None:
                continue
            meant = self._stands_for.get(coding, coding)
            redirected = REDIRECTED.get(meant)
            if redirected and any(code in redirected[0] for _, code in qualifiers):
                feature = self._by_name[redirected[1]]
            return feature, meant[1]
        return None


def _resolution(feature: Feature, code: str, unit: str, *, device: bool) -> Resolution:
    found: Conversion | UnitFault = Conversion(1.0, 0.0)
    if feature.kind == "numeric":
        found = conversion(unit, feature, feature.molar_mass_by_code.get(code, 0.0))
    fault = found.value if isinstance(found, UnitFault) else ""
    if isinstance(found, UnitFault):
        found = Conversion(1.0, 0.0)
    return Resolution(
        feature=feature,
        index=feature.index,
        factor=found.factor * feature.steps,
        # A half is added so that flooring rounds half up.
        offset=found.offset * feature.steps + 0.5,
        low=round(feature.possible_min * feature.steps),
        high=round(feature.possible_max * feature.steps),
        fault=fault,
        plain=feature.kind == "numeric" and not fault and not device,
        name=feature.name,
        steps=feature.steps,
        device=device,
    )


def _content_hash(features: tuple[Feature, ...], stands_for: Mapping[Coding, Coding]) -> str:
    """Digest all that decides what a value becomes; two catalogues of one hash read every feed alike."""
    content: list[Any] = [
        [sorted(value.items()) if isinstance(value, dict) else value for value in msgspec.structs.astuple(feature)]
        for feature in features
    ]
    if stands_for:
        content.append(sorted(stands_for.items()))
    return sha256(msgspec.json.encode(content)).hexdigest()


@cache
def default_catalogue() -> Catalogue:
    """Give the catalogue that ships.

    >>> default_catalogue().by_name("spo2").unit
    '%'
    """
    return Catalogue(tuple(_feature(index, row) for index, row in enumerate(FEATURE_ROWS)))
