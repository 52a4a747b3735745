"""Code maps as FHIR ConceptMap, R4 and R5: what is applied of one, and what never is."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from fhir.resources.conceptmap import ConceptMap as R5ConceptMap
from fhir.resources.R4B.conceptmap import ConceptMap as R4ConceptMap

from connectors.terminology.code_map import read_map
from connectors.terminology.concept_map import read_concept_map, write_concept_map
from connectors.terminology.rows import MAP_BYTES_MAX, CodeMapError, MapRow

R4 = {
    "resourceType": "ConceptMap",
    "id": "lab",
    "url": "http://hospital.example/ConceptMap/lab",
    "status": "active",
    "publisher": "Chemical pathology",
    "date": "2026-02-03T10:00:00Z",
    "sourceUri": "http://hospital.example/lab",
    "group": [
        {
            "source": "http://hospital.example/lab",
            "target": "http://loinc.org",
            "element": [
                {"code": "K", "display": "Kalium", "target": [{"code": "2823-3", "equivalence": "equal"}]},
                {"code": "NA", "target": [{"code": "2951-2", "equivalence": "equivalent"}]},
                {"code": "CA", "target": [{"code": "17861-6", "equivalence": "wider"}]},
                {"code": "MG", "target": [{"code": "19123-9", "equivalence": "narrower"}]},
                {"code": "CL", "target": [{"code": "2075-0", "equivalence": "relatedto"}]},
                {"code": "XX", "target": [{"equivalence": "unmatched", "comment": "no such thing"}]},
                {"code": "GL", "target": [{"code": "2345-7"}]},
                {
                    "code": "LAC",
                    "target": [
                        {"code": "2524-7", "equivalence": "equal", "dependsOn": [{"property": "p", "value": "v"}]}
                    ],
                },
                {"code": "UR"},
            ],
            "unmapped": {"mode": "fixed", "code": "2345-7"},
        }
    ],
}
"""As a terminology server has it: reviewed as a whole."""


def changed(**fields: Any) -> bytes:
    return json.dumps({**R4, **fields}).encode()


def test_only_what_is_equivalent_is_applied() -> None:
    """`equal` and `equivalent` are applied; other relations, conditions and `unmapped` never are, and are told."""
    found = read_map(changed(), "lab.json")
    assert found.table == {"http://hospital.example/lab": {"K": "2823-3", "NA": "2951-2"}}
    assert {row.code: why for row, why in found.left_out} == {
        "CA": "wider, not equivalent",
        "MG": "narrower, not equivalent",
        "CL": "relatedto, not equivalent",
        "XX": "no target",
        "GL": "no relation, not equivalent",
        "LAC": "conditional, not equivalent",
        "UR": "no target",
    }
    assert [(row.reviewer, row.reviewed) for row in found.rows][:1] == [("Chemical pathology", "2026-02-03")]


def test_r5_says_relationship() -> None:
    """R5's `relationship` is read alike: `equivalent` is applied, broader and narrower sources are not."""
    words = ["equivalent", "source-is-narrower-than-target", "source-is-broader-than-target", "related-to"]
    elements = [
        {"code": f"C{number}", "target": [{"code": "2823-3", "relationship": word}]}
        for number, word in enumerate(words)
    ]
    data = changed(group=[{"source": "L", "target": "http://loinc.org", "element": elements}], publisher="",
                   reviewer=[{"name": "A. Chemist"}], lastReviewDate="2026-03-01")  # fmt: skip
    assert read_map(data, "lab.json").table == {"L": {"C0": "2823-3"}}


def test_a_systems_version_is_no_part_of_its_name() -> None:
    """R5 writes group.source and group.target as canonicals, versioned or not; a message has the system alone."""
    group = {**R4["group"][0], "source": "http://hospital.example/lab|2026-01", "target": "http://loinc.org|2.78"}
    assert read_map(changed(group=[group]), "lab.json").table == read_map(changed(), "lab.json").table
    local = {**R4["group"][0], "source": "LAB|MAIN"}
    assert set(read_map(changed(group=[local]), "lab.json").table) == {"LAB|MAIN"}


def test_nothing_of_a_draft_is_applied() -> None:
    """A map that is not active, and one that nobody stands for, is read and not applied."""
    assert read_map(changed(status="draft"), "lab.json").left_out[0][1] == "draft, not equivalent"
    unsigned = read_map(changed(publisher=""), "lab.json")
    assert (unsigned.table, unsigned.left_out[0][1]) == ({}, "no reviewer")


