"""Who is meant: from a sender's identifiers to one pseudonymous patient key.

Owns the map (authority, value) -> patient key, and what a merge and an unmerge do to it. Must not know how the map is
kept: a host hands in what it has stored and stores what `take_unsaved` and `take_former` give.

A map that holds a part of the links answers as the whole one does, if it holds of the identifiers that are asked about
the link of each that has one, and every link to one of the keys that `keys_to_load` then gives; all with their former
keys, and with when those keys were last named. A test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from connectors.decoded import Identifier
from connectors.strangers import contradicts, is_another
from events import MILLIS_PER_HOUR, Millis
from stream.identity_links import FORMER_MAX, KEYS_BETWEEN, SERVER_IDS, Link, keys_to_load, split_keys, way_by_server
from stream.pseudonyms import REPLAY_PSEUDONYM_KEY, Pseudonyms, VisitKeys

__all__ = ["REPLAY_PSEUDONYM_KEY", "IdentityMap", "Link", "Pseudonyms", "keys_to_load"]

USED_STEP_MS = 24 * MILLIS_PER_HOUR
"""When a patient was last named is noted again after this long: one small write a patient and day, and exact enough
for a retention that is reckoned in days."""


class IdentityMap:
    """The identifiers we have met and the patient key each resolves to.

    >>> people = IdentityMap(Pseudonyms(b"key"))
    >>> key = people.resolve((Identifier("MRN", "1"), Identifier("NHS", "9")))
    >>> people.resolve((Identifier("NHS", "9"),)) == key
    True
    """

    __slots__ = (
        "_former", "_former_unsaved", "_joined", "_key_of", "_names", "_names_of",
        "_pseudonyms", "_undo", "_unsaved", "_used", "_visits", "conflicts",
    )  # fmt: skip

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        known: dict[Identifier, str] | None = None,
        names: dict[str, Identifier] | None = None,
        used: Iterable[tuple[str, Millis]] = (),
        former: Mapping[Identifier, str] | None = None,
    ) -> None:
        """Begin with the links known, when each patient was last named, and the former keys of an identifier's link.

        `names`, where given, is filled with each new key's own identifier.
        """
        self._pseudonyms = pseudonyms
        self._names = names
        self._key_of: dict[tuple[str, str], str] = {}
        self._names_of: dict[str, list[tuple[str, str]]] = {}
        self._visits = VisitKeys(pseudonyms)
        self._former: dict[tuple[str, str], str] = {
            (name.authority, name.value): keys for name, keys in (former or {}).items() if keys
        }
        self._unsaved: list[Link] = []
        self._former_unsaved: dict[tuple[str, str], str] = {}
        self._used: dict[str, Millis] = dict(used)
        self._joined: list[str] = []
        self._undo: list[Callable[[], None]] = []
        """What takes back, last first, all that was done since `settle`: as much as one batch does."""
        self.conflicts = 0
        """Messages whose identifiers do not agree on one patient: counted and shown, never settled by guessing."""
        for name, key in (known or {}).items():
            self._keep(name.authority, name.value, key)
        self._undo.clear()

    def resolve(self, identifiers: tuple[Identifier, ...]) -> str:
        """Give the patient key: the first identifier already known decides; else a new key from the best one.

        Identifiers met for the first time join that key. One that is known under another key keeps it: only a merge
        message joins two patients. A key that has another value of an authority this message names too is not this
        patient (two record numbers beside one placeholder number are two people); such disagreements are counted.

        A key that so far was known by a FHIR server's own ids alone (`ehr/Patient` and `123`) was given for want of a
        better one. Where a message ties such an id to a number, it is retired into the number's key: `take_joined`.
        """
        key_of = self._key_of
        if len(identifiers) == 1:
            only = key_of.get((identifiers[0].authority, identifiers[0].value))
            if only is not None:
                return only
        found = [key_of.get((name.authority, name.value)) for name in identifiers]
        first = found[0]
        if first is not None and (len(found) == 1 or found.count(first) == len(found)):
            return first
        return self._settle(identifiers, found)

    def _settle(self, identifiers: tuple[Identifier, ...], found: list[str | None]) -> str:
        """Resolve identifiers that are not all known under one key."""
        keys = list(dict.fromkeys(key for key in found if key is not None))
        if len(keys) > 1:
            keys, found = self._join_provisional(keys, found)
        ways = {key: way_by_server(identifiers, key, self._key_of, self._former) for key in keys}
        fitting = [key for key in keys if found[0] == key or ways[key] or not self._contradicts(key, identifiers)]
        if len(keys) > 1 or len(fitting) < len(keys):
            self._count_conflict()
        if fitting:
            key = fitting[0]
        else:
            best = identifiers[0]
            key = self._pseudonyms.of("patient", best.authority, best.value)
            if self._names is not None:
                self._names[key] = best
        for name, held in zip(identifiers, found, strict=True):
            if held is None:
                self._remember((name.authority, name.value), ways.get(key, ()))
                self._link(name.authority, name.value, key)
        return key

    def _join_provisional(self, keys: list[str], found: list[str | None]) -> tuple[list[str], list[str | None]]:
        """Retire keys that only a server's own ids named into the one that a number names, where there is one such."""
        numbered = [key for key in keys if not self._is_provisional(key)]
        if len(numbered) > 1:
            return keys, found  # Two people by their numbers: which of them the server means is not ours to guess.
        survivor = numbered[0] if numbered else keys[0]
        for key in keys:
            if key != survivor:
                self._retire(key, survivor, remembered=False)
                self._joined.append(key)
        return [survivor], [None if key is None else survivor for key in found]

    def _is_provisional(self, key: str) -> bool:
        return all(authority.endswith(SERVER_IDS) for authority, _ in self._names_of.get(key, ()))

    def take_joined(self) -> tuple[str, ...]:
        """Give the keys that `resolve` retired since the last call: a merge of each belongs into the envelope."""
        joined, self._joined = tuple(self._joined), []
        return joined

    def _retire(self, key: str, survivor: str, *, remembered: bool = True) -> None:
        """Point all that led to a key at the survivor; the way is remembered where an unmerge may go it back."""
        names = self._names_of.pop(key, [])
        self._undo.append(partial(self._restore_names, key, names))
        for name in names:
            way = (*split_keys(self._former.get(name, "")), key)
            way = way[: way.index(survivor)] if survivor in way else way[-FORMER_MAX:]
            self._remember(name, way if remembered else ())
            self._link(*name, survivor)

    def _remember(self, name: tuple[str, str], way: tuple[str, ...]) -> None:
        """Note an identifier's former keys."""
        before, former = self._former.get(name, ""), KEYS_BETWEEN.join(way)
        if former != before:
            self._undo.append(partial(self._restore_former, name, before))
            self._restore_former(name, former)
            self._former_unsaved[name] = former

    def _contradicts(self, key: str, identifiers: tuple[Identifier, ...]) -> bool:
        return contradicts(self._names_of.get(key, ()), identifiers)

    def merge(self, survivor: str, retired: tuple[Identifier, ...]) -> tuple[str, ...]:
        """Point the retired identifiers, and all that share a key with one, at the survivor; give the retired keys.

        An identifier that is the survivor's own already retires nothing; nor does one, but for the first, of somebody
        who has only other numbers of an authority that is named: a placeholder is many people's. That is counted.
        """
        retired_keys: list[str] = []
        for name in retired:
            key = self._key_of.get((name.authority, name.value))
            if (
                key not in {None, survivor}
                and name != retired[0]
                and is_another(self._names_of.get(key or "", ()), retired)
            ):
                self._count_conflict()
                continue
            if key is None:
                key = self._pseudonyms.of("patient", name.authority, name.value)
                self._keep(name.authority, name.value, key)
            if key == survivor or key in retired_keys:
                continue
            retired_keys.append(key)
            self._retire(key, survivor)
        return tuple(retired_keys)

    def renumber(self, now: tuple[Identifier, ...], before: tuple[Identifier, ...]) -> tuple[str, tuple[str, ...]]:
        """Have a patient known by what he is called now beside what he was called; give his key and those retired.

        His key stays where nobody is known by the new number. Where somebody is (results came under it before this was
        told), he is the same person: what was known by the former number is retired into his key, as by a merge.
        """
        former = self.find(before)
        found = [self._key_of.get((name.authority, name.value)) for name in now]
        others = list(dict.fromkeys(key for key in found if key is not None and key != former))
        fitting = [key for key in others if key == found[0] or not self._contradicts(key, now)]
        if len(others) > len(fitting[:1]):
            self._count_conflict()
        patient = fitting[0] if fitting else former or self.resolve(now)
        for name in (*now, *before):
            if (name.authority, name.value) not in self._key_of:
                self._link(name.authority, name.value, patient)
        return patient, self.merge(patient, before)

    def unmerge(self, one: tuple[Identifier, ...], other: tuple[Identifier, ...]) -> tuple[str, str] | None:
        """Part two people who so far were one: give (the key both had, the key that is a patient's own again).

        Who had a key of his own before a merge has it again, and with him all that had been merged into it: the
        `other`, unless the one was merged into him. Where no merge had joined them (one message once named both), what
        only the other is called gets a new key. None where they are two people already, or nothing tells them apart:
        the latter is counted as a conflict.
        """
        mine, theirs = self._way(one), self._way(other)
        if not mine or not theirs or mine[0] != theirs[0]:
            return None
        if mine == theirs:
            split = self._split(mine[0], one, other) or self._split(mine[0], other, one)
            if split is None:
                self._count_conflict()
            return split
        key = mine[0]
        restored = theirs[-1] if theirs != mine[: len(theirs)] else mine[-1]
        names = self._names_of.pop(key)
        self._undo.append(partial(self._restore_names, key, names))
        for name in names:
            former = split_keys(self._former.get(name, ""))
            if restored in former:
                self._remember(name, former[: former.index(restored)])
                self._link(*name, restored)
            else:
                self._keep(*name, key)
        return key, restored

    def _way(self, identifiers: tuple[Identifier, ...]) -> tuple[str, ...]:
        """Give the key of the first known identifier, then the keys it had before, the newest first."""
        for one in identifiers:
            name = (one.authority, one.value)
            if name in self._key_of:
                return (self._key_of[name], *reversed(split_keys(self._former.get(name, ""))))
        return ()

    def _split(self, key: str, one: tuple[Identifier, ...], other: tuple[Identifier, ...]) -> tuple[str, str] | None:
        """Give what only the other is called a key of its own; None where that would be the same key."""
        apart = [name for name in other if name not in one and self._key_of.get((name.authority, name.value)) == key]
        new = self._pseudonyms.of("patient", apart[0].authority, apart[0].value) if apart else key
        if new == key:
            return None
        names = self._names_of.pop(key)
        self._undo.append(partial(self._restore_names, key, names))
        for name in names:
            if Identifier(*name) in apart:
                self._remember(name, ())
                self._link(*name, new)
            else:
                self._keep(*name, key)
        return key, new

    def named(self, identifiers: tuple[Identifier, ...], patient: str) -> tuple[str, ...]:
        """Give the keys that the first of these identifiers which leads to the patient had before merges."""
        if not self._former:
            return ()
        for one in identifiers:
            name = (one.authority, one.value)
            if self._key_of.get(name) == patient:
                return split_keys(self._former.get(name, ""))
        return ()

    def find(self, identifiers: tuple[Identifier, ...]) -> str:
        """Give the key of the first known identifier, empty where none is known; makes nobody known."""
        return next(iter(self._way(identifiers)), "")

    def meant(self, identifiers: tuple[Identifier, ...]) -> str:
        """Give the key that `resolve` would find known by these; empty where it would make one. Changes nothing."""
        found = [self._key_of.get((name.authority, name.value)) for name in identifiers]
        keys = dict.fromkeys(key for key in found if key is not None)
        fitting = (key for key in keys if found[0] == key or not self._contradicts(key, identifiers))
        return next(fitting, "")

    def survivor(self, patient: str) -> str:
        """Give the key that a retired one leads to; the same where it is nobody's former key, as far as is known."""
        if patient not in self._names_of:
            for name, keys in self._former.items():
                if patient in split_keys(keys):
                    return self._key_of.get(name, patient)
        return patient

    def encounter(self, patient: str, number: str) -> str:
        """Give the pseudonym of a patient's visit, the same from whichever feed; empty stays empty."""
        if not number:
            return ""
        key = self._visits.of(patient, number)
        if self._names is not None:
            self._names[key] = Identifier(patient, number)
        return key

    def touch(self, patient: str, at: Millis) -> None:
        """Note that a patient was named; what the host has stored of it is at most `USED_STEP_MS` behind."""
        used = self._used.get(patient)
        if used is not None and at - used < USED_STEP_MS:
            return
        self._undo.append(partial(self._restore_used, patient, used))
        self._used[patient] = at
        if used is not None:
            self._unsaved.extend(
                Link(*name, patient, self._former.get(name, "")) for name in self._names_of.get(patient, ())
            )

    def forget(self, patients: Iterable[str], before: Millis) -> list[tuple[str, str]]:
        """Let go of patients that were not named since `before`; give the (authority, value) for the host to remove.

        Who comes back after that is a new patient under the same pseudonym, joined to no other number of his.
        """
        gone: list[tuple[str, str]] = []
        for patient in patients:
            if self._used.get(patient, 0) >= before:
                continue
            names = self._names_of.pop(patient, [])
            self._undo.append(partial(self._restore_names, patient, names))
            self._undo.append(partial(self._restore_used, patient, self._used.pop(patient, None)))
            for name in names:
                self._undo.append(partial(self._restore_key, name, self._key_of.pop(name)))
                self._remember(name, ())
                gone.append(name)
        return gone

    def take_unsaved(self) -> list[Link]:
        """Give the links made since the last call, for the host to store; of one identifier the last one counts."""
        links, self._unsaved = self._unsaved, []
        return links

    def take_former(self) -> list[tuple[str, str, str]]:
        """Give (authority, value, former keys) of the identifiers whose former keys changed since the last call.

        For a host that stores them apart from the links; empty text: none any more.
        """
        changed, self._former_unsaved = self._former_unsaved, {}
        return [(*name, former) for name, former in changed.items()]

    def used(self, patient: str) -> Millis:
        """Give when a patient was last noted as named, 0 where never."""
        return self._used.get(patient, 0)

    def settle(self) -> None:
        """Let all that was done stand: the host has stored it."""
        self._undo.clear()

    def undo(self) -> None:
        """Take back all that was done since `settle`: what was to store it failed, and the messages will come again.

        A merge that is not stored must not have happened: sent again, it would find nobody left to retire.
        """
        for entry in reversed(self._undo):
            entry()
        self._undo.clear()
        self._unsaved.clear()
        self._former_unsaved.clear()

    def _link(self, authority: str, value: str, key: str) -> None:
        self._keep(authority, value, key)
        self._unsaved.append(Link(authority, value, key, self._former.get((authority, value), "")))

    def _keep(self, authority: str, value: str, key: str) -> None:
        name = (authority, value)
        self._undo.append(partial(self._unkeep, name, self._key_of.get(name), key))
        self._key_of[name] = key
        self._names_of.setdefault(key, []).append(name)

    def _unkeep(self, name: tuple[str, str], former: str | None, key: str) -> None:
        names = self._names_of[key]
        names.pop()
        if not names:
            del self._names_of[key]
        if former is None:
            del self._key_of[name]
        else:
            self._key_of[name] = former

    def _restore_former(self, name: tuple[str, str], former: str) -> None:
        if former:
            self._former[name] = former
        else:
            self._former.pop(name, None)

    def _restore_key(self, name: tuple[str, str], key: str) -> None:
        self._key_of[name] = key

    def _restore_names(self, key: str, names: list[tuple[str, str]]) -> None:
        if names:
            self._names_of[key] = names

    def _restore_used(self, patient: str, used: Millis | None) -> None:
        if used is None:
            self._used.pop(patient, None)
        else:
            self._used[patient] = used

    def _count_conflict(self) -> None:
        self.conflicts += 1
        self._undo.append(self._uncount_conflict)

    def _uncount_conflict(self) -> None:
        self.conflicts -= 1
