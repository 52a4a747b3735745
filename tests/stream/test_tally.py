"""What is counted on the way is bounded, whatever a feed sends."""

from __future__ import annotations

from guardrails.verdict import Verdict
from stream.tally import VERDICT_ROWS_MAX, Tally


def test_verdicts_that_name_a_ward_each_are_counted_in_bounded_room():
    """A ward has the name that a feed gave it: past the bound details are let go, and no score goes uncounted."""
    tally, more = Tally(), 50
    for number in range(VERDICT_ROWS_MAX + more):
        tally.count_verdicts((Verdict("subgroups", "annotate", "too_few_seen", f"ward {number}"),))
    assert len(tally.verdicts) == VERDICT_ROWS_MAX + 1
    assert tally.verdict_counts() == {"subgroups:annotate:too_few_seen": VERDICT_ROWS_MAX + more}
