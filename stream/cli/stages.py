"""Progress of work in stages, each of a known size.

Owns the bars. Must not know what a stage does. Shown on standard error, and only on a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def show_stages(*, quiet: bool = False) -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """Show a bar a stage while the block runs.

    Gives the function to begin a stage with, by its name and size; that gives the one to call with how much is done.
    """
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True, quiet=quiet),
        transient=True,
    ) as progress:

        def begin(name: str, size: int) -> Callable[[int], None]:
            task = progress.add_task(name, total=size)
            return lambda done: progress.update(task, completed=done)

        yield begin
