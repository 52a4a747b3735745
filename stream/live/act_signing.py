"""How a gateway vouches for an act that came over HTTP: its own signature, and for whom.

Owns the reading of its key and the headers. Must not know how anybody was authenticated.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from connectors.acts.door import ACTOR, KEY_ID, SIGNATURE, sign_act
from connectors.acts.people import PeopleSettings
from connectors.decoded import Decoded
from connectors.kafka.record import Headers
from connectors.signing import SigningKeyError, public_key
from connectors.sources.arrival import Arrival
from events.control import Acknowledgement, Feedback, Limit, Review
from stream.settings import ConfigurationError


def act_signer(people: PeopleSettings) -> Callable[[Arrival], Headers]:
    """Give what signs acts; raises `ConfigurationError` where people may act over HTTP and nothing could sign for them.

    >>> act_signer(PeopleSettings())(Arrival("acts/1", None, b"{}", "act", Decoded("", "", b"", 0, 0, (), ())))
    ()
    """
    if not any(person.token_sha256 for person in people.actors.values()):
        return lambda _arrival: ()
    if not people.gateway_key_file:
        raise ConfigurationError(
            "people.gateway_key_file: missing; somebody has a token, and for what he does over HTTP a gateway signs: "
            "`wardstream people gateway-key FILE` makes it"
        )
    try:
        private_pem = Path(people.gateway_key_file).read_bytes()
        public = public_key(private_pem)
    except OSError as fault:
        raise ConfigurationError(f"people.gateway_key_file: cannot be read ({fault.strerror})") from None
    except SigningKeyError as fault:
        raise ConfigurationError(f"people.gateway_key_file: {fault}") from None
    if public not in people.gateway_keys:
        raise ConfigurationError(
            f"people.gateway_keys: lacks {public}, this gateway's own: no worker would take what it signs"
        )

    def sign(arrival: Arrival) -> Headers:
        assert isinstance(arrival.decoded, Decoded), "a refused act is a letter"
        [event] = arrival.decoded.events
        assert isinstance(event, Acknowledgement | Feedback | Review | Limit)
        signature = sign_act(private_pem, arrival.data or b"", event.actor)
        return (
            (ACTOR, event.actor.encode()),
            (KEY_ID, signature.key_id.encode()),
            (SIGNATURE, signature.hex.encode()),
        )

    return sign
