"""What became of the decisions of one log: who signed those that count, and which do not count.

Owns the counts and what is remembered of each. Must not know how a verdict is reached (stream/trust.py).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from stream.trust import WORDS, DecisionFault, Verdict

if TYPE_CHECKING:
    from stream.decisions import Decided

REFUSED_KEPT_MAX = 100
"""Held in memory of what does not count, newest; the count tells of the rest."""
SIGNERS_KEPT_MAX = 2_000
"""Whose signature each of the newest decisions has."""
UNSEEN_MAX = 20
"""Named in health."""
BEFORE_KEYS, QUIETER = "before any key was declared", "needs none: it makes the model say less"


class Refused(NamedTuple):
    """A decision that is in the log and does not count."""

    decided: Decided
    fault: DecisionFault

    @property
    def words(self) -> str:
        """Why, for people."""
        return WORDS[self.fault]


class VerdictBook:
    """The verdicts on one log so far.

    >>> book = VerdictBook()
    >>> book.take(1, Verdict(None, "", needed=False), keyed=False)
    >>> dict(book.unsigned)
    {'before any key was declared': 1}
    """

    def __init__(self) -> None:
        self.refused: tuple[Refused, ...] = ()
        """What does not count, though it is in the log; the newest."""
        self.refusals: Counter[DecisionFault] = Counter()
        """How many, by why."""
        self.signed: Counter[str] = Counter()
        """How many that count each key signed, by the key's name."""
        self.unsigned: Counter[str] = Counter()
        """How many that count nobody signed, by why they do."""
        self.unseen: tuple[Refused, ...] = ()
        """Refused, and nothing signed that came after needed to be: nobody has seen to it."""
        self._signers: dict[int, str] = {}

    def take(self, sequence: int, verdict: Verdict, *, keyed: bool) -> None:
        """Take note of a decision that counts; `keyed`: whether any key was in force."""
        if verdict.needed:
            # It names the newest record before it: who signed it has seen what was refused.
            self.unseen = ()
        if not verdict.signer:
            self.unsigned[QUIETER if keyed else BEFORE_KEYS] += 1
            return
        self.signed[verdict.signer] += 1
        self._signers[sequence] = verdict.signer
        if len(self._signers) > SIGNERS_KEPT_MAX:
            del self._signers[next(iter(self._signers))]

    def refuse(self, decided: Decided, fault: DecisionFault) -> None:
        """Take note of one that does not count."""
        refused = Refused(decided, fault)
        self.refusals[fault] += 1
        self.refused = (*self.refused, refused)[-REFUSED_KEPT_MAX:]
        self.unseen = (*self.unseen, refused)[:UNSEEN_MAX]

    def signer_of(self, sequence: int) -> str:
        """Give the name of the key that signed a decision; empty where none did, or it is long ago."""
        return self._signers.get(sequence, "")