@pytest.mark.parametrize("part", ["map", "group", "element", "target"])
def test_what_an_unknown_modifier_changes_is_not_applied(part: str) -> None:
    """A `modifierExtension` may say the opposite: nothing under it is applied, at whichever level it stands."""
    modifier = {"modifierExtension": [{"url": "http://hospital.example/not", "valueBoolean": True}]}
    levels = {name: modifier if name == part else {} for name in ("map", "group", "element", "target")}
    target = {"code": "2823-3", "equivalence": "equal", **levels["target"]}
    element = {"code": "K", "target": [target], **levels["element"]}
    group = [{"source": "L", "target": "http://loinc.org", "element": [element], **levels["group"]}]
    found = read_map(changed(group=group, **levels["map"]), "lab.json")
    assert (found.table, found.left_out[0][1]) == ({}, "modified, not equivalent")


def test_a_map_for_testing_is_not_applied_nor_one_by_rules_unknown() -> None:
    """`experimental` is FHIR's word for what is not meant for use; `implicitRules` may change any meaning."""
    assert read_map(changed(experimental=True), "lab.json").table == {}
    assert read_map(changed(implicitRules="http://hospital.example/rules"), "lab.json").table == {}
    assert read_map(changed(experimental=False), "lab.json").table


def test_a_target_that_says_two_things_is_not_applied() -> None:
    """R4's word beside R5's: one that is not equivalent counts."""
    target = {"code": "2823-3", "equivalence": "wider", "relationship": "equivalent"}
    group = [{"source": "L", "target": "http://loinc.org", "element": [{"code": "K", "target": [target]}]}]
    assert read_map(changed(group=group), "lab.json").left_out[0][1] == "wider, not equivalent"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"resourceType": "ConceptMap"', "lab.json, $: "),
        (b'{"resourceType": "Bundle"}', "lab.json, $.resourceType: not a ConceptMap"),
        (b'{"resourceType": "ConceptMap", "group": [{"element": [{"code": 7}]}]}', "lab.json, $: Expected `str`"),
        (b"{" + b" " * MAP_BYTES_MAX, "lab.json, $: longer than"),
        (
            changed(group=[{"source": "L", "target": "http://loinc.org",
                            "element": [{"code": "K", "target": [{"code": "99999-9", "equivalence": "equal"}]}]}]),
            "lab.json, group[0].element[0]: target: '99999-9' is neither",
        ),
    ],
    ids=range(5),
)  # fmt: skip
def test_a_fault_has_its_path(data: bytes, said: str) -> None:
    """What is no ConceptMap, or maps to what the catalogue has not, is refused with its path."""
    with pytest.raises(CodeMapError) as caught:
        read_map(data, "lab.json")
    assert str(caught.value).startswith(said)


def test_a_target_in_another_system_is_none_of_ours() -> None:
    """A mapping to SNOMED CT is not guessed to be one to LOINC."""
    group = [{"source": "L", "target": "http://snomed.info/sct",
              "element": [{"code": "K", "target": [{"code": "2823-3", "equivalence": "equal"}]}]}]  # fmt: skip
    assert read_map(changed(group=group), "lab.json").left_out[0][1] == "of http://snomed.info/sct, not equivalent"


@pytest.mark.parametrize(("release", "model"), [("R4", R4ConceptMap), ("R5", R5ConceptMap)], ids=["R4", "R5"])
def test_what_is_written_is_fhir(release: Literal["R4", "R5"], model: Any) -> None:
    """A library reads what is written, for systems that are no URI and for rows without a target too."""
    systems = ["LAB", "Welch Allyn 50%", "", "http://hospital.example/lab", "urn:oid:2.999.1", "loinc"]
    rows = [MapRow(system, "K", "Kalium", "mmol/L", "2823-3", "A. Chemist", "2026-03-01", "c") for system in systems]
    rows += [MapRow("LAB", "X"), MapRow("LAB", "Y", target="sodium")]
    written = write_concept_map(rows, release)
    assert model.model_validate_json(written).group
    assert " " not in "".join(group.get("source", "") for group in json.loads(written)["group"])
    assert [row.plain for row in read_concept_map(written, "m.json")] == rows
