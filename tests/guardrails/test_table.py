"""The page about the chain says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from guardrails.chain import CHAIN
from guardrails.configuration import SubgroupRules
from guardrails.table import chain_table
from stream.settings import parse_site

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "guardrails.md").read_text(encoding="utf-8")


def test_the_table_is_the_one_of_the_code() -> None:
    """docs/guardrails.md holds the table as it is written from the chain: filters, reasons, methods, keys."""
    assert chain_table() in PAGE


def test_every_reason_stands_in_the_table() -> None:
    """Each reason that any filter may give is in the table, in its filter's row."""
    rows = chain_table().splitlines()[2:]
    for row, one in zip(rows, CHAIN, strict=True):
        assert f"`{one.name}`" in row
        assert all(f"`{reason}`" in row for reason in one.REASONS)


def test_the_example_is_a_configuration() -> None:
    """The page's example of thresholds from costs is read, and comes to what the page says."""
    _, example = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    guardrails = parse_site(example).settings.guardrails
    assert guardrails.thresholds_of("Ward 4A") == (0.1, 0.07)
    assert guardrails.thresholds_of("Critical Care", "4f1c02aa91be") == (0.2, 0.15)
    assert guardrails.thresholds_of("Ward 4A", "4f1c02aa91be")[0] == round(1 / 21, 6)


def test_the_example_of_groups_is_a_configuration() -> None:
    """The page's example of policies by group is read, and every key that its table names is one, with its default."""
    example, _ = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    guardrails = parse_site(example).settings.guardrails
    assert guardrails.subgroups.worse == "review"
    assert guardrails.policy_of("", "age", "under 18") == "abstain"
    assert guardrails.policy_of("4f1c02aa91be", "unit_of_origin", "Emergency") == "annotate"
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| `?(\w+)`? \|$", PAGE, re.MULTILINE))
    for field in msgspec.structs.fields(SubgroupRules):
        assert rows[field.name] == (field.default if isinstance(field.default, str) else "none")
