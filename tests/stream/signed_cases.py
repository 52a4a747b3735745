"""Logs of decisions with keys, for the tests of signatures."""

from __future__ import annotations

import msgspec

from connectors.signing import KeyPair, generate_key
from events import Configuration
from stream.decision_keys import DecisionKey
from stream.decisions import Decision, DecisionEvent, Decisions, encode_decision, signer
from stream.settings import Settings, configuration_hash, configuration_text

OFFICER, MACHINE_ROLE = "safety-officer", "wardstream:change-control"
NOW = 1_800_000_000_000
OFFICER_KEY, MACHINE_KEY, STRANGER = generate_key(), generate_key(), generate_key()
KEYS = {
    "officer": DecisionKey(OFFICER_KEY.public, (OFFICER, "operator", "evidence")),
    "learner": DecisionKey(MACHINE_KEY.public, (MACHINE_ROLE, "wardstream:monitor")),
}


def configuration(settings: Settings, who: str = OFFICER) -> Decision:
    """Decide a configuration."""
    event = Configuration(NOW, configuration_hash(settings), configuration_text(settings))
    return Decision(event, who, "reviewed")


def keyed(settings: Settings = Settings(), keys: dict[str, DecisionKey] | None = None) -> Settings:  # noqa: B008 - frozen
    """Give settings that declare keys."""
    return msgspec.structs.replace(settings, decision_keys=KEYS if keys is None else keys)


class Log:
    """A log of decisions, written as commands write it."""

    def __init__(self, settings: Settings | None = None, *, of_one_box: bool = False) -> None:
        """Begin with a configuration that declares the keys."""
        self.values: list[bytes] = []
        self.decisions = Decisions(of_one_box=of_one_box)
        self.put(configuration(keyed() if settings is None else settings))

    def made(
        self, event: DecisionEvent | Decision, key: KeyPair | None = None, who: str = OFFICER, undoes: int = 0
    ) -> Decision:
        """Make a decision that knows of all before it; signed where a key is given."""
        decision = event if isinstance(event, Decision) else Decision(event, who, "why", undoes)
        decision = msgspec.structs.replace(decision, previous=self.decisions.chain.tips)
        return decision if key is None else signer(key.private_pem)(decision)

    def put(self, decision: Decision | bytes) -> bool:
        """Write a record; say whether it counts."""
        self.values.append(decision if isinstance(decision, bytes) else encode_decision(decision))
        return self.decisions.take(len(self.values) - 1, self.values[-1], NOW) is not None

    def decide(self, event: DecisionEvent, key: KeyPair | None = None, who: str = OFFICER) -> bool:
        """Make and write one; say whether it counts."""
        return self.put(self.made(event, key, who))

    def read_anew(self) -> Decisions:
        """Read the records as another process does."""
        decisions = Decisions()
        for offset, value in enumerate(self.values):
            decisions.take(offset, value, NOW)
        return decisions
