"""Which acknowledgements a sender asks for: MSH-15 and MSH-16 (HL7 table 0155), and what they come to.

Owns the table from what became of a message, and what was asked, to the codes of the answers (MSA-1, HL7 table 0008).
Must not know how an answer is written. Source: HL7 v2.5.1 chapter 2, sections 2.9.2, 2.9.3 and 2.14.9.15.

A refusal is said once, and by whoever is listened to. The accept acknowledgement says CA where the bytes are kept and
the application acknowledgement will say what is wrong with them; where none will follow, it says no itself. Where
nothing is kept, or nothing of the kind is taken, it says no and nothing follows it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["AA", "AE", "AR", "not_stored"]
"""What became of a message, as the original mode says it: durable; kept, and at fault; kept, and nothing of the kind is
taken; not stored at all, which the original mode says as AR."""
Code = Literal["AA", "AE", "AR", "CA", "CE", "CR"]

POSITIVE_WANTED = frozenset({"AL", "SU"})
NEGATIVE_WANTED = frozenset({"AL", "ER"})
OUTCOMES: dict[Outcome, str] = {
    "AA": "stored",
    "AE": "kept, content at fault",
    "AR": "kept, of no kind for us",
    "not_stored": "not stored",
}
CONDITIONS = POSITIVE_WANTED | NEGATIVE_WANTED | {"NE"}
"""HL7 table 0155: always, never, errors only, success only."""
REJECTED: dict[Outcome, Code] = {"AR": "CR", "not_stored": "CE"}
"""CR where MSH-9, MSH-11, MSH-12 or the like is not acceptable, CE for any other reason (section 2.9.3.2)."""


class Asked(msgspec.Struct, frozen=True):
    """MSH-15 and MSH-16, as sent.

    >>> Asked("", "").enhanced, Asked("NE", "").enhanced
    (False, True)
    """

    accept: str = ""
    application: str = ""

    @property
    def enhanced(self) -> bool:
        """Whether either says anything; else the original mode holds."""
        return bool(_plain(self.accept) or _plain(self.application))


def codes_for(outcome: Outcome, asked: Asked) -> tuple[Code, ...]:
    """Give the codes of the answers, in their order: none, one or two.

    Of the enhanced mode, one that is empty means NE; a word that table 0155 has not means AL, for an answer too many
    is seen, and one too few is waited for.

    >>> codes_for("AE", Asked("AL", "NE")), codes_for("AE", Asked("AL", "AL")), codes_for("AE", Asked())
    (('CE',), ('CA', 'AE'), ('AE',))
    """
    if not asked.enhanced:
        return ("AR" if outcome == "not_stored" else outcome,)
    accept, application = _condition(asked.accept), _condition(asked.application)
    if outcome == "AA":
        return _if("CA", accept in POSITIVE_WANTED) + _if("AA", application in POSITIVE_WANTED)
    if outcome == "AE":
        if application in NEGATIVE_WANTED:
            return (*_if("CA", accept in POSITIVE_WANTED), "AE")
        return _if("CE", accept in NEGATIVE_WANTED)
    if accept in NEGATIVE_WANTED:
        return (REJECTED[outcome],)
    return _if("AR", application in NEGATIVE_WANTED)


def asked_table() -> str:
    """Write the table of the documentation: down MSH-15, across MSH-16, of each outcome.

    >>> asked_table().splitlines()[2]
    '| stored | AL | CA AA | CA | CA | CA AA |'
    """
    words = ("AL", "NE", "ER", "SU")
    lines = ["| what became of it | MSH-15 | MSH-16 AL | NE | ER | SU |", "| --- | --- | --- | --- | --- | --- |"]
    for outcome, name in OUTCOMES.items():
        for accept in words:
            told = [" ".join(codes_for(outcome, Asked(accept, application))) or "none" for application in words]
            lines.append(f"| {name} | {accept} | {' | '.join(told)} |")
    return "\n".join(lines)


def _if(code: Code, wanted: bool) -> tuple[Code, ...]:  # noqa: FBT001 - it reads as a sentence
    return (code,) if wanted else ()


def _plain(text: str) -> str:
    word = text.strip().upper()
    return "" if word == '""' else word


def _condition(text: str) -> str:
    word = _plain(text) or "NE"
    return word if word in CONDITIONS else "AL"
