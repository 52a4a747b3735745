"""Signatures on decisions: what makes the model say more counts only signed, what makes it say less counts always."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.signing import KeyPair, SigningKeyError, sign
from events import ChangeStep, Configuration, KillSwitch, Promotion, Standing
from models.change_plan import ChangePlan
from stream.control import Control
from stream.decisions import (
    START,
    Decision,
    DecisionEvent,
    Decisions,
    encode_decision,
    kind_of,
    signed_content,
    signer,
)
from stream.settings import ConfigurationError, Settings, configuration_hash, configuration_text, parse_toml
from stream.trust import DecisionSignature
from stream.verdict_book import BEFORE_KEYS, QUIETER
from tests.stream.signed_cases import (
    KEYS,
    MACHINE_KEY,
    MACHINE_ROLE,
    NOW,
    OFFICER,
    OFFICER_KEY,
    STRANGER,
    Log,
    configuration,
    keyed,
)

IDENTITY = "01" + "00" * 31
ONE, OTHER = "4f1c02aa91be", "a60d11223344"
AUTOMATIC = Settings(change_control=ChangePlan(automatic=True))

LOUDER: list[DecisionEvent] = [
    Promotion(NOW, ONE, enabled=True),
    KillSwitch(NOW, engaged=False),
    Standing(NOW, ONE, "good"),
    configuration(keyed()).event,
    configuration(Settings()).event,
    ChangeStep(NOW, ONE, "passed", "e" * 64),
    ChangeStep(NOW, ONE, "proposed", "e" * 64),
]
QUIETER_ONES: list[DecisionEvent] = [
    Promotion(NOW, "", enabled=False),
    Promotion(NOW, ONE, enabled=False),
    KillSwitch(NOW, engaged=True),
    Standing(NOW, ONE, "held"),
    Standing(NOW, ONE, "demoted"),
]
louder, quieter = st.sampled_from(LOUDER), st.sampled_from(QUIETER_ONES)


def says(decisions: Decisions) -> tuple[object, ...]:
    """Give what a partition that applies all of it goes by."""
    control = Control({})
    for envelope in decisions.lacking(0, NOW):
        for event in envelope.events:
            control.apply(event)
    return (
        control.configuration_content,
        control.version,
        control.enabled,
        control.kill_switch,
        dict(control.standings),
    )


@pytest.mark.parametrize("event", LOUDER, ids=lambda event: str(kind_of(event)))
def test_what_makes_the_model_say_more_counts_only_signed(event: DecisionEvent) -> None:
    """Unsigned and by a stranger's key it is kept, counted and told, and nothing is changed; signed it counts."""
    log = Log()
    before = says(log.decisions)
    assert not log.decide(event)
    assert not log.decide(event, STRANGER)
    assert says(log.decisions) == before
    assert log.decisions.book.refusals == {"unsigned": 1, "unknown_key": 1}
    first, second = log.decisions.problems()
    assert "decision 2 " in first
    assert "it is not signed" in first
    assert "not among the [decision_keys]" in second
    assert log.decide(event, OFFICER_KEY)
    assert log.decisions.problems() == ()
    assert log.decisions.book.signed == {"officer": 1}
    assert log.decisions.book.signer_of(4) == "officer"
    assert log.decisions.chain.faults == ()


@pytest.mark.parametrize("event", QUIETER_ONES, ids=lambda event: str(kind_of(event)))
@pytest.mark.parametrize("key", [None, STRANGER, OFFICER_KEY], ids=["unsigned", "stranger", "signed"])
def test_what_makes_the_model_say_less_counts_always(event: DecisionEvent, key: KeyPair | None) -> None:
    """Safety never waits for a key: unsigned, wrongly signed, chained or not."""
    log = Log()
    assert log.put(log.made(event, key))
    assert log.put(Decision(event, "duty-manager", "why"))
    assert log.decisions.problems() == ()
    assert log.decisions.book.unsigned[QUIETER] == (1 if key is OFFICER_KEY else 2)


@pytest.mark.parametrize("text", ["", "zz", "AB" * 64, "ab" * 500, " " * 128])
def test_a_signature_of_another_form_is_wrong_and_keeps_no_kill_switch_back(text: str) -> None:
    """What a later release may sign with is no reason to pass over who engages the switch."""
    log = Log()
    odd = DecisionSignature("k", text)
    for event, counts in ((KillSwitch(NOW, engaged=True), True), (KillSwitch(NOW, engaged=False), False)):
        assert log.put(msgspec.structs.replace(log.made(event), signature=odd)) == counts
    assert log.decisions.kill_switch


@pytest.mark.parametrize("public", ["00" * 32, IDENTITY, "ec" + "ff" * 31])
def test_a_key_that_anybody_can_sign_for_is_not_declared(public: str) -> None:
    """Its configuration is refused where it is written, and is not in force where it stands in a log all the same."""
    text = f'[decision_keys.officer]\npublic_key = "{public}"\nroles = ["{OFFICER}"]\n'
    with pytest.raises(ConfigurationError, match="anybody can sign"):
        parse_toml(text)
    log = Log(Settings())
    content = configuration_text(keyed()).replace(OFFICER_KEY.public, public)
    assert not log.decide(Configuration(NOW, "sha256:0", content))
    assert log.decisions.keys == {}
    assert "cannot be read" in log.decisions.problems()[0]


