"""Progress of long work: messages done, and how much of the sources has been read; and where wide tables go after it.

Owns the bar, and the tables' width. Must not know what is done with a message. The bar is shown on standard error, and
only on a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PIPED_WIDTH = 200


class Measured(Protocol):
    """Something that is read, and knows how much of it there is."""

    @property
    def bytes_total(self) -> int:
        """How much there is."""
        ...

    @property
    def bytes_read(self) -> int:
        """How much of that has been read."""
        ...


def output_console() -> Console:
    """Give where tables go. To a file or a pipe no width is known: at eighty columns a table's nine are letters one
    above another.
    """
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)


@contextmanager
def show_progress(what: str, sources: Sequence[Measured], *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; gives the function to call with the number of messages done.

    The bar is by bytes read, where the sources know their size; a source that has to be sorted is read to its end
    before its first message is given.
    """
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]:,} messages"),
        TimeElapsedColumn(),
        console=Console(stderr=True, quiet=quiet),
        transient=True,
    ) as progress:
        task = progress.add_task(what, total=None, done=0)

        def advance(done: int) -> None:
            total = sum(source.bytes_total for source in sources)
            read = sum(source.bytes_read for source in sources)
            progress.update(task, total=total or None, completed=read, done=done)

        yield advance
