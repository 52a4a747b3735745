"""Code maps against the catalogue, and the law that both formats say the same."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.terminology.code_map import read_map
from connectors.terminology.concept_map import write_concept_map
from connectors.terminology.csv_map import write_csv
from connectors.terminology.rows import FAULTS_TOLD_MAX, ROWS_MAX, CodeMapError, MapRow
from features.catalogue import default_catalogue
from features.feature_table import REDIRECTED

HEADER = "system,code,unit,target,reviewer,reviewed\n"
CATALOGUE = default_catalogue()
TARGETS = [""] + [feature.name for feature in CATALOGUE.features] + [
    code for feature in CATALOGUE.features for system, code in feature.codes if system == "loinc"
]  # fmt: skip

texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
rows = st.builds(
    MapRow,
    system=texts.map(lambda text: f"S{text}") | st.sampled_from(["", "a b%20", "urn:x", "L:1 2"]),
    code=texts,
    display=texts | st.just(""),
    target=st.sampled_from(TARGETS),
    comment=texts | st.just(""),
)
reviewed = st.tuples(rows, st.booleans()).map(
    lambda pair: msgspec.structs.replace(pair[0], reviewer="A. Chemist", reviewed="2026-03-01") if pair[1] else pair[0]
)


@settings(max_examples=50)
@given(st.lists(reviewed, max_size=12, unique_by=lambda row: (row.system, row.code)))
def test_both_formats_say_the_same(mapped: list[MapRow]) -> None:
    """Law: rows written as CSV, as R4 and as R5 are read as the same rows, in the same order, and the same table."""
    by_csv = read_map(write_csv(mapped).encode(), "m.csv")
    by_r4 = read_map(write_concept_map(mapped, "R4"), "m.json")
    by_r5 = read_map(write_concept_map(mapped, "R5"), "m.json")
    assert by_csv.table == by_r4.table == by_r5.table
    assert [row.plain for row in by_csv.rows] == [row.plain for row in by_r4.rows] == mapped
    assert [row.plain for row in by_r5.rows] == mapped
    assert len(by_csv.left_out) + sum(map(len, by_csv.table.values())) == len(mapped)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("L,K,,potasium,,\n", "line 2: target: 'potasium' is neither a feature of the catalogue nor a LOINC code"),
        ("L,K,,99999-9,,\n", "line 2: target: '99999-9' is neither"),
        ("L,K,,sodium,,\nL,K,,potassium,,\n", "line 3: target: L|K is potassium here and sodium at line 2"),
        ("L,K,mm[Hg],potassium,,\n", "line 2: unit: 'mm[Hg]' cannot become mmol/L of potassium"),
        ("L,K,bananas,potassium,,\n", "line 2: unit: 'bananas' is no unit that is known here"),
        ("L,U,mg/dL,urea,,\n", "line 2: unit: 'mg/dL' cannot become mmol/L of urea"),
        ("LN,8867-4,,temperature,,\n", "line 2: code: loinc|8867-4 is heart_rate in the catalogue"),
        ("LN,3094-0,mg/dL,3091-6,,\n", "line 2: code: loinc|3094-0 means itself, and cannot be 3091-6"),
        ("LN,2708-6,%,59408-5,,\n", "line 2: code: loinc|2708-6 means itself, and cannot be 59408-5"),
    ],
)
def test_what_cannot_be_is_refused_though_nobody_reviewed_it(lines: str, said: str) -> None:
    """A target that is none, two targets of a code, and a unit that cannot become the feature's name their line."""
    with pytest.raises(CodeMapError) as caught:
        read_map((HEADER + lines).encode(), "m.csv")
    assert caught.value.faults[0].startswith(said)


def test_a_code_may_come_in_several_units() -> None:
    """The same code and target in two units is no contradiction."""
    lines = "L,T,Cel,temperature,A,2026-03-01\nL,T,[degF],temperature,A,2026-03-01\n"
    assert read_map((HEADER + lines).encode(), "m.csv").table == {"L": {"T": "temperature"}}