def test_a_demotion_is_not_turned_into_a_hold_unsigned() -> None:
    """A step back towards speaking needs a signature, though a hold by itself needs none."""
    log = Log()
    assert log.decide(Standing(NOW, ONE, "demoted"))
    assert not log.decide(Standing(NOW, ONE, "held"))
    assert log.decide(Standing(NOW, OTHER, "held"))
    assert log.decide(Standing(NOW, ONE, "held"), OFFICER_KEY)


_keys: st.SearchStrategy[KeyPair | None] = st.sampled_from([None, STRANGER, MACHINE_KEY])


@given(st.lists(st.tuples(st.one_of(louder, quieter), _keys), max_size=12), st.sampled_from(["silent", "speaking"]))
def test_without_an_officers_key_the_model_never_says_more(
    tried: list[tuple[DecisionEvent, KeyPair | None]], before: str
) -> None:
    """Whatever is written by who has none of the officers' keys: never louder than it was, and the rules stay."""
    log = Log()
    told = before == "speaking"
    if told:
        assert log.decide(Promotion(NOW, ONE, enabled=True), OFFICER_KEY)
    configured = says(log.decisions)[0]
    for event, key in tried:
        log.put(log.made(event, key, who=OFFICER))
        content, version, enabled, kill_switch, standings = says(log.decisions)
        assert content == configured
        now = bool(enabled) and version == ONE and not kill_switch and standings == {}
        assert told or not now
        told = now
    assert dict(log.decisions.keys) == KEYS
    assert says(log.read_anew()) == says(log.decisions)


@given(louder, st.data())
def test_any_flipped_byte_of_a_signed_decision_is_refused(event: DecisionEvent, data: st.DataObject) -> None:
    """However a signed record is altered, it never counts: not as another decision, and not as the same."""
    log = Log()
    value = encode_decision(log.made(event, OFFICER_KEY))
    place = data.draw(st.integers(0, len(value) - 1))
    altered = value[:place] + bytes([value[place] ^ data.draw(st.integers(1, 255))]) + value[place + 1 :]
    before = says(log.decisions)
    assert not log.put(altered)
    assert says(log.decisions) == before
    assert len(log.decisions.problems()) == 1


@given(louder.filter(lambda event: event != LOUDER[4]), st.integers(0, 3), st.data())
def test_a_signed_decision_counts_once(event: DecisionEvent, between: int, data: st.DataObject) -> None:
    """A copy put in later, as it is or written with other blanks, counts never again while keys are in force."""
    log = Log()
    signed = log.made(event, OFFICER_KEY)
    assert log.put(signed)
    for _ in range(between):
        log.decide(data.draw(quieter))
    before = says(log.decisions)
    assert not log.put(encode_decision(signed))
    assert not log.put(encode_decision(signed).replace(b'","', b'", "', 1))
    assert says(log.decisions) == before


def test_an_overtaken_decision_does_not_count() -> None:
    """A kill switch that was engaged meanwhile is not released by who did not know of it."""
    log = Log()
    release = log.made(KillSwitch(NOW, engaged=False), OFFICER_KEY)
    assert log.decide(KillSwitch(NOW, engaged=True))
    assert not log.put(release)
    assert log.decisions.kill_switch
    assert log.decisions.book.refusals == {"outdated": 1}
    assert log.decide(KillSwitch(NOW, engaged=False), OFFICER_KEY)


def test_rewritten_bytes_do_not_count() -> None:
    """The same decision in other bytes would be another record to the chain: it does not count."""
    log = Log()
    signed = log.made(Promotion(NOW, ONE, enabled=True), OFFICER_KEY)
    assert not log.put(encode_decision(signed) + b" ")
    assert log.decisions.book.refusals == {"rewritten": 1}


def test_a_key_signs_for_its_roles_alone() -> None:
    """Another role is refused, though the key is declared."""
    log = Log()
    assert not log.decide(Promotion(NOW, ONE, enabled=True), OFFICER_KEY, who="medical-director")
    assert not log.decide(Promotion(NOW, ONE, enabled=True), MACHINE_KEY, who=OFFICER)
    assert log.decisions.book.refusals == {"wrong_role": 2}


@pytest.mark.parametrize("event", LOUDER, ids=lambda event: str(kind_of(event)))
def test_a_machine_gives_nothing_back(event: DecisionEvent) -> None:
    """With the learner's key: no configuration, no restored version, no released kill switch, whatever the plan."""
    log = Log(keyed(AUTOMATIC))
    counts = log.decide(event, MACHINE_KEY, who=MACHINE_ROLE)
    assert counts == isinstance(event, Promotion | ChangeStep)


