"""The learners there are, by name, and their states as bytes.

Owns the names. Must not know what a learner does. A state's bytes begin with its learner's name, so that a snapshot of
another learner is refused and not misread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from models.learners.boosting import Boosting, BoostingState
from models.learners.classifier import Classifier
from models.learners.crossed_logistic import CrossedLogistic, CrossedState
from models.learners.ensemble import CrossedBoosted, CrossedBoostedState
from models.learners.river_logistic import RiverLogistic
from models.learning import LearnerState
from models.rows import Inputs

LEARNERS: Mapping[str, Callable[[Inputs], Classifier]] = {
    "crossed-boosted": CrossedBoosted,
    "boosting": Boosting,
    "crossed-logistic": CrossedLogistic,
    "river-logistic": RiverLogistic,
}
"""Ways to make a learner, by name; the first is what the service ships."""

SHIPPED = "crossed-boosted"

_KINDS: Mapping[str, tuple[Any, Any]] = {
    "crossed-boosted": (CrossedBoosted, CrossedBoostedState),
    "boosting": (Boosting, BoostingState),
    "crossed-logistic": (CrossedLogistic, CrossedState),
    "river-logistic": (RiverLogistic, LearnerState),
}

STATE_BYTES_MAX = 64 * 1024 * 1024
"""A state past this is none of ours: reservoirs are bounded at 14 MB, all else is small beside them."""


class UnreadableStateError(ValueError):
    """The bytes are no learner's state: ours, where we wrote them; the operator's, where a file was changed."""


def to_bytes(learner: Classifier) -> bytes:
    """Give a learner's state as bytes (msgpack of its name and its state).

    >>> from_bytes(to_bytes(LEARNERS["crossed-logistic"](Inputs(("x",))))).rows
    0
    """
    name = next(name for name, (kind, _) in _KINDS.items() if type(learner) is kind)
    return msgspec.msgpack.encode((name, learner.state()))


def from_bytes(data: bytes) -> Classifier:
    """Give the learner that a state's bytes are of. Raises `UnreadableStateError`.

    >>> from_bytes(b"no state")
    Traceback (most recent call last):
    models.learners.factory.UnreadableStateError: not a learner's state: Expected `array`, got `int`
    """
    if len(data) > STATE_BYTES_MAX:
        raise UnreadableStateError(f"{len(data)} bytes, more than {STATE_BYTES_MAX}")
    try:
        name, packed = msgspec.msgpack.decode(data, type=tuple[str, msgspec.Raw])
        kind, state = _KINDS[name]
        found: Classifier = kind.restored(msgspec.msgpack.decode(packed, type=state))
    except KeyError:
        raise UnreadableStateError(f"no learner is named {name!r}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise UnreadableStateError(f"not a learner's state: {error}") from None
    return found
