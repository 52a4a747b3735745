"""Ids are derived from content: stable for ever, and told apart by every part."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import content_id, observation_id

PARTS = st.lists(st.text(max_size=8), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("",), "0a68eb57-c88a-5f34-9e9d-27f85e68af4f"),
        (("alert", "p1", "e1"), "e5274b4b-7112-53b8-9dd4-868e60239cbf"),
        (("ab", "c"), "80bb5d1b-afd6-56d8-8f37-1c5ed1c694da"),
        (("a", "bc"), "4ad0d700-63c5-595e-91c1-11c1cdc85bf6"),
    ],
)
def test_content_ids_never_change(parts: tuple[str, ...], expected: str) -> None:
    """The id of a content is the same in every release: a change of it would repeat every alert under a new name."""
    assert content_id(*parts) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [(("LAB",), 3185712090004829687), (("LAB", "order-1", "8867-4"), 357002351307279084)],
)
def test_observation_ids_never_change(parts: tuple[str, ...], expected: int) -> None:
    """The id of a result is the same in every release: a change of it would orphan every later correction."""
    assert observation_id(*parts) == expected


@given(PARTS)
def test_content_ids_are_version_5_uuids(parts: list[str]) -> None:
    """A content id reads as an RFC 9562 UUID of version 5."""
    parsed = uuid.UUID(content_id(*parts))
    assert parsed.version == 5
    assert parsed.variant == uuid.RFC_4122
    assert str(parsed) == content_id(*parts)


@given(PARTS)
def test_observation_ids_fit_63_bits(parts: list[str]) -> None:
    """A result's id is a whole number that a signed 64-bit column holds."""
    assert 0 <= observation_id(*parts) < 2**63


@given(PARTS)
def test_text_and_its_bytes_have_one_id(parts: list[str]) -> None:
    """A part given as text or as its UTF-8 bytes gives the same id."""
    encoded = [part.encode() for part in parts]
    assert content_id(*encoded) == content_id(*parts)
    assert observation_id(*encoded) == observation_id(*parts)


@given(PARTS, PARTS)
def test_ids_tell_parts_apart(one: list[str], other: list[str]) -> None:
    """Two lists of parts have one id exactly where they are equal."""
    assert (content_id(*one) == content_id(*other)) == (one == other)
    assert (observation_id(*one) == observation_id(*other)) == (one == other)


@pytest.mark.parametrize("separator", ["\x1f", "\x00", "|", "^", "&", ":"])
@given(left=st.text(max_size=4), right=st.text(max_size=4))
def test_no_character_joins_two_parts(separator: str, left: str, right: str) -> None:
    """No character inside one part makes it the same as two: one patient's key is never another's."""
    assert content_id(left, right) != content_id(f"{left}{separator}{right}")
    assert observation_id(left, right) != observation_id(f"{left}{separator}{right}")


@given(PARTS)
def test_order_of_parts_matters(parts: list[str]) -> None:
    """Parts in another order are another content."""
    assert (content_id(*parts) == content_id(*reversed(parts))) == (parts == parts[::-1])