def test_a_loinc_target_brings_its_molar_mass() -> None:
    """Urea nitrogen and urea in mg/dL differ by 2.14: which it is, the target says."""
    lines = "L,BUN,mg/dL,3094-0,A,2026-03-01\nL,UREA,mg/dL,3091-6,A,2026-03-01\n"
    table = read_map((HEADER + lines).encode(), "m.csv").table
    catalogue = CATALOGUE.with_codes({("L", code): target for code, target in table["L"].items()})
    steps = {}
    for code in ("BUN", "UREA"):
        found = catalogue.resolution((("L", code),), "mg/dL", ())
        assert found is not None
        assert not found.fault
        steps[code] = (60.0 * found.factor) / found.steps
    assert steps["UREA"] == pytest.approx(10.0, abs=0.05)
    assert steps["BUN"] == pytest.approx(21.4, abs=0.05)
    assert catalogue.content_hash != CATALOGUE.with_codes({("L", "BUN"): "urea", ("L", "UREA"): "urea"}).content_hash


def test_a_loinc_code_keeps_its_own_molar_mass() -> None:
    """Nor under `[codes]`: urea nitrogen that stood for urea would be read as less than half of what it is."""
    with pytest.raises(ValueError, match="means itself"):
        CATALOGUE.with_codes({("loinc", "3094-0"): "3091-6"})
    assert CATALOGUE.with_codes({("loinc", "3094-0"): "urea"}).content_hash == CATALOGUE.content_hash


def test_a_saturation_by_its_loinc_code_goes_by_its_specimen() -> None:
    """A local code that stands for 2708-6 is arterial where the specimen says so, as 2708-6 is."""
    catalogue = CATALOGUE.with_codes({("L", "SAT"): "2708-6"})
    for qualifiers in ((), *(((("HL70070", word),)) for word in sorted(REDIRECTED["loinc", "2708-6"][0]))):
        by_loinc = CATALOGUE.resolve((("loinc", "2708-6"),), qualifiers)
        assert by_loinc is not None
        assert catalogue.resolve((("L", "SAT"),), qualifiers) == catalogue.by_name(by_loinc.name)
        assert by_loinc.name == ("sao2" if qualifiers else "spo2")


@settings(max_examples=100)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (HEADER + text).encode()))
def test_whatever_bytes_they_are_they_are_read_or_refused(data: bytes) -> None:
    """Any bytes are a map or a `CodeMapError` with a place for each fault."""
    faults: tuple[str, ...] = ()
    try:
        found = read_map(data, "m")
        assert len(found.left_out) + sum(map(len, found.table.values())) <= len(found.rows)
    except CodeMapError as error:
        faults = error.faults
    assert all(": " in fault for fault in faults)


def test_a_map_that_is_nested_without_end_is_refused() -> None:
    """What no parser goes through is refused as what it is."""
    with pytest.raises(CodeMapError):
        read_map(b'{"resourceType":"ConceptMap","group":[{"element":[{"target":[{"product":' + b"[" * 100_000, "m")


def test_reasons_without_number_are_told_in_lines_that_end() -> None:
    """A ConceptMap may make up a relation a row: twenty are told and how many more, at a cost that grows as it does."""
    words = [
        {"code": f"K{n}", "target": [{"code": "2823-3", "equivalence": f"word {n}"}]} for n in range(ROWS_MAX)
    ]  # fmt: skip
    group = [{"source": "L", "target": "http://loinc.org", "element": words}]
    document = {"resourceType": "ConceptMap", "status": "active", "publisher": "P", "date": "2026-03-01"}
    told = read_map(msgspec.json.encode({**document, "group": group}), "m.json").told()
    assert (len(told), told[-1]) == (FAULTS_TOLD_MAX + 1, f"m.json: {ROWS_MAX - FAULTS_TOLD_MAX} more reasons")


@pytest.mark.parametrize("word", ["\x1b[2J", "wider\nWarning: all is applied", "w" * 300])
def test_a_relation_writes_no_line_of_its_own_to_a_terminal(word: str) -> None:
    """What is told at each start comes from the file: a relation with control characters is a fault, as any text is."""
    group = [{"source": "L", "element": [{"code": "K", "target": [{"code": "2823-3", "equivalence": word}]}]}]
    group[0]["target"] = "http://loinc.org"
    with pytest.raises(CodeMapError, match="relation: "):
        read_map(msgspec.json.encode({"resourceType": "ConceptMap", "status": "active", "group": group}), "m.json")
