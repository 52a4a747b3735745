"""The control state: decisions that count once, in order, and a version that scores only where its log says so."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Availability, Configuration, Event, KillSwitch, Promotion, Standing
from guardrails.configuration import VersionSettings
from stream.control import (
    AVAILABLE_MAX,
    CONTROL_SCHEMA,
    STANDINGS_MAX,
    Control,
    ForeignStateError,
    read_control,
    usable,
)
from stream.settings import ConfigurationError, Settings, configuration_hash, configuration_text
from stream.versions import load_versions

SHIPPED, _WRONG = load_versions()
VERSION = next(iter(SHIPPED))
TEXT = configuration_text(Settings(news2_scale_2=("p",)))

DECISIONS: list[Event] = [
    Promotion(0, VERSION, enabled=True, sequence=1),
    KillSwitch(0, engaged=True, sequence=2),
    Configuration(0, configuration_hash(Settings(news2_scale_2=("p",))), TEXT, sequence=3),
    KillSwitch(0, engaged=False, sequence=4),
    Promotion(0, "", enabled=False, sequence=5),
    Standing(0, VERSION, "held", "drift", sequence=6),
    Standing(0, VERSION, "good", sequence=7),
]


def applied(*events: Event, versions: object = SHIPPED) -> Control:
    control = Control(versions)  # type: ignore[arg-type]
    for event in events:
        control.apply(event)
    return control


@given(st.lists(st.integers(0, len(DECISIONS)), max_size=12), st.integers(0, len(DECISIONS)))
def test_decisions_count_once_and_in_order(ends: list[int], done: int) -> None:
    """However often their broadcast is begun anew, the decisions come to what they come to once, in order."""
    repeated = [event for end in ends for event in DECISIONS[:end]]
    reached = max([*ends, done])
    control = applied(*repeated, *DECISIONS[:done])
    assert control.encode() == applied(*DECISIONS[:reached]).encode()
    assert control.sequence == reached


def test_without_a_sequence_the_last_word_counts() -> None:
    """In a log of its own, as the embedded service has it, each event takes effect as it comes."""
    control = applied(KillSwitch(0, engaged=True), KillSwitch(0, engaged=False), KillSwitch(0, engaged=True))
    assert control.kill_switch
    assert control.sequence == 0


def test_a_sequenced_promotion_waits_to_be_called_available() -> None:
    """Having the version is not enough: it scores from where the log says so, to where the log takes that back."""
    control = applied(DECISIONS[0])
    assert control.scorer is None
    assert control.no_prediction.reason == "version_not_loaded"
    control.apply(Availability(0, VERSION, available=True))
    assert control.scorer is not None
    control.apply(Availability(0, VERSION, available=False))
    assert control.scorer is None


def test_called_available_before_it_is_promoted() -> None:
    """An availability that stands before its promotion leaves no moment without the version."""
    control = applied(Availability(0, VERSION, available=True), DECISIONS[0])
    assert control.scorer is not None
    assert control.lacks == ""


def test_an_unsequenced_promotion_scores_by_presence() -> None:
    """The embedded service's promotion needs no such word, and what a log says of availability does not touch it."""
    assert applied(Promotion(0, VERSION, enabled=True)).scorer is not None
    control = applied(Promotion(0, VERSION, enabled=True), Availability(0, VERSION, available=False))
    assert control.scorer is not None


def test_what_the_log_calls_available_and_is_not_here_is_named() -> None:
    """A host can tell that it must not fold on: and once the version has come, it scores without another event."""
    versions = dict(SHIPPED)
    held = versions.pop(VERSION)
    control = applied(Availability(0, VERSION, available=True), DECISIONS[0], versions=versions)
    assert control.lacks == VERSION
    assert control.scorer is None
    versions[VERSION] = held
    control.reload()
    assert control.lacks == ""
    assert control.scorer is not None


def test_a_version_of_other_inputs_is_not_usable() -> None:
    """A version that takes other inputs than this release computes counts as missing."""
    other = msgspec.structs.replace(SHIPPED[VERSION], schema_hash="sha256:other")
    assert usable({other.version: other}, other.version) is None
    control = applied(
        Availability(0, other.version, available=True),
        Promotion(0, other.version, enabled=True, sequence=1),
        versions={other.version: other},
    )
    assert control.lacks == other.version


def test_what_was_called_available_is_bounded() -> None:
    """Only the newest of those called available are remembered."""
    control = applied(*(Availability(0, f"v{number}", available=True) for number in range(50)))
    assert control.available == tuple(f"v{number}" for number in range(50 - AVAILABLE_MAX, 50))


def test_a_stored_state_goes_on_as_it_was() -> None:
    """Stored and restored, the control state ignores what it had applied and knows what was called available."""
    control = applied(Availability(0, VERSION, available=True), *DECISIONS[:4])
    restored = Control(SHIPPED)
    restored.restore(control.encode())
    assert restored.encode() == control.encode()
    assert restored.scorer is not None
    restored.apply(DECISIONS[1])
    assert not restored.kill_switch
    assert (restored.sequence, restored.available, restored.awaits) == (4, (VERSION,), True)


