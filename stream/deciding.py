"""What people decide over one embedded service: put into its log, whether it runs or not.

Owns the resolving and checking of a decision against what is at hand, its record, and the forms of question and answer
between a command and a service that runs. Must not know a socket, nor what a decision comes to (stream/control.py).

The journal keeps each decision for good, with who and why, as `control.v1` does for the live service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from connectors.sqlite.journal import LogRecord
from events import Availability, Configuration, Envelope, Millis, Promotion
from models.version import ModelVersion
from stream.catalogues import catalogue_for
from stream.control import Control, usable
from stream.decisions import START, Decided, Decision, Decisions, encode_decision, envelope_of
from stream.settings import ConfigurationError, Settings, configuration_hash, configuration_text, parse_json
from stream.trust import DecisionFault, refusal_words
from stream.versions import choose_version

PLACE = "decisions"
"""The journal's table: how the position of a decision's record begins."""


class NotTrustedError(ConfigurationError):
    """A decision that would not count, as it is (not) signed: whoever decides is told why, and nothing is kept."""

    def __init__(self, fault: DecisionFault, text: str) -> None:
        """Keep the fault beside the words."""
        super().__init__(text)
        self.fault: DecisionFault = fault


class InForce(msgspec.Struct, frozen=True):
    """What a service that runs goes by."""

    sequence: int
    """The newest decision that it has applied."""
    version: str
    enabled: bool
    available: bool
    """Whether the version in force is asked: it is at hand, and not demoted."""
    kill_switch: bool
    silenced: bool
    """Whether nothing that the model says is told."""
    configuration: str
    code_version: str


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a service that runs answers to a decision, or to a question for what is in force."""

    sequence: int = 0
    """Of the decision, once it is in the log."""
    in_force: InForce | None = None
    """As of the answer; None where it could not be asked in time."""
    problem: str = ""
    """Why the decision is not in the log."""


class Deciding:
    """The decisions over one journal. Used on the thread that stores."""

    def __init__(self, stored: Iterable[tuple[int, Millis, bytes]], versions: Mapping[str, ModelVersion]) -> None:
        """`stored` are those of the journal; `versions` those that may be promoted."""
        self.decisions = Decisions(of_one_box=True)
        self._versions = versions
        for sequence, received, data in stored:
            self.decisions.take(sequence - 1, data, received)

    def record_of(self, decision: Decision, at: Millis) -> LogRecord:
        """Give the record that puts a decision into the log as of `at`; nothing is changed before it is `stored`.

        Raises `ConfigurationError` or `NoSuchVersionError` where it cannot be put into force, `NotTrustedError` where
        it is not signed as the keys in force demand.
        """
        if decision.who == START:
            raise ConfigurationError(f"{START} is the service's own role: decide in another")
        return self._record_of(self._signed(self._resolved(decision), decision), at)

    def keys_of_start(self, settings: Settings, at: Millis) -> LogRecord | None:
        """Give the record by which the configuration of a start declares its keys; None where they are in force.

        A start without keys drops none: `wardstream control configure` does, signed.
        """
        if not settings.decision_keys or settings.decision_keys == self.decisions.keys:
            return None
        event = Configuration(at, configuration_hash(settings), configuration_text(settings))
        reason = "the service was started with a configuration that declares these keys"
        return self._record_of(Decision(event, START, reason, previous=self.decisions.chain.tips), at)

    def _signed(self, resolved: Decision, given: Decision) -> Decision:
        """Give a decision as it is to stand; raises `NotTrustedError` where it would not count."""
        if given.signature is None:
            resolved = msgspec.structs.replace(resolved, previous=self.decisions.chain.tips)
        elif resolved != given:
            raise ConfigurationError("what is signed names a version by its whole id, as `models list` has it")
        fault = self.decisions.fault_of(resolved)
        if fault is not None:
            raise NotTrustedError(fault, refusal_words(fault, self.decisions.keys))
        return resolved

    def _record_of(self, decision: Decision, at: Millis) -> LogRecord:
        decided = Decided(self.decisions.newest + 1, decision, at)
        envelope = envelope_of(decided, at, PLACE)
        event = decision.event
        if isinstance(event, Promotion) and event.version:
            # One record, so that no patient is scored between the two: the log says that the version is at hand.
            available = Availability(at, event.version, available=True)
            envelope = msgspec.structs.replace(envelope, events=(available, *envelope.events))
        return LogRecord(envelope, decision=(decided.sequence, encode_decision(decision)))

    def stored(self, record: LogRecord) -> int:
        """Take note that a decision is in the log; give its sequence."""
        assert record.decision is not None, "it was made of one"
        sequence, data = record.decision
        self.decisions.take(sequence - 1, data, record.envelope.received_time)
        return sequence

    def lacking(self, applied_sequence: int, at: Millis) -> list[Envelope]:
        """Give the records, as of `at`, of what was decided and a fold has not applied.

        None but where states and base were lost, and the log begins after it.
        """
        kept = self.decisions.kept()
        return [
            envelope_of(one._replace(received_time=at), at, PLACE) for one in kept if one.sequence > applied_sequence
        ]

    def decided_configuration(self) -> str:
        """Give the name of the configuration that was decided last; empty where none was."""
        events = (one.decision.event for one in reversed(self.decisions.kept()) if one.decision.who != START)
        return next((event.configuration_hash for event in events if isinstance(event, Configuration)), "")

    def _resolved(self, decision: Decision) -> Decision:
        """Name a promoted version by its whole id, and refuse what cannot be put into force."""
        event = decision.event
        if isinstance(event, Configuration):
            catalogue_for(parse_json(event.content))
        if not isinstance(event, Promotion) or not event.version:
            return decision
        name = choose_version(event.version, self._versions)
        if name and usable(self._versions, name) is None:
            raise ConfigurationError(f"version {name} takes other inputs than this release computes: train it anew")
        return msgspec.structs.replace(
            decision, event=msgspec.structs.replace(event, version=name, enabled=bool(name) and event.enabled)
        )


def in_force(control: Control) -> InForce:
    """Say what a service goes by (folding thread).

    >>> in_force(Control({})).version
    ''
    """
    return InForce(
        control.sequence,
        control.version,
        control.enabled,
        control.scorer is not None,
        control.kill_switch,
        control.silenced,
        control.configuration_hash,
        control.code_version,
    )
