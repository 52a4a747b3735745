"""Counting what a sample holds, in bounded memory: how often, and where first; and the spread of many numbers.

Owns the bounds. Must not know what is counted.
"""

from __future__ import annotations

from bisect import bisect_left

from stream.conformance.shape import Tally

WORDS_MAX = 20_000
"""Different things counted apart in one table; a large laboratory has some 5,000 codes. The rest count as one."""
OTHER = "(other)"
SPREAD_MAX = 4_096
"""Numbers kept of a spread. Past it every second one is let go of, and from then on every second one is kept."""


class Cell:
    """How often something was seen, and where first."""

    __slots__ = ("count", "example")

    def __init__(self, example: str) -> None:
        self.count = 0
        self.example = example


class Counted:
    """Words and how often each was seen.

    >>> seen = Counted()
    >>> seen.add("ORU^R01", "#1"), seen.add("ADT^A01", "#2"), seen.add("ORU^R01", "#3")
    (None, None, None)
    >>> [(word, cell.count, cell.example) for word, cell in seen.ranked()]
    [('ORU^R01', 2, '#1'), ('ADT^A01', 1, '#2')]
    """

    __slots__ = ("_cells", "_limit", "total")

    def __init__(self, limit: int = WORDS_MAX) -> None:
        self._cells: dict[str, Cell] = {}
        self._limit = limit
        self.total = 0

    def add(self, word: str, example: str = "", count: int = 1) -> None:
        """Count a word."""
        cell = self._cells.get(word)
        if cell is None:
            if len(self._cells) >= self._limit:
                word = OTHER
            cell = self._cells.setdefault(word, Cell(example))
        cell.count += count
        self.total += count

    def __contains__(self, word: str) -> bool:
        """Say whether a word was seen."""
        return word in self._cells

    def __len__(self) -> int:
        """Give how many different ones were seen."""
        return len(self._cells)

    def count(self, word: str) -> int:
        """Give how often a word was seen."""
        cell = self._cells.get(word)
        return 0 if cell is None else cell.count

    def told(self, limit: int | None = None) -> tuple[Tally, ...]:
        """Give them as a report has them, at most `limit`."""
        return tuple(Tally(word, cell.count, cell.example) for word, cell in self.ranked()[:limit])

    def ranked(self) -> list[tuple[str, Cell]]:
        """Give all, most frequent first; of equal counts in order of the words."""
        return sorted(self._cells.items(), key=lambda item: (-item[1].count, item[0]))


class Shapes:
    """Tuples of words, each tuple counted as a whole: messages of a feed are of few shapes.

    >>> shapes = Shapes()
    >>> shapes.add(("PID-3", "PID-5"), "#1"), shapes.add(("PID-3",), "#2")
    (None, None)
    >>> [(word, cell.count, cell.example) for word, cell in shapes.words().ranked()]
    [('PID-3', 2, '#1'), ('PID-5', 1, '#1')]
    """

    __slots__ = ("_shapes", "_words")

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, ...], Cell] = {}
        self._words = Counted()

    def add(self, words: tuple[str, ...], example: str) -> None:
        """Count each word of a tuple."""
        cell = self._shapes.get(words)
        if cell is None:
            if len(self._shapes) >= WORDS_MAX:
                self.words()
            cell = self._shapes.setdefault(words, Cell(example))
        cell.count += 1

    def words(self) -> Counted:
        """Give the words apart."""
        for words, cell in self._shapes.items():
            for word in words:
                self._words.add(word, cell.example, cell.count)
        self._shapes = {}
        return self._words


class Spread:
    """Quantiles of many numbers. Which numbers are kept depends on their order alone, never on chance.

    >>> spread = Spread()
    >>> for number in range(101):
    ...     spread.add(float(number))
    >>> spread.quantile(0.5), spread.share_within(0.0, 49.0)
    (50.0, 0.49504950495049505)
    """

    __slots__ = ("_kept", "_stride", "count")

    def __init__(self) -> None:
        self._kept: list[float] = []
        self._stride = 1
        self.count = 0

    def add(self, number: float) -> None:
        """Take a number in."""
        if self.count % self._stride == 0:
            if len(self._kept) >= SPREAD_MAX:
                self._kept = self._kept[::2]
                self._stride *= 2
            self._kept.append(number)
        self.count += 1

    def quantile(self, share: float) -> float | None:
        """Give the number below which so much of them lies; None where there are none."""
        kept = self._in_order()
        return kept[min(len(kept) - 1, int(share * len(kept)))] if kept else None

    def share_within(self, low: float, high: float) -> float:
        """Give how many of them lie within two bounds; 0 where there are none."""
        kept = self._in_order()
        if not kept:
            return 0.0
        return (bisect_left(kept, high + 1e-9) - bisect_left(kept, low)) / len(kept)

    def _in_order(self) -> list[float]:
        # In a list of its own: what is let go of is every second one as they came.
        return sorted(self._kept)