def test_a_state_stored_by_an_earlier_release_is_read() -> None:
    """The stored form of before there were sequences is a state in which nothing sequenced was applied."""
    old = msgspec.msgpack.encode((1_000, "", VERSION, True, True, "0.0.9", ""))
    control = Control(SHIPPED)
    control.restore(old)
    assert (control.clock, control.kill_switch, control.code_version) == (1_000, True, "0.0.9")
    assert (control.sequence, control.awaits, control.available) == (0, False, ())
    assert control.scorer is not None


def test_a_configuration_that_cannot_be_read_changes_nothing() -> None:
    """It is refused whole and is not called applied; the state stored afterwards can be restored, and goes on."""
    control = applied(*DECISIONS[:3])
    before = control.encode()
    with pytest.raises(ConfigurationError):
        control.apply(Configuration(0, "x", '{"of_a_later_release": 1}', sequence=9))
    assert control.encode() == before
    assert control.sequence == 3
    control.apply(KillSwitch(0, engaged=False, sequence=10))
    assert (control.kill_switch, control.sequence) == (False, 10)
    restored = Control(SHIPPED)
    restored.restore(control.encode())
    assert restored.configuration_content == TEXT


def test_what_is_no_control_state_is_refused() -> None:
    """Bytes of another kind are named as foreign."""
    with pytest.raises(ForeignStateError):
        read_control(b"\x93")


def enabled(*events: Event) -> Control:
    return applied(Promotion(0, VERSION, enabled=True), *events)


def test_a_held_version_is_computed_and_silenced() -> None:
    """Held: it scores, the guardrails say so, and nothing of it is told."""
    control = enabled(Standing(0, VERSION, "held", "drift"))
    assert control.scorer is not None
    assert control.guardrails.standing_of(VERSION) == "held"
    assert control.silenced


def test_a_demoted_version_is_not_asked() -> None:
    """Demoted: there is no scorer, and the prediction in its place says why."""
    control = enabled(Standing(0, VERSION, "demoted"))
    assert control.scorer is None
    assert (control.no_prediction.version, control.no_prediction.reason) == (VERSION, "demoted")


def test_a_standing_is_the_versions_own() -> None:
    """It outlasts promotions: come back to, a held version is still held; another one is not; restored, it speaks."""
    control = enabled(Standing(0, VERSION, "held"), Promotion(0, "", enabled=False))
    assert not control.silenced
    control.apply(Promotion(0, VERSION, enabled=True))
    assert control.silenced
    control.apply(Standing(0, VERSION, "good"))
    assert not control.silenced
    assert control.standings == {}


def test_a_standing_may_come_before_its_promotion() -> None:
    """A version that was held before anybody promoted it is held from the first."""
    assert applied(Standing(0, VERSION, "held"), Promotion(0, VERSION, enabled=True)).silenced


def test_the_configuration_holds_back_too() -> None:
    """What the operator wrote in the file counts where it is worse than the log's word, and the log cannot lift it."""
    guardrails = msgspec.structs.replace(Settings().guardrails, versions={VERSION: VersionSettings(standing="held")})
    settings = Settings(guardrails=guardrails)
    event = Configuration(0, configuration_hash(settings), configuration_text(settings))
    control = enabled(event, Standing(0, VERSION, "good"))
    assert control.silenced
    assert enabled(event, Standing(0, VERSION, "demoted")).scorer is None


def test_the_kill_switch_silences_as_it_did() -> None:
    """Silenced is said of the kill switch as of a held version."""
    assert enabled(KillSwitch(0, engaged=True)).silenced
    assert not enabled(KillSwitch(0, engaged=True), KillSwitch(0, engaged=False)).silenced


def test_standings_are_stored() -> None:
    """A restored control state holds back what it held back, and is stored with the number of its form."""
    control = enabled(Standing(0, VERSION, "held"), Standing(0, "0" * 12, "demoted"))
    restored = Control(SHIPPED)
    restored.restore(control.encode())
    assert restored.silenced
    assert restored.standings == {VERSION: "held", "0" * 12: "demoted"}
    assert read_control(restored.encode()).schema == CONTROL_SCHEMA


def test_standings_are_bounded_and_the_one_in_force_stays() -> None:
    """However many versions are held back, the one in force is not forgotten."""
    control = enabled(
        Standing(0, VERSION, "held"), *(Standing(0, f"{number:012x}", "held") for number in range(STANDINGS_MAX * 2))
    )
    assert len(control.standings) == STANDINGS_MAX
    assert control.silenced


def test_what_is_no_version_stands_nowhere() -> None:
    """A standing of no version's name changes nothing, and no fold fails of it."""
    assert enabled(Standing(0, "", "held"), Standing(0, "not an id", "demoted")).standings == {}


def test_a_state_of_a_later_release_is_refused() -> None:
    """A form that this release does not know is foreign: it is refolded, never guessed at."""
    fields = list(msgspec.msgpack.decode(enabled().encode()))
    fields[fields.index(CONTROL_SCHEMA, 11)] = CONTROL_SCHEMA + 1
    with pytest.raises(ForeignStateError, match="form 3"):
        read_control(msgspec.msgpack.encode(fields))
