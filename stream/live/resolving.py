"""One attempt at a batch of [parse]: the part of the identity map that it needs, and what it would change.

Owns which links and names are read, and what is claimed and written of them. Must not know Redis's layout, nor how an
identifier is resolved: `stream.parse.Parser` is given a map of a part, which answers as the whole one would
(`stream.identity`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from connectors.decoded import Decoded, Identifier
from connectors.hl7v2.tolerated import tolerated_type
from connectors.redis.identity_store import Change, Link, Name, RedisIdentityStore, Snapshot
from events import Envelope, Millis, uuid_text
from stream import identity
from stream.identity import USED_STEP_MS, IdentityMap, Pseudonyms, keys_to_load
from stream.live.parsing import IngestRecord, Taken
from stream.parse import DeadLetter, Duplicate, Parsed, Parser, identifiers_of


class Resolution:
    """Resolves a batch once. Where another worker came between, it is thrown away and a new one made."""

    def __init__(self, identities: RedisIdentityStore, pseudonyms: Pseudonyms, elsewhere: dict[str, str]) -> None:
        """Begin; `elsewhere` has the position by the id of envelopes that the log has and Redis may have lost."""
        self._identities = identities
        self._pseudonyms = pseudonyms
        self._elsewhere = elsewhere
        self._claimed: set[bytes] = set()
        self._links: dict[Name, Link] = {}
        self._map: IdentityMap
        self.fresh: list[bytes] = []
        """Content hashes accepted for the first time."""
        self.snapshot: Snapshot
        self.counts: Counter[str] = Counter()

    # -- reading ----------------------------------------------------------------------------------------------------

    def look(self, read: Sequence[IngestRecord]) -> None:
        """Read the links and claims that a batch concerns, and the names of those who are not simply known."""
        decoded = [taken.decoded for one in read for taken in one.messages if type(taken.decoded) is Decoded]
        names = {(name.authority, name.value): None for one in decoded for name in identifiers_of(one)}
        hashes = list(dict.fromkeys(content for one in decoded for content in one.part_hashes or (one.content_hash,)))
        self.snapshot = self._identities.look(names, hashes)
        wanted: set[str] = set()
        for one in read:
            for taken in one.messages:
                if type(taken.decoded) is Decoded and not self._is_simple(taken.decoded, one.received_time):
                    wanted |= self._involved(taken.decoded)
        if wanted:
            self._identities.add_names(self.snapshot, sorted(wanted))

    def _is_simple(self, decoded: Decoded, at: Millis) -> bool:
        """Say whether a message is of a known patient of whom nothing is new, so that links alone decide."""
        if not decoded.subject:
            return True
        links = self.snapshot.links
        subject = [links.get((name.authority, name.value)) for name in decoded.subject]
        first = subject[0]
        return (
            first is not None
            and not decoded.retired
            and not decoded.parted
            and not decoded.aliases
            and at - first.used < USED_STEP_MS
            and all(link is not None and link.patient == first.patient for link in subject)
        )

    def _involved(self, decoded: Decoded) -> set[str]:
        """Give the patient keys whose names decide, or change."""
        links = self.snapshot.links
        names = identifiers_of(decoded)
        known = {
            name: identity.Link(name.authority, name.value, link.patient, link.former)
            for name in names
            if (link := links.get((name.authority, name.value))) is not None
        }
        best = decoded.subject[0]
        return {
            self._pseudonyms.of("patient", best.authority, best.value),
            *keys_to_load(self._pseudonyms, names, known),
        }

    # -- resolving --------------------------------------------------------------------------------------------------

    def parser(self) -> Parser:
        """Give a parser on the part of the map that was read; what the one before did is forgotten."""
        links, names = self.snapshot.links, self.snapshot.names
        known = {Identifier(*name): patient for patient, held in names.items() for name in held}
        known |= {Identifier(*name): link.patient for name, link in links.items()}
        used: dict[str, Millis] = {}
        for link in links.values():
            used[link.patient] = max(link.used, used.get(link.patient, 0))
        former = {Identifier(*name): link.former for name, link in links.items() if link.former}
        self._claimed = set(self.snapshot.known)
        self.fresh = []
        self.counts = Counter()
        self._map = IdentityMap(self._pseudonyms, known, used=used.items(), former=former)
        return Parser(self._map, self)

    def add(self, content_hash: bytes) -> bool:
        """Claim a content hash; say whether it is new (`stream.parse.SeenMessages`)."""
        if content_hash in self._claimed:
            return False
        self._claimed.add(content_hash)
        self.fresh.append(content_hash)
        return True

    def step(self, parser: Parser, taken: Taken, received_time: Millis) -> Parsed:
        """Account for one message."""
        decoded = taken.decoded
        parsed: Parsed
        if type(decoded) is Decoded and self._is_elsewhere(decoded, taken.position):
            for content_hash in decoded.part_hashes or (decoded.content_hash,):
                self.add(content_hash)
            parsed = Duplicate(decoded.message_id, taken.position)
        else:
            parsed, _known = parser.step(decoded, received_time, taken.position)
        self.counts[_COUNTED[type(parsed)]] += 1
        if type(parsed) is Envelope and not parsed.events and (passed := tolerated_type(decoded)):
            self.counts[f"tolerated_{passed}"] += 1
        return parsed

    def _is_elsewhere(self, decoded: Decoded, position: str) -> bool:
        """Say whether the log has it from another place, of which Redis knows nothing."""
        if not self._elsewhere:
            return False
        return self._elsewhere.get(uuid_text(decoded.content_hash), position) != position

    # -- what it changes --------------------------------------------------------------------------------------------

    def written(self) -> dict[Name, Link] | None:
        """Give the links that the batch writes; None where names were lacking, which are read now: resolve it again."""
        snapshot = self.snapshot
        links = {(link.authority, link.value): link for link in self._map.take_unsaved()}
        concerned = snapshot.concerned({name: link.patient for name, link in links.items()})
        if not concerned <= snapshot.names.keys():
            self._identities.add_names(snapshot, sorted(concerned))
            return None
        version = 1 + max((snapshot.version, *(snapshot.version_of(name) for name in links)))
        self._links = {
            name: Link(link.patient, self._map.used(link.patient), version, link.former) for name, link in links.items()
        }
        self.counts["conflicts"] += self._map.conflicts
        return self._links

    def change(self) -> Change:
        """Say what the batch does to the map."""
        return self.snapshot.change(self._links)


_COUNTED = {Envelope: "accepted", Duplicate: "duplicates", DeadLetter: "dead_letters"}
