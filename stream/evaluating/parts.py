"""What an evaluation has computed so far, kept in its folder so that a second call goes on from it.

Owns the folder of parts: one key a set of inputs, and files that are there whole or not at all. Must not know what is
in them. A part is made beside its place and moved there, so a process killed at any moment leaves no half of one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

Content = TypeVar("Content")

FOLDER = "parts"
KEY_LENGTH = 16
"""Hex digits of the key that name a folder: 64 bits, and a handful of folders."""

_KEY = re.compile(r"[0-9a-f]{16}")


class Parts:
    """The parts of one set of inputs, named by the digest of those inputs.

    Parts of other inputs in the same folder are removed: they would only be in the way, and they may be large.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> parts = Parts(Path(folder.name), "0" * 64)
    >>> with parts.making("rows.txt") as path:
    ...     _ = path.write_text("whole")
    >>> parts.has("rows.txt"), parts.path("rows.txt").read_text()
    (True, 'whole')
    >>> folder.cleanup()
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Open the parts in `folder` of the inputs whose digest is `key` (hex); makes the folder."""
        name = key[:KEY_LENGTH]
        assert _KEY.fullmatch(name), "a key is the hex of a digest"
        root = folder / FOLDER
        self._folder = root / name
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in root.iterdir():
            if other.is_dir() and other.name != name and _KEY.fullmatch(other.name):
                shutil.rmtree(other)
        for left in self._folder.glob("*.making"):
            left.unlink()

    def path(self, name: str) -> Path:
        """Give where a part lies, or would."""
        return self._folder / name

    def has(self, *names: str) -> bool:
        """Say whether all of these parts are there; then each is whole."""
        return all(self.path(name).exists() for name in names)

    @contextmanager
    def making(self, name: str) -> Iterator[Path]:
        """Give a path to write a part at; it takes its place when the block ends without an error."""
        place = self._folder / f"{name}.making"
        yield place
        place.replace(self.path(name))

    def drop(self, name: str) -> None:
        """Remove a part, if it is there."""
        self.path(name).unlink(missing_ok=True)

    def write(self, name: str, content: object) -> None:
        """Keep a struct as a part."""
        with self.making(name) as path:
            path.write_bytes(msgspec.msgpack.encode(content))

    def read(self, name: str, kind: type[Content]) -> Content | None:
        """Give a part that was kept as a struct; None where it is not there or not such a struct."""
        try:
            return msgspec.msgpack.decode(self.path(name).read_bytes(), type=kind)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
