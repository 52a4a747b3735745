"""SOURCE arguments, by name: which reader each one gets.

Owns the grammar of SOURCE (design.md section 8) but for `journal:` and `kafka:`, which their hosts open. Must not know
what becomes of the arrivals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from connectors.datasets import physionet2012, physionet2019
from connectors.datasets.archive import DatasetError, Progress
from connectors.decoded import Decoded, Refusal
from connectors.sources.arrival import Arrival, Source, SourceError, SourceSettings
from connectors.sources.files import FileSet
from connectors.sources.reading import read_messages
from connectors.sources.sorting import sort_arrivals

DATASETS: dict[str, Callable[[Path, int, Progress], Iterator[Decoded | Refusal]]] = {
    physionet2019.FEED: physionet2019.read,
    physionet2012.FEED: physionet2012.read,
}


def open_source(spec: str, settings: SourceSettings | None = None) -> Source:
    """Open a SOURCE: a file, a folder, an archive, `physionet2019:DIR` or `physionet2012:DIR`.

    Raises `SourceError` where there is no such thing; its text says what would be one.

    >>> open_source("eicu:/data")
    Traceback (most recent call last):
    connectors.sources.arrival.SourceError: eicu: no such kind of SOURCE; known here: physionet2019, physionet2012
    """
    settings = settings or SourceSettings()
    scheme, colon, rest = spec.partition(":")
    if colon and scheme in DATASETS:
        return DatasetSource(scheme, Path(rest), settings)
    # A word and a colon is a scheme, unless it is the name of something that is there.
    if colon and scheme.isalnum() and not Path(spec).exists():
        raise SourceError(f"{scheme}: no such kind of SOURCE; known here: {', '.join(DATASETS)}")
    if not spec:
        raise SourceError("an empty SOURCE; give a file, a folder, or physionet2019:DIR")
    return FileSource(spec, settings)


class FileSource:
    """Message files, in order of received time.

    Files are read in order of their paths, then sorted by time; what has the same time stays in that order.
    """

    def __init__(self, spec: str, settings: SourceSettings) -> None:
        """Find the files of `spec`; raises `SourceError` where there are none."""
        self.name = spec
        self._files = FileSet(Path(spec))
        self._settings = settings

    @property
    def skipped(self) -> tuple[str, ...]:
        """Files that are no messages by their names."""
        return tuple(self._files.skipped)

    @property
    def bytes_total(self) -> int:
        """The files' sizes as they lie, packed or not."""
        return self._files.bytes_total

    @property
    def bytes_read(self) -> int:
        """How much of that has been read."""
        return self._files.bytes_read

    def __iter__(self) -> Iterator[Arrival]:
        """Read and sort. Nothing is joined: one moment may lie in two SOURCEs, and they are merged first."""
        settings = self._settings
        return sort_arrivals(self._read(), settings.records_in_memory, settings.bytes_in_memory)

    def _read(self) -> Iterator[Arrival]:
        for name, kind, stream in self._files.read():
            yield from read_messages(name, kind, stream, self._settings)


class DatasetSource:
    """A public data set: its importer gives it in order of time already, so nothing is sorted."""

    def __init__(self, scheme: str, path: Path, settings: SourceSettings) -> None:
        """Name the data set; raises `SourceError` where `path` is not there."""
        self.name = f"{scheme}:{path}"
        if not str(path) or not path.exists():
            raise SourceError(
                f"{self.name}: there is no such folder; give the one that holds the set's files or archive"
            )
        self._read = DATASETS[scheme]
        self._path = path
        self._every = settings.every
        self._progress = Progress()

    @property
    def skipped(self) -> tuple[str, ...]:
        """Nothing: what is not of the set is none of its business."""
        return ()

    @property
    def bytes_total(self) -> int:
        """The unpacked size of the set; 0 until its archive has been read through once."""
        return self._progress.bytes_total

    @property
    def bytes_read(self) -> int:
        """How much of that has been read."""
        return self._progress.bytes_read

    def __iter__(self) -> Iterator[Arrival]:
        """Read; raises `SourceError` where the set is not in its folder."""
        self._progress.bytes_read = 0
        try:
            for decoded in self._read(self._path, self._every, self._progress):
                # The row as it was has no wire format of its own; it is counted with HL7 v2, whose ORU it would be.
                yield Arrival(decoded.message_id, decoded.sent_time, None, "hl7v2", decoded)
        except DatasetError as error:
            raise SourceError(f"{self.name}: {error}") from None
