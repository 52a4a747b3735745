"""Who a story's people and wards are in its messages, and back again.

Owns the numbers that patients get, and their way back from a patient key. Must not know steps or hosts.

On a partitioned log every key of one story must lie on one partition, whose clock and control state are then the
story's own. So a number or a ward gets a suffix until its key `lands`; by itself everything lands and nothing has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

from connectors.decoded import Identifier
from stream.pseudonyms import Pseudonyms
from stream.scenarios.words import Story

AUTHORITY = "HOSP"
SERVER = "fhir/Patient"
"""The authority of a FHIR server's own ids (`connectors.fhir`), by the default settings."""
FIRST_NUMBER = 1001
OTHERS_NUMBER = re.compile(r"\{mrn of ([^}]+)\}")
"""Where a message as it is names another patient than its step's."""
TRIES_MAX = 100_000
"""A suffix that lands on one partition in a thousand is found long before."""

Lands = Callable[[str], bool]


def everywhere(_key: str) -> bool:
    """Let every key land: a log in one piece."""
    return True


class Names:
    """The identifiers of one story.

    >>> from stream.scenarios.words import Person
    >>> story = Story(title="t", shows=("topic.x",), story="", start="2026-01-01 00:00", patients={"A": Person()},
    ...               timeline=())
    >>> names = Names(story)
    >>> names.mrn("A").value, names.who(names.key("A"))
    ('1001', 'A')
    """

    def __init__(self, story: Story, lands: Lands = everywhere, pseudonyms: Pseudonyms | None = None) -> None:
        """Give everybody a number and an id that land."""
        self._lands = lands
        self._pseudonyms = pseudonyms or Pseudonyms()
        self._mrns: dict[str, Identifier] = {}
        self._ids: dict[str, Identifier] = {}
        self._keys: dict[str, str] = {}
        self._wards: dict[str, str] = {}
        self._said: dict[str, str] = {}
        for number, (name, person) in enumerate(story.patients.items(), FIRST_NUMBER):
            mrn = person.mrn or str(number)
            self._mrns[name] = self._landed(person.authority or AUTHORITY, mrn, name)
            self._ids[name] = self._landed(SERVER, f"p{number}", name)

    def _landed(self, authority: str, value: str, name: str) -> Identifier:
        for number in count():
            assert number < TRIES_MAX, "no suffix lands"
            tried = f"{value}-{number}" if number else value
            key = self._pseudonyms.of("patient", authority, tried)
            if self._lands(key):
                self._keys[key] = name
                return Identifier(authority, tried)
        raise AssertionError

    def mrn(self, name: str) -> Identifier:
        """Give a patient's number."""
        return self._mrns[name]

    def fhir_id(self, name: str) -> str:
        """Give a patient's id on the FHIR server."""
        return self._ids[name].value

    def key(self, name: str) -> str:
        """Give the patient key of a patient's number."""
        mrn = self._mrns[name]
        return self._pseudonyms.of("patient", mrn.authority, mrn.value)

    def who(self, key: str) -> str:
        """Give whom a patient key stands for; the key's beginning where it is nobody of the story."""
        return self._keys.get(key, f"somebody else ({key[:8]})")

    def ward(self, name: str) -> str:
        """Give a ward's name as it is sent."""
        if name and name not in self._wards:
            for number in count():
                assert number < TRIES_MAX, "no suffix lands"
                tried = f"{name} {number}" if number else name
                if self._lands(tried):
                    break
            self._wards[name], self._said[tried] = tried, name
        return self._wards.get(name, "")

    def ward_said(self, sent: str) -> str:
        """Give a ward's name as the story says it."""
        return self._said.get(sent, sent)
