"""Whose signatures count on what is decided: the `[decision_keys]` table of the decided configuration.

Owns the shape and its limits. Must not know how a signature is checked (stream/trust.py), nor which decisions need one
(stream/loudness.py). The table is decided like everything else: the keys in force at a record are those that the newest
configuration before it declared, so that everybody who reads the decisions comes to the same verdict on each.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from connectors.weak_keys import signs_for_nobody

KEYS_MAX = 64
"""Of one site: a key for each person on call, and one for each machine that decides."""
ROLES_MAX = 32
WHO_PATTERN = r"^[A-Za-z0-9_.:@/-]{1,64}$"
"""A role, a machine account or a key id. No blanks, so that nobody types a name."""
EVIDENCE = "evidence"
"""The role of a key that may sign evidence on a challenger (models/evidence.py)."""

KeyName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Role = Annotated[str, msgspec.Meta(pattern=WHO_PATTERN)]


class DecisionKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that decisions may be signed with.

    >>> DecisionKey("a5" * 32, ("safety-officer",)).may_sign("safety-officer")
    True
    >>> DecisionKey("00" * 32, ("safety-officer",))
    Traceback (most recent call last):
    ValueError: public_key: anybody can sign for this one, it is no key that `wardstream models keygen` made
    """

    public_key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    """Ed25519 (RFC 8032), in hexadecimal: `wardstream models keygen` prints it."""
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1, max_length=ROLES_MAX)]
    """As whom it may decide (`--as`); `evidence` lets it sign what `models weigh` writes."""

    def __post_init__(self) -> None:
        """Refuse what is no person's key: a point of small order, for which a signature can be made up."""
        if signs_for_nobody(self.public_key):
            raise ValueError(
                "public_key: anybody can sign for this one, it is no key that `wardstream models keygen` made"
            )

    def may_sign(self, role: str) -> bool:
        """Whether what is decided in this role may be signed with it."""
        return role in self.roles


DecisionKeys = Annotated[dict[KeyName, DecisionKey], msgspec.Meta(max_length=KEYS_MAX)]
