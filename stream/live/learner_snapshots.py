"""Snapshots of the learner: files from which a process goes on where another was killed.

Owns their form, how one is written so that it is whole or absent, how many are kept, and which may be used. Must not
know what is learned. A snapshot that may not be used is refused by name, and lies there until newer ones are written;
the fold goes on from an older one, or begins anew: what it knows is a function of the topic either way, if that is
still there.

A file is `MAGIC`, the head and the state (MessagePack, each with its length before it), and a BLAKE2b of all of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec

from connectors.durable import sync_file
from models.inputs import schema_hash_of
from stream.candidates import outcome_name
from stream.live.beside import MakeBeside
from stream.live.example_fold import INPUTS_OF, ExampleFold, ExampleFoldState, Grow
from stream.live.examples import ROW_SCHEMA
from stream.outcomes import OutcomeDefinition

MAGIC = b"wardstream learner 1\n"
KEPT = 2
"""Files kept: where the newest is damaged, the one before it is an interval older."""
BYTES_MAX = 1024 * 1024 * 1024
"""A longer file is none of ours: an intensive care of 200 beds takes some 50 MB, 10,000 beds some 600 MB of rows that
wait."""
LENGTH_BYTES = 8
DIGEST_BYTES = 32


class Head(msgspec.Struct, frozen=True):
    """What a snapshot is of: it may be used where all but the offsets is as the process has it."""

    release: str
    learner: str
    definition: str
    """Of the outcome, and what is learned of it."""
    schema: str
    """What the numbers of a row mean, and which of them the learner takes."""
    next_offset: int = 0


class UnusableSnapshotError(ValueError):
    """A snapshot that may not be used; the text says why, and quotes nothing of it."""


class Refused(NamedTuple):
    """A snapshot that was not used, and why."""

    name: str
    why: str


class Loaded(NamedTuple):
    """What was found: the fold of the newest snapshot that may be used, if any, and those that may not."""

    fold: ExampleFold | None
    name: str
    refused: tuple[Refused, ...]


def head_of(release: str, learner: str, definition: OutcomeDefinition) -> Head:
    """Say what a process's snapshots are of.

    >>> head_of("0.7", "crossed-boosted", OutcomeDefinition()).learner
    'crossed-boosted'
    """
    words = f"{outcome_name(definition)} {definition.after_action}"
    return Head(release, learner, words, f"{ROW_SCHEMA} {schema_hash_of(INPUTS_OF[learner])}")


def packed(head: Head, state: ExampleFoldState) -> bytes:
    """Give the bytes of a snapshot."""
    content = [MAGIC]
    for part in (msgspec.structs.replace(head, next_offset=state.next_offset), state):
        data = msgspec.msgpack.encode(part)
        content += [len(data).to_bytes(LENGTH_BYTES), data]
    digest = blake2b(digest_size=DIGEST_BYTES)
    for piece in content:
        digest.update(piece)
    return b"".join([*content, digest.digest()])


def unpacked(data: bytes, head: Head, begin: int, end: int) -> ExampleFoldState:
    """Read a snapshot of what `head` says, of a topic kept from `begin` to `end`. Raises `UnusableSnapshotError`."""
    whole, digest = memoryview(data)[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if not data.startswith(MAGIC) or blake2b(whole, digest_size=DIGEST_BYTES).digest() != digest:
        raise UnusableSnapshotError("it is damaged, or no snapshot")
    try:
        parts, at = [], len(MAGIC)
        for _ in range(2):
            length = int.from_bytes(whole[at : at + LENGTH_BYTES])
            parts.append(whole[at + LENGTH_BYTES : at + LENGTH_BYTES + length])
            at += LENGTH_BYTES + length
        found = msgspec.msgpack.decode(parts[0], type=Head)
    except msgspec.DecodeError:
        raise UnusableSnapshotError("its head cannot be read") from None
    if found.release != head.release:
        raise UnusableSnapshotError(f"it is of another release than {head.release}")
    for words, same in (
        ("learner", found.learner == head.learner),
        ("outcome definition", found.definition == head.definition),
        ("schema of rows", found.schema == head.schema),
    ):
        if not same:
            raise UnusableSnapshotError(f"it is of another {words}")
    if found.next_offset > end:
        raise UnusableSnapshotError(f"it goes to record {found.next_offset}, and the topic ends at {end}")
    if found.next_offset < begin:
        raise UnusableSnapshotError(f"it goes to record {found.next_offset}, and the topic begins at {begin}")
    try:
        return msgspec.msgpack.decode(parts[1], type=ExampleFoldState)
    except (msgspec.DecodeError, ValueError):
        raise UnusableSnapshotError("its state cannot be read") from None


class Snapshots:
    """The snapshots in one folder."""

    def __init__(self, folder: Path, head: Head) -> None:
        """Remember where they are and what they are to be of; nothing is read or written yet."""
        self._folder = folder
        self._head = head

    def write(self, fold: ExampleFold) -> int:
        """Write one, to the disk and whole before it has its name; let go of all but `KEPT`. Raises `OSError`.

        Gives its size in bytes.
        """
        data = packed(self._head, fold.state())
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{fold.next_offset:020d}.snapshot"
        unfinished = self._folder / f".{name}.part"
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._folder / name)
        sync_file(self._folder)
        self._let_go(name)
        return len(data)

    def _let_go(self, newest: str) -> None:
        """Keep the newest and those before it; what lies beyond it is of another life of the topic."""
        before = [path for path in self._newest_first() if path.name < newest]
        beyond = [path for path in self._newest_first() if path.name > newest]
        for path in (*before[KEPT - 1 :], *beyond, *self._folder.glob(".*.part")):
            with suppress(FileNotFoundError):
                path.unlink()

    def load(
        self,
        definition: OutcomeDefinition,
        begin: int,
        end: int,
        grow: Grow = lambda learner: learner.grow(),
        beside: Mapping[str, MakeBeside] | None = None,
    ) -> Loaded:
        """Give the fold of the newest snapshot that may be used on a topic kept from `begin` to `end`."""
        refused: list[Refused] = []
        for path in self._newest_first():
            try:
                if path.stat().st_size > BYTES_MAX:
                    raise UnusableSnapshotError(f"it is longer than {BYTES_MAX} bytes")  # noqa: TRY301
                state = unpacked(path.read_bytes(), self._head, begin, end)
                fold = _restored(definition, state, grow, beside)
            except UnusableSnapshotError as fault:
                refused.append(Refused(path.name, str(fault)))
            except OSError as fault:
                refused.append(Refused(path.name, f"it cannot be read: {type(fault).__name__}"))
            else:
                return Loaded(fold, path.name, tuple(refused))
        return Loaded(None, "", tuple(refused))

    def _newest_first(self) -> Iterable[Path]:
        return sorted(self._folder.glob("*.snapshot"), reverse=True)


def _restored(
    definition: OutcomeDefinition, state: ExampleFoldState, grow: Grow, beside: Mapping[str, MakeBeside] | None
) -> ExampleFold:
    try:
        return ExampleFold.restored(definition, state, grow=grow, beside=beside)
    except (ValueError, KeyError, IndexError) as fault:
        raise UnusableSnapshotError(f"its state does not fit: {type(fault).__name__}") from None
