"""The chain as a table for people: what each filter may say, by what method, and what of it is configured.

Owns the table's text. Must not know any filter: all of it is read from the chain itself. `docs/guardrails.md` holds it,
and a test holds that page to it.
"""

from __future__ import annotations

from guardrails.chain import CHAIN, Filter

HEAD = "| place | filter | reasons | method | source | keys |\n| --- | --- | --- | --- | --- | --- |\n"


def chain_table(chain: tuple[Filter, ...] = CHAIN) -> str:
    """Write the chain's filters in their order as a Markdown table.

    >>> chain_table().splitlines()[2].split(" | ")[1]
    '`plausibility`'
    """
    return HEAD + "".join(f"| {' | '.join(_cells(place, one))} |\n" for place, one in enumerate(chain, 1))


def _cells(place: int, one: Filter) -> list[str]:
    method, source = one.METHOD
    reasons, keys = (", ".join(f"`{word}`" for word in words) for words in (one.REASONS, one.KEYS))
    return [str(place), f"`{one.name}`", reasons, method, source, keys or "none"]