def test_nothing_goes_by_itself_where_the_plan_does_not_let_it() -> None:
    """Signed by the learner's key or not: `automatic` is decided by people."""
    log = Log()
    assert not log.decide(Promotion(NOW, ONE, enabled=True), MACHINE_KEY, who=MACHINE_ROLE)
    assert log.decisions.book.refusals == {"not_automatic": 1}
    back = log.made(Promotion(NOW, ONE, enabled=True), MACHINE_KEY, who="wardstream:monitor", undoes=2)
    assert log.put(back)


def test_a_signature_on_anything_else_is_none_on_a_decision() -> None:
    """The same key over the same bytes, as on a model version: refused."""
    log = Log()
    decision = log.made(Promotion(NOW, ONE, enabled=True))
    other = sign(OFFICER_KEY.private_pem, signed_content(decision))
    forged = msgspec.structs.replace(decision, signature=DecisionSignature(other.key_id, other.hex))
    assert not log.put(forged)
    assert log.decisions.book.refusals == {"wrong_signature": 1}


def test_keys_change_by_a_signed_configuration_and_what_they_signed_stands() -> None:
    """Who held the old key may hand over; the old key counts no more, and what it signed is in force."""
    log = Log()
    assert log.decide(Promotion(NOW, ONE, enabled=True), OFFICER_KEY)
    handed_over = {"next": msgspec.structs.replace(KEYS["officer"], public_key=STRANGER.public)}
    assert log.put(log.made(configuration(keyed(keys=handed_over)), OFFICER_KEY))
    assert not log.decide(KillSwitch(NOW, engaged=False), OFFICER_KEY)
    assert log.decide(KillSwitch(NOW, engaged=False), STRANGER)
    assert says(log.read_anew())[1:3] == (ONE, True)
    assert log.put(log.made(configuration(Settings()), STRANGER))
    assert log.decisions.keys == {}
    assert log.decide(Promotion(NOW, OTHER, enabled=True))


def test_logs_without_keys_are_as_they_were() -> None:
    """No byte of an unsigned decision or of a configuration without keys is changed, and everything counts."""
    decision = Decision(KillSwitch(5, engaged=False, reason="r"), "duty-manager", "r")
    event = b'{"event":{"engaged":false,"event_time":5,"reason":"r","type":"kill_switch"}'
    assert encode_decision(decision) == event + b',"reason":"r","who":"duty-manager"}'
    assert "decision_keys" not in configuration_text(Settings())
    assert configuration_hash(Settings()) == configuration_hash(keyed(keys={}))
    log = Log(Settings())
    for event in (*LOUDER[:3], *QUIETER_ONES):
        assert log.put(Decision(event, "operator"))
        assert not log.decisions.demands(Decision(event, "operator"))
    assert log.decisions.book.unsigned == {BEFORE_KEYS: len(log.values)}


def test_refused_decisions_are_passed_over_by_every_partition() -> None:
    """Nothing of them enters a partition's log; the sequence of what comes next goes on, so none waits for them."""
    log = Log()
    assert not log.decide(Promotion(NOW, ONE, enabled=True))
    assert [envelope.position for envelope in log.decisions.lacking(0, NOW)] == ["control.v1#1"]
    assert (log.decisions.newest, log.decisions.newest_in_force) == (2, 1)
    assert log.decide(Promotion(NOW, OTHER, enabled=True), OFFICER_KEY)
    assert [envelope.position for envelope in log.decisions.lacking(1, NOW)] == ["control.v1#3"]


def test_what_would_become_of_a_decision_is_known_before_it_is_written() -> None:
    """A command asks first: whether a signature is demanded, and what is wrong with the one it would give."""
    log = Log()
    wanted = log.made(Promotion(NOW, ONE, enabled=True))
    assert log.decisions.demands(wanted)
    assert log.decisions.fault_of(wanted) == "unsigned"
    assert log.decisions.fault_of(log.made(wanted, STRANGER)) == "unknown_key"
    assert log.decisions.fault_of(log.made(wanted, OFFICER_KEY)) is None
    assert not log.decisions.demands(log.made(KillSwitch(NOW, engaged=True)))


def test_only_the_start_of_one_box_declares_keys_unsigned() -> None:
    """On the live service that role is a role like any other."""
    anew = configuration(keyed(keys={"next": KEYS["officer"]}), START)
    for of_one_box in (True, False):
        log = Log(of_one_box=of_one_box)
        assert log.put(log.made(anew)) == of_one_box


def test_a_key_that_is_none_is_refused_before_anything_is_signed() -> None:
    """The mistake is told when the key is read, not at the first decision."""
    with pytest.raises(SigningKeyError):
        signer(b"no key")


def test_an_unreadable_configuration_leaves_the_keys_in_force() -> None:
    """A later release's configuration is told, and neither drops nor changes whose signature counts."""
    log = Log()
    later: Any = Configuration(NOW, "f" * 16, '{"of_a_later_release": 1}')
    assert not log.decide(later, OFFICER_KEY)
    assert dict(log.decisions.keys) == KEYS
    assert not log.decide(Promotion(NOW, ONE, enabled=True))
