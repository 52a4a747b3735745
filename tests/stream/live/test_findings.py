"""What stands, on its topic: written where it is news, taken back where it has passed, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.reading import KafkaRecord
from models.change_control import MonitorFinding
from stream.live.findings import FINDINGS_MAX, Findings, changes, finding_key

SUBJECTS = st.sampled_from(["all", "low", "heart_rate.last"])
STANDING = st.lists(
    st.builds(
        lambda subject, version, response, odd: MonitorFinding(
            monitor="calibration",
            version=version,
            response=response,
            at=7,
            figures={"subject": subject, "level": "serious", "observed": odd},
        ),
        SUBJECTS,
        st.sampled_from(["4f1c02aa91be", "0123456789ab"]),
        st.sampled_from(["annotate", "hold_promotion", "demote"]),
        st.integers(0, 9),
    ),
    max_size=6,
)


def heard(found: Findings, standing: list[MonitorFinding]) -> int:
    """Write what is to be written and let it be read; give how many records that took."""
    records = changes(found.by_key, standing)
    for offset, one in enumerate(records):
        found.take(KafkaRecord(0, offset, 0, one.key, one.value, ()))
    return len(records)


@given(STANDING, STANDING)
def test_the_topic_says_what_stands(first: list[MonitorFinding], then: list[MonitorFinding]) -> None:
    """Whatever it said before; and what it says already is not written again."""
    found = Findings()
    for standing in (first, then):
        heard(found, standing)
        now = {finding_key(one): (one.version, one.response) for one in standing}
        assert {key: (one.version, one.response) for key, one in found.by_key.items()} == now
        assert heard(found, standing) == 0


def finding(subject: str, observed: int = 0) -> MonitorFinding:
    """Give one."""
    figures: dict[str, float | int | str | None] = {"subject": subject, "level": "notice", "observed": observed}
    return MonitorFinding(monitor="input_values", version="4f1c02aa91be", response="annotate", at=5, figures=figures)


def test_figures_that_move_are_no_news() -> None:
    """What stands is told as it was when it began: a topic is not written to at every look."""
    found = Findings()
    assert heard(found, [finding("x", 1)]) == 1
    assert heard(found, [finding("x", 2)]) == 0
    assert found.standing()[0].figures["observed"] == 1


def test_so_many_are_told() -> None:
    """Those found first; the topic stays small."""
    found = Findings()
    heard(found, [finding(str(number)) for number in range(FINDINGS_MAX + 10)])
    assert len(found.by_key) == FINDINGS_MAX


def test_what_is_no_finding_is_counted_and_not_believed() -> None:
    """Another release's, or nobody's: it does not stand."""
    found = Findings()
    heard(found, [finding("x")])
    found.take(KafkaRecord(0, 9, 0, finding_key(finding("x")).encode(), b"{", ()))
    assert (found.unreadable, found.by_key) == (1, {})
