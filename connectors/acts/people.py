"""Who may act: the `[people]` table of `wardstream.toml`.

Owns the shape, the defaults and their limits. Must not know how a credential travels. No secret stands here: of a token
its hash alone, of a key its public half; and no name, for an actor is a role or a pseudonym.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

import msgspec

from connectors.acts.documents import ActKind

Right = Literal["acknowledge", "feedback", "review", "limit"]
Role = Literal["nurse", "doctor", "outreach", "ward_system"]
Actor = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._-]{1,64}$")]
Digest = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]
Ward = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]

ACTORS_MAX = 10_000
"""The staff of a large hospital. Each token that is given is compared with all of them."""

RIGHT_OF: dict[ActKind, Right] = {
    "acknowledge": "acknowledge",
    "dismiss": "feedback",
    "disagree": "feedback",
    "agree": "feedback",
    "review": "review",
    "limit": "limit",
    "withdraw_limit": "limit",
}
"""What each kind of act needs."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody, or a ward system, who may act."""

    role: Role
    rights: Annotated[tuple[Right, ...], msgspec.Meta(min_length=1)]
    wards: tuple[Ward, ...] = ()
    """On whose patients; empty: all."""
    token_sha256: Digest = ""
    """SHA-256 of the bearer token that he has, in hexadecimal (`wardstream people add`)."""
    public_key: Digest = ""
    """The Ed25519 public key by which he signs what he writes to ack.ingest.v1, in hexadecimal."""


class PeopleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a site may set about who acts.

    >>> PeopleSettings(actors={"n1": Person("nurse", ("acknowledge",))})
    Traceback (most recent call last):
    ValueError: actors.n1: neither a token_sha256 nor a public_key: nobody could act as this one
    """

    actors: Annotated[dict[Actor, Person], msgspec.Meta(max_length=ACTORS_MAX)] = {}
    """By the name that an act has in the log: a role or a pseudonym."""
    require_signed_acts: bool = True
    """On Kafka, take no act that none of these signed. Counts only where there is somebody who may act."""
    late_s_max: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 3_600.0
    """How long after it was decided an act may come. At most a day: for so long at least its id is known."""
    ahead_s_max: Annotated[float, msgspec.Meta(ge=0, le=3_600)] = 300.0
    """How far the clock of who acts may be ahead of ours."""
    gateway_keys: tuple[Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")], ...] = ()
    """Public keys of the gateways: what they sign was handed in over HTTP by somebody they authenticated."""
    gateway_key_file: str = ""
    """The gateway's own private key (PEM), on its machine alone."""

    def __post_init__(self) -> None:
        """Refuse what leaves it open who acts."""
        for name, person in self.actors.items():
            if not person.token_sha256 and not person.public_key:
                raise ValueError(
                    f"actors.{name}: neither a token_sha256 nor a public_key: nobody could act as this one"
                )
        for field in ("token_sha256", "public_key"):
            self._check_unshared(field)
        signing = {person.public_key for person in self.actors.values()}
        if signing & set(self.gateway_keys):
            raise ValueError("gateway_keys: a key that is an actor's too")

    def _check_unshared(self, field: str) -> None:
        held = Counter(getattr(person, field) for person in self.actors.values())
        for name, person in self.actors.items():
            value = getattr(person, field)
            if value and held[value] > 1:
                raise ValueError(f"actors.{name}: its {field} is another actor's too")

    @property
    def configured(self) -> bool:
        """Whether anybody may act."""
        return bool(self.actors)
