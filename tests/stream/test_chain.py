"""The chain of decisions: what was altered, removed or slipped in is found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events import KillSwitch
from stream.chain import TIPS_MAX, Chain, record_hash
from stream.decisions import Decision, Decisions, decode_decision, encode_decision


def written(count: int, at_once: int = 1) -> list[bytes]:
    """Give chained records; `at_once` writers each time know nothing of each other."""
    decisions, values = Decisions(), []
    while len(values) < count:
        tips = decisions.chain.tips
        for _writer in range(at_once):
            event = KillSwitch(len(values), engaged=True)
            values.append(encode_decision(Decision(event, "role:test", previous=tips)))
            decisions.take(len(values) - 1, values[-1], 0)
    return values


def chain_of(values: list[bytes]) -> Chain:
    """Read records."""
    decisions = Decisions()
    for offset, value in enumerate(values):
        decisions.take(offset, value, 0)
    return decisions.chain


def chained(values: list[bytes], number: int) -> list[bytes]:
    """Give records with one more that knows of them all."""
    event = KillSwitch(number, engaged=True)
    return [*values, encode_decision(Decision(event, "role:test", previous=chain_of(values).tips))]


@given(st.integers(2, 12), st.integers(1, 3), st.data())
def test_a_record_that_is_altered_removed_or_slipped_in_breaks_the_chain(
    count: int, at_once: int, data: st.DataObject
) -> None:
    """Each of the three, at any place but the end, is a fault; the chain as it was written has none."""
    values = chained(chained(written(count, at_once), 98), 99)
    assert chain_of(values).faults == ()
    place = data.draw(st.integers(0, len(values) - 3))
    named = decode_decision(values[place]).previous
    other = encode_decision(Decision(KillSwitch(7, engaged=False), "role:x", previous=named))
    assert chain_of([*values[:place], other, *values[place + 1 :]]).faults
    assert chain_of([*values[:place], *values[place + 1 :]]).faults
    assert chain_of([*values[: place + 1], other, *values[place + 1 :]]).faults


def test_two_writers_at_once_are_both_named_by_the_next() -> None:
    """The record after two that did not know of each other names both, and one tip is left."""
    values = written(4, at_once=2)
    named = decode_decision(values[2]).previous
    assert set(named) == {record_hash(values[0]), record_hash(values[1])}
    assert len(chain_of(values).tips) == 2


def test_a_head_that_was_noted_tells_what_was_cut_off() -> None:
    """What is cut off at the end breaks nothing, but the noted head is not known any more."""
    values = written(5)
    head = chain_of(values).tips[-1]
    cut = chain_of(values[:-1])
    assert cut.faults == ()
    assert not cut.knows(head)
    assert chain_of([*values, *written(1)]).knows(head)


def test_records_of_earlier_releases_stand_before_the_chain() -> None:
    """Records that name none are counted while none has named another, and are faults afterwards."""
    old = encode_decision(Decision(KillSwitch(1, engaged=True), "role:test"))
    new = encode_decision(Decision(KillSwitch(2, engaged=True), "role:test", previous=(record_hash(old),)))
    assert (chain_of([old, new]).unchained, chain_of([old, new]).faults) == (1, ())
    assert "names none before it" in chain_of([old, new, old]).faults[-1]


def test_a_record_that_cannot_be_read_is_held_by_its_hash() -> None:
    """A record of a later release is a link like any other; a tombstone is a fault."""
    unread = b'{"event":{"type":"of_a_later_release"}}'
    after = encode_decision(Decision(KillSwitch(2, engaged=True), "role:test", previous=(record_hash(unread),)))
    assert chain_of([unread, after]).faults == ()
    assert chain_of([unread + b" ", after]).faults
    decisions = Decisions()
    decisions.take(0, None, 0)
    assert "was removed" in decisions.chain.faults[0]


def test_tips_are_bounded() -> None:
    """However many write at once, no record names more than the bound."""
    assert len(chain_of(written(TIPS_MAX * 3, at_once=TIPS_MAX * 2)).tips) <= TIPS_MAX


@given(st.integers(2, 8), st.data())
def test_a_copy_of_a_record_is_found_wherever_it_is_put(count: int, data: st.DataObject) -> None:
    """A record put in twice is a fault, right behind itself and at the end too."""
    values = chained(written(count), 99)
    copied = data.draw(st.integers(0, len(values) - 1))
    place = data.draw(st.integers(copied + 1, len(values)))
    assert "is a copy" in chain_of([*values[:place], values[copied], *values[place:]]).faults[0]


def test_two_that_did_not_know_of_each_other_cannot_be_exchanged() -> None:
    """Of a kill switch engaged and released at one moment the later counts: the next record holds their order."""
    first = encode_decision(Decision(KillSwitch(1, engaged=True), "role:test"))
    before = (record_hash(first),)
    off = encode_decision(Decision(KillSwitch(2, engaged=False), "role:one", previous=before))
    on = encode_decision(Decision(KillSwitch(2, engaged=True), "role:other", previous=before))
    values = chained([first, off, on], 3)
    assert chain_of(values).faults == ()
    assert "were exchanged" in chain_of([first, on, off, values[-1]]).faults[0]
